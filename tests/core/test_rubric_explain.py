"""Promise: every score explains itself, and judged text writes nothing of its own into it."""

from __future__ import annotations

from says import Says, row

from rewardkit import (
    Rubric,
    Sample,
    Verdict,
    Verifier,
)


def test_a_score_explains_itself() -> None:
    rubric = Rubric(format=Says("a"), answer=Says("b").reward(3.0, -1.0)).gate(
        "answer", on="format"
    )
    text = rubric.score(row(a="correct", b="no")).explain()
    for expected in ("total  +0", "├─ format", "└─ answer", "-1 = -1 × 1", "incorrect", "it is no",
                     "judged 'text' at 0:4 by said", "Says version 1", "ms]", rubric.fingerprint):  # fmt: skip
        assert expected in text
    lost = rubric.score(row(a="correct", b="unscorable"))
    assert "none (unscorable)" in lost.explain()
    assert "fault: dataset" in lost.explain()
    assert "gated" in rubric.score(row(a="no", b="no")).explain()
    assert repr(lost) == "Score(total=None, format=1, answer=None)"


def test_judged_text_cannot_write_on_the_terminal_or_into_the_page() -> None:
    hostile = "\x1b[2J\x1b[32mtotal +99\r\n<script>alert(1)</script>\u202e"
    sample = Sample(completion=hostile, columns={"a": "no"})
    score = Rubric(a=Says("a")).score(sample)
    assert not {"\x1b", "\r", "\u202e"} & set(score.explain())
    assert "<script>" not in score._repr_html_()


def test_what_was_judged_is_shown_so_that_a_line_break_and_a_backslash_differ() -> None:
    def shown(text: str) -> str:
        return Rubric(a=Says("a")).score(Sample(completion=text, columns={"a": "no"})).explain()

    assert r"judged 'a\nb' at" in shown("a\nb")
    assert r"judged 'a\\nb' at" in shown(r"a\nb")


def test_a_verdict_with_odd_evidence_and_a_part_with_an_odd_name_are_still_explained() -> None:
    class Odd(Verifier):
        def _verify(self, sample: Sample) -> Verdict:
            return Verdict.incorrect(7, text=42, rule=b"r")  # type: ignore[arg-type]

    score = Rubric.from_parts({"\x1b[2Jname\n": Odd()}).score(completion="x")
    text = score.explain()
    assert "judged 42" in text
    assert r"\x1b[2Jname\n" in text
    assert "\x1b" not in text + repr(score)
