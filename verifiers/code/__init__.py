"""Code against tests, in the sandbox.

- ``verifier``: :class:`CodeVerifier`.
- ``extract``: which part of a completion is its code.
- ``cases``: tests as a dataset holds them.
- ``running``: one test in the sandbox; ``shared``: the sandbox of those who bring none.
- ``codec``, ``inside``: what runs beside the judged code, and how values travel.
- ``compare``: when a result is the expected one; ``show``: values for people.
"""

from rewardkit.verifiers.code.compare import Close
from rewardkit.verifiers.code.verifier import CodeVerifier

__all__ = ["Close", "CodeVerifier"]
