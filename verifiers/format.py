"""Whether a completion has the form asked for. Plain scanning, or ``regex`` under its timeout."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, NamedTuple

from pydantic import Field

from rewardkit.errors import UsageError
from rewardkit.sample import Sample
from rewardkit.verdict import Verdict
from rewardkit.verifier import Verifier
from rewardkit.verifiers._scan import is_blank
from rewardkit.verifiers.extraction import compiled, shorten

__all__ = ["MarkerOnce", "RegexFormat", "TagFormat"]

HOLE = "..."


class TagFormat(Verifier):
    r"""The completion is the template, with text in place of each ``...``.

    Each marker occurs exactly once and in order; before the first and after the last there is only
    whitespace. Tags written twice or inside each other are refused.

    Args:
        template: such as ``<think>...</think><answer>...</answer>``; any markers will do.
        strict: whitespace is exactly the template's (but for a line break at the very end, where
            generation may stop); otherwise any may stand between markers and around the whole.
        empty: allow bodies in which nothing can be seen. Paying for them is how a model learns to
            write the tags and nothing else.

    Raises:
        UsageError: for a template without markers, or with one marker twice or inside another.

    Example:
        >>> form = TagFormat("<think>...</think><answer>...</answer>")
        >>> form.verify(Sample(completion="<think>2+2</think>\n<answer>4</answer>")).status
        'correct'
    """

    template: str
    strict: bool = False
    empty: bool = False

    @property
    def traits(self) -> frozenset[str]:  # type: ignore[override]
        """Whitespace counts if the form is strict."""
        return frozenset() if self.strict else frozenset({"whitespace"})

    def __post_init__(self) -> None:
        _layout(self.template, self.strict, self.empty)

    def _verify(self, sample: Sample) -> Verdict:
        text = sample.text
        if self.strict:
            text = text.removesuffix("\n")
        problem = _mismatch(text, _layout(self.template, self.strict, self.empty))
        if problem is None:
            return Verdict.correct("has the form", rule="template", span=(0, len(text)))
        reason, at = problem
        return Verdict.incorrect(reason, rule="template", span=at)


class MarkerOnce(Verifier):
    """The marker occurs exactly once.

    Raises:
        UsageError: for an empty marker.

    Example:
        >>> MarkerOnce("<SOLUTION>").verify(Sample(completion="<SOLUTION><SOLUTION>")).reason
        '<SOLUTION> occurs 2 times, not once'
    """

    marker: str

    def __post_init__(self) -> None:
        if not self.marker:
            raise UsageError("the marker must not be empty")

    def _verify(self, sample: Sample) -> Verdict:
        found = sample.text.count(self.marker)
        if found == 1:
            at = sample.text.find(self.marker)
            return Verdict.correct(
                f"{self.marker} occurs once", rule="marker", span=(at, at + len(self.marker))
            )
        return Verdict.incorrect(f"{self.marker} occurs {found} times, not once", rule="marker")


class RegexFormat(Verifier):
    r"""The completion matches a regular expression of the module ``regex``.

    A text on which the search runs past its time is incorrect: the text caused it.

    Args:
        pattern: the expression; ``.`` matches line breaks.
        full: match from the first character to the last; otherwise anywhere.
        timeout_s: seconds for one completion.

    Raises:
        UsageError: for a pattern that does not compile.

    Example:
        >>> form = RegexFormat(r"\s*<think>.*?</think>\s*<answer>.*?</answer>\s*")
        >>> form.verify(Sample(completion="<think>2+2</think><answer>4</answer>")).status
        'correct'
    """

    pattern: str
    full: bool = True
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    def __post_init__(self) -> None:
        compiled(self.pattern)

    def _verify(self, sample: Sample) -> Verdict:
        find = compiled(self.pattern).fullmatch if self.full else compiled(self.pattern).search
        try:
            match = find(sample.text, timeout=self.timeout_s)
        except TimeoutError:
            return Verdict.incorrect(
                f"the pattern ran past {self.timeout_s:g} s on this text", rule="pattern"
            )
        if match is None:
            return Verdict.incorrect("does not match the pattern", rule="pattern")
        return Verdict.correct(
            "matches the pattern", rule="pattern", span=match.span(), text=shorten(match.group())
        )


class _Step(NamedTuple):
    """Literal text that comes next, and whether a body comes before it."""

    text: str
    body_before: bool


class _Layout(NamedTuple):
    steps: tuple[_Step, ...]
    markers: tuple[str, ...]
    body_at_end: bool
    strict: bool
    empty: bool


_MARKER = re.compile(r"<[^<>\s]+>|[^<>\s]+|[<>]")


@lru_cache(maxsize=256)
def _layout(template: str, strict: bool, empty: bool) -> _Layout:
    """The template taken apart. Raises ``UsageError``."""
    steps: list[_Step] = []
    body = False
    if strict:
        template = template.removesuffix("\n")
    for i, literal in enumerate(template.split(HOLE)):
        parts = [literal] if strict and literal else _MARKER.findall(literal)
        if strict and literal and not literal.strip():
            raise UsageError(f"strict: only whitespace stands beside a body of {template!r}")
        body = i > 0
        for part in parts:
            steps.append(_Step(part, body))
            body = False
    markers = tuple(_MARKER.findall(template.replace(HOLE, " ")))
    _check_markers(template, markers)
    return _Layout(tuple(steps), markers, body, strict, empty)


def _check_markers(template: str, markers: tuple[str, ...]) -> None:
    if not markers or HOLE not in template:
        raise UsageError(
            f"the template needs markers and a '...' between them, as in "
            f"'<answer>...</answer>', got {template!r}"
        )
    if re.search(r"\.\.\.\s*\.\.\.", template):
        raise UsageError(f"nothing stands between two bodies of the template {template!r}")
    for i, marker in enumerate(markers):
        if any(marker in other for j, other in enumerate(markers) if i != j):
            raise UsageError(
                f"the marker {marker!r} occurs more than once in the template {template!r}: "
                f"each must differ from the others, as <think> and </think> do"
            )


Problem = tuple[str, tuple[int, int] | None]


def _mismatch(text: str, layout: _Layout) -> Problem | None:
    """What keeps the text from being the template, and where; ``None`` if nothing does."""
    for marker in layout.markers:
        if (count := text.count(marker)) != 1:
            return f"{marker} occurs {count} times, not once", None
    at = 0
    for step in layout.steps:
        found = text.find(step.text, at)
        if found < 0:
            return f"{step.text!r} does not follow where the template has it", (at, len(text))
        if reason := _bad_gap(text[at:found], step.body_before, layout):
            return f"{reason} before {step.text.strip()}", (at, found)
        at = found + len(step.text)
    if reason := _bad_gap(text[at:], layout.body_at_end, layout):
        return f"{reason} at the end", (at, len(text))
    return None


def _bad_gap(gap: str, body: bool, layout: _Layout) -> str | None:
    """What is wrong with the text between two literals, if anything."""
    if body:
        return "nothing to be seen" if not layout.empty and is_blank(gap) else None
    if layout.strict:
        return "other text or whitespace than the template's" if gap else None
    return "text outside of the blocks" if gap.strip() else None
