"""The letter of a multiple-choice answer."""

from __future__ import annotations

import re
from typing import ClassVar

from rewardkit.errors import UsageError
from rewardkit.sample import Sample
from rewardkit.verdict import Verdict
from rewardkit.verifier import Verifier
from rewardkit.verifiers.extraction import THINK, Extract, Thinking, extract, gold_text, shorten

__all__ = ["Choice"]


class Choice(Verifier):
    """The answer names the gold's letter: ``B``, ``(B)``, ``B.``, ``**B**``, ``B) Paris``.

    One letter only: an answer that names two is incorrect. A gold that is not one of the letters is
    unscorable, fault ``"dataset"``.

    Args:
        extract: where the answer is; ``"auto"`` reads tags, box, ``####`` or "the answer is", and
            else the whole text.
        letters: the letters to choose from.
        thinking: markers of the part that is not the answer.

    Raises:
        UsageError: if ``letters`` are not different capital letters.

    Example:
        >>> Choice().verify(Sample(completion="The answer is (B).", answer="B")).status
        'correct'
    """

    needs: ClassVar[tuple[str, ...]] = ("answer",)
    traits: ClassVar[frozenset[str]] = frozenset({"answer", "whitespace", "thinking"})

    extract: Extract = "auto"
    letters: str = "ABCDE"
    thinking: Thinking = THINK

    def __post_init__(self) -> None:
        if not re.fullmatch("[A-Z]+", self.letters) or len(set(self.letters)) < len(self.letters):
            raise UsageError(f"letters must be different capitals, got {self.letters!r}")

    def _verify(self, sample: Sample) -> Verdict:
        answer = sample.answer if isinstance(sample.answer, str) else ""
        gold = _letter(gold_text(answer), self.letters)
        if gold is None:
            reason = f"the gold answer is not one of {self.letters}: {shorten(answer)!r:.60}"
            return Verdict.unscorable(reason, fault="dataset")
        found = extract(sample.text, self.extract, self.thinking)
        if self.extract == "auto" and found.rule in ("auto", "last number"):
            found = extract(sample.text, "whole", self.thinking)
        letter = None if found.text is None else _letter(found.text, self.letters)
        if letter is None:
            reason = found.reason or f"no single letter of {self.letters}"
            return Verdict.incorrect(reason, label="missing", **found.evidence)
        if letter == gold:
            return Verdict.correct(f"{letter} is the gold", **found.evidence)
        return Verdict.incorrect(f"{letter} is not {gold}", **found.evidence)


_CHOICE = re.compile(
    r"[\s*$({\[]*(?:\\(?:text|mathrm|mathbf|textbf)\{)?(?:(?:option|choice)\s{1,4})?[({\[]?"
    r"(?P<letter>[A-Z])(?![A-Za-z0-9])(?P<rest>[\s*$)}\]]*(?:[.:)]\s*(?P<text>.*))?)",
    re.IGNORECASE | re.DOTALL,
)


def _letter(text: str, letters: str) -> str | None:
    """The one letter a text commits to, or ``None``."""
    match = _CHOICE.fullmatch(text.strip()[:2000])
    if match is None or match["letter"].upper() not in letters:
        return None
    # "A) ... or B) ..." commits to nothing.
    others = re.findall(rf"(?<![A-Za-z0-9])[({{\[]?([{letters}])[).:\]]", match["text"] or "")
    return None if set(others) - {match["letter"].upper()} else match["letter"].upper()
