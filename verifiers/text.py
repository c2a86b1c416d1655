"""Text: equal, containing, with keywords, not too long; compared in composed form (NFC)."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import regex
from pydantic import Field

from rewardkit.errors import UsageError
from rewardkit.sample import Aspect, Column, Sample
from rewardkit.verdict import Verdict
from rewardkit.verifier import Verifier
from rewardkit.verifiers._scan import is_blank
from rewardkit.verifiers.extraction import THINK, Extract, Thinking, extract, gold_text, shorten

__all__ = ["Contains", "ExactText", "Keywords", "MaxLength"]


class ExactText(Verifier):
    """The answer is the gold, letter by letter.

    Args:
        extract: where the answer is.
        gold: the ``"whole"`` gold, or the part of it after ``####`` or in a box (``"final"``).
        strip: ignore whitespace around both.
        casefold: ignore case.
        thinking: markers of the part that is not the answer.

    The gold is text, a number, or a list of either of which one must match; an empty gold, or one
    of another kind, is unscorable, fault ``"dataset"``.

    Example:
        >>> ExactText().verify(Sample(completion=" Paris ", answer=["Paris", "paris"])).status
        'correct'
    """

    needs: ClassVar[tuple[str, ...]] = ("answer",)

    extract: Extract = "whole"
    gold: Literal["whole", "final"] = "whole"
    strip: bool = True
    casefold: bool = False
    thinking: Thinking = THINK

    @property
    def traits(self) -> frozenset[str]:  # type: ignore[override]
        """Without ``strip`` whitespace counts, that after the thinking too."""
        return frozenset({"answer", "whitespace", "thinking"} if self.strip else {"answer"})

    def _verify(self, sample: Sample) -> Verdict:
        wanted = _texts(sample.answer)
        if self.gold == "final":
            wanted = [gold_text(text) for text in wanted]
        if not wanted or any(is_blank(text) for text in wanted):
            return _no_gold("the gold answer", sample.answer)
        found = extract(sample.text, self.extract, self.thinking)
        got = found.text if self.strip else found.raw
        if got is None:
            return Verdict.incorrect(found.reason, label="missing", **found.evidence)
        if any(self._same(got, text) for text in wanted):
            return Verdict.correct("the text of the gold", **found.evidence)
        return Verdict.incorrect("not the text of the gold", **found.evidence)

    def _same(self, got: str, wanted: str) -> bool:
        if self.strip:
            wanted = wanted.strip()
        # Composing and folding change a length by far less than eightfold: a megabyte that cannot
        # be equal is not looked at.
        if len(got) > 8 * len(wanted) + 8:
            return False
        return _plain(got, self.casefold) == _plain(wanted, self.casefold)


class Contains(Verifier):
    """The text contains another; runs of whitespace count as one space.

    Args:
        text: what to look for, or the column that holds it.
        casefold: ignore case.
        words: only where it is not part of a longer word ("Al" is not in "also").
        last_lines: look only in so many of the last lines that are not blank (a signature).
        extract: where to look.
        thinking: markers of the part that is not looked at.

    Raises:
        UsageError: for an empty text.

    A column that is empty or no text is unscorable, fault ``"dataset"``: everything contains "".

    Example:
        >>> greets = Contains(Column("name"), words=True)
        >>> greets.verify(Sample(completion="Dear Al,", columns={"name": "Al"})).status
        'correct'
    """

    traits: ClassVar[frozenset[str]] = frozenset({"whitespace"})

    text: str | Column
    casefold: bool = False
    words: bool = False
    last_lines: Annotated[int, Field(gt=0)] | None = None
    extract: Extract = "whole"
    thinking: Thinking = THINK

    def __post_init__(self) -> None:
        if isinstance(self.text, str) and is_blank(self.text):
            raise UsageError("the text to look for must not be empty: every text contains it")

    def _verify(self, sample: Sample) -> Verdict:
        value = self._argument(self.text, sample)
        wanted = _texts(value)
        if len(wanted) != 1 or is_blank(wanted[0]):
            return _no_gold("the text to look for", value)
        found = extract(sample.text, self.extract, self.thinking)
        if found.text is None:
            return Verdict.incorrect(found.reason, **found.evidence)
        place = found.text if self.last_lines is None else _tail(found.text, self.last_lines)
        if _holds(_plain(place, self.casefold, True), wanted[0], self.casefold, self.words):
            return Verdict.correct(f"contains {shorten(wanted[0])!r}", rule="contains")
        return Verdict.incorrect(f"does not contain {shorten(wanted[0])!r}", rule="contains")


class Keywords(Verifier):
    """Keywords occur: every one of ``all_of``, and at least one of ``any_of``.

    An incorrect verdict has as credit the share of what is there. Pays for a bare list of the
    keywords as well: gate it behind something that cannot be had so cheaply.

    Args:
        all_of: texts that must all occur, or the column that holds them (a list, or one text).
        any_of: texts of which one must occur, or the column that holds them.
        casefold: ignore case.
        words: only where a keyword is not part of a longer word.
        extract: where to look.
        thinking: markers of the part that is not looked at.

    Raises:
        UsageError: if there is no keyword, or an empty one.

    Example:
        >>> both = Keywords(all_of=("refund", "invoice"))
        >>> both.verify(Sample(completion="Your refund is on its way.")).credit
        0.5
    """

    traits: ClassVar[frozenset[str]] = frozenset({"whitespace"})

    all_of: tuple[str, ...] | Column = ()
    any_of: tuple[str, ...] | Column = ()
    casefold: bool = True
    words: bool = True
    extract: Extract = "whole"
    thinking: Thinking = THINK

    def __post_init__(self) -> None:
        if not self.all_of and not self.any_of:
            raise UsageError("Keywords needs at least one keyword in all_of or any_of")
        for value in (self.all_of, self.any_of):
            if not isinstance(value, Column) and any(is_blank(word) for word in value):
                raise UsageError(f"keywords must not be empty, got {value!r}")

    def _verify(self, sample: Sample) -> Verdict:
        wanted: list[list[str]] = []
        for given in (self.all_of, self.any_of):
            words = _texts(self._argument(given, sample))
            if any(is_blank(word) for word in words) or (isinstance(given, Column) and not words):
                return _no_gold("the keywords", self._argument(given, sample))
            wanted.append(words)
        found = extract(sample.text, self.extract, self.thinking)
        if found.text is None:
            return Verdict.incorrect(found.reason, credit=0.0, **found.evidence)
        place = _plain(found.text, self.casefold, True)
        held = [[_holds(place, w, self.casefold, self.words) for w in words] for words in wanted]
        marks = held[0] + ([any(held[1])] if held[1] else [])
        if all(marks):
            return Verdict.correct("the keywords occur", rule="keywords")
        missing = [w for w, there in zip(wanted[0], held[0], strict=True) if not there]
        reason = f"missing: {', '.join(missing)}" if missing else f"none of {', '.join(wanted[1])}"
        credit = sum(marks) / len(marks)
        return Verdict.incorrect(shorten(reason), credit=credit, rule="keywords")


class MaxLength(Verifier):
    """The text is at most so long. An empty one is: this alone pays for saying nothing.

    An incorrect verdict has the credit ``limit / length``.

    Args:
        limit: greatest length, or the column that holds it.
        unit: ``"characters"`` (code points) or ``"words"`` (separated by whitespace).
        thinking: markers of a part that does not count; by default everything counts.

    Example:
        >>> MaxLength(3, unit="words").verify(Sample(completion="one two three four")).credit
        0.75
    """

    limit: Annotated[int, Field(ge=0)] | Column
    unit: Literal["characters", "words"] = "characters"
    thinking: Thinking = None

    def _verify(self, sample: Sample) -> Verdict:
        limit = self._argument(self.limit, sample)
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
            return _no_gold("the greatest length", limit)
        text = sample.text
        if self.thinking is not None:
            found = extract(text, "whole", self.thinking)
            if found.rule == "thinking":
                return Verdict.incorrect(found.reason, credit=0.0, rule="length")
            text = found.text or ""
        length = len(text) if self.unit == "characters" else len(text.split())
        if length <= limit:
            return Verdict.correct(f"{length} {self.unit}, at most {limit}", rule="length")
        credit = min(limit / length, math.nextafter(1.0, 0.0))
        reason = f"{length} {self.unit}, more than {limit}"
        return Verdict.incorrect(reason, credit=credit, rule="length")

    @property
    def aspect(self) -> Aspect:
        """The form, also where the row says how long the text may be."""
        return "form"


def _texts(value: object) -> list[str]:
    """One text, a number, or a list of them, as texts; an empty list for anything else."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [_digits(value)] if math.isfinite(value) else []
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        inner = [_texts(item) for item in value if not isinstance(item, list | tuple)]
        single = [texts[0] for texts in inner if len(texts) == 1]
        return single if len(single) == len(value) else []
    return []


