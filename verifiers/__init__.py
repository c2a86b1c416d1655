"""Verifiers: each says whether one property of a completion holds.

- :class:`MathVerifier`: the answer equals the gold, as mathematics.
- :class:`NumberVerifier`, :class:`Proximity`, :class:`ProximityBands`, :class:`HasNumber`,
  :class:`IsInteger`: plain numbers.
- :class:`TagFormat`, :class:`RegexFormat`, :class:`MarkerOnce`: the form of the completion.
- :class:`ExactText`, :class:`Contains`, :class:`Keywords`, :class:`MaxLength`: text.
- :class:`Choice`: the letter of a choice.
- :class:`CodeVerifier`: code against tests, in the sandbox.
- :class:`AllOf`, :class:`AnyOf`, :class:`Not`: verifiers made of verifiers.

Each is imported when it is first asked for; importing this package imports none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rewardkit._lazy import lazy

if TYPE_CHECKING:
    from rewardkit.combine import AllOf, AnyOf, Not
    from rewardkit.verifiers.choice import Choice
    from rewardkit.verifiers.code import CodeVerifier
    from rewardkit.verifiers.extraction import Between, Extraction, Pattern, extract
    from rewardkit.verifiers.format import MarkerOnce, RegexFormat, TagFormat
    from rewardkit.verifiers.math import MathVerifier
    from rewardkit.verifiers.number import (
        HasNumber,
        IsInteger,
        NumberVerifier,
        Proximity,
        ProximityBands,
    )
    from rewardkit.verifiers.shaping import TagCount
    from rewardkit.verifiers.text import Contains, ExactText, Keywords, MaxLength

__all__ = [
    "AllOf",
    "AnyOf",
    "Between",
    "Choice",
    "CodeVerifier",
    "Contains",
    "ExactText",
    "Extraction",
    "HasNumber",
    "IsInteger",
    "Keywords",
    "MarkerOnce",
    "MathVerifier",
    "MaxLength",
    "Not",
    "NumberVerifier",
    "Pattern",
    "Proximity",
    "ProximityBands",
    "RegexFormat",
    "TagCount",
    "TagFormat",
    "extract",
]

_HOME = {
    "rewardkit.combine": ("AllOf", "AnyOf", "Not"),
    "rewardkit.verifiers.choice": ("Choice",),
    "rewardkit.verifiers.code": ("CodeVerifier",),
    "rewardkit.verifiers.extraction": ("Between", "Extraction", "Pattern", "extract"),
    "rewardkit.verifiers.format": ("MarkerOnce", "RegexFormat", "TagFormat"),
    "rewardkit.verifiers.math": ("MathVerifier",),
    "rewardkit.verifiers.number": (
        "HasNumber", "IsInteger", "NumberVerifier", "Proximity", "ProximityBands",
    ),
    "rewardkit.verifiers.shaping": ("TagCount",),
    "rewardkit.verifiers.text": ("Contains", "ExactText", "Keywords", "MaxLength"),
}  # fmt: skip

__getattr__ = lazy(__name__, _HOME)


def __dir__() -> list[str]:
    return __all__
