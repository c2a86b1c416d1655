"""Laws: what must hold of any reward, checked with Hypothesis on the user's own rows.

- :func:`laws`: a decorator that makes one test for each law that fits.
- :func:`check_laws`: the same without pytest; :data:`LAWS`: the laws.
- ``rewardkit.testing.laws.strategies``: the texts they are tried with, as Hypothesis strategies.

Needs ``hypothesis`` (``pip install 'rewardkit[laws]'``), which is imported when a law is checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rewardkit._lazy import lazy

if TYPE_CHECKING:
    from rewardkit.testing.laws.checking import LAWS, BrokenLawError, Law, check_laws, laws
    from rewardkit.testing.laws.traits import TRAITS, traits_of

__all__ = ["LAWS", "TRAITS", "BrokenLawError", "Law", "check_laws", "laws", "traits_of"]

__getattr__ = lazy(
    __name__,
    {
        "rewardkit.testing.laws.checking": ("LAWS", "BrokenLawError", "Law", "check_laws", "laws"),
        "rewardkit.testing.laws.traits": ("TRAITS", "traits_of"),
    },
)