def _digits(value: int | float) -> str:
    # CPython refuses to write an int of more than 4300 digits; no dataset means one.
    if isinstance(value, int) and value.bit_length() > 10_000:
        return ""
    return repr(value)


# More marks on one letter than any script has; composing a run of n marks costs n² in CPython.
_MARKS = regex.compile(r"\p{M}{31}")


def _plain(text: str, casefold: bool, one_space: bool = False) -> str:
    """The text as it is compared."""
    if not text.isascii() and not _MARKS.search(text):
        text = unicodedata.normalize("NFC", text)
    if casefold:
        text = text.casefold()
    return " ".join(text.split()) if one_space else text


def _holds(place: str, wanted: str, casefold: bool, words: bool) -> bool:
    """Whether a text (already made plain) contains another."""
    wanted = _plain(wanted, casefold, True)
    at = place.find(wanted)
    while at >= 0 and words and not _stands_alone(place, at, at + len(wanted)):
        at = place.find(wanted, at + 1)
    return at >= 0


def _stands_alone(text: str, start: int, stop: int) -> bool:
    before = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
    after = stop < len(text) and text[stop].isalnum() and text[stop - 1].isalnum()
    return not before and not after


def _tail(text: str, lines: int) -> str:
    kept = [line for line in text.splitlines() if line.strip()]
    return "\n".join(kept[-lines:])


def _no_gold(what: str, value: object) -> Verdict:
    shown = f"{value[:60]!r}" if isinstance(value, str) else type(value).__name__
    return Verdict.unscorable(f"{what} is empty or no text (got {shown})", fault="dataset")
