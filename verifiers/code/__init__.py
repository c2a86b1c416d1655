"""Code against tests, in the sandbox.

- ``verifier``: :class:`CodeVerifier`; ``credit``: its verdict.
- ``extract``: which part of a completion is its code.
- ``cases``, ``script``, ``asserts``, ``tagged``: tests as a dataset holds them; ``formats``:
  rows of known datasets; ``suite``: all that was read.
- ``running``: tests in the sandbox, and what became of them.
- ``inside``: what runs there beside the judged code; ``bundle`` brings it there.
- ``codec``, ``extras``: how values travel; ``received``: what judged code sent.
- ``compare``, ``output``, ``forms``, ``numbers``: when a result is the expected one.
- ``show``: values for people.
"""

from rewardkit.verifiers.code.compare import Close
from rewardkit.verifiers.code.verifier import CodeVerifier

__all__ = ["Close", "CodeVerifier"]
