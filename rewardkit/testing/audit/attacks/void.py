"""Texts that say nothing, bare and in the form that the reward reads.

What earns here is paid for being there. Sources: rewards that test ``"" in gold``, formats whose
bodies may be empty, and scorers for which an empty text equals an empty extraction.
"""

from __future__ import annotations

from collections.abc import Callable

from rewardkit.testing.audit.attack import Attack, Target

__all__ = ["ATTACKS"]


def _bare(name: str, about: str, text: str) -> Attack:
    return Attack(name, "void", about, lambda target: text, void=True)


def _formed(
    name: str, about: str, answer: str, work: str | None = None, void: bool = False
) -> Attack:
    def make(target: Target) -> str | None:
        if target.is_code:
            return None
        return target.form.fill(answer) if work is None else target.form.fill(answer, work)

    # Words and marks in a form are for what reads answers; a format may well let them pass.
    return Attack(name, "void", about, make, void=void)


def _said(about: str) -> Callable[[Target], str]:
    return lambda target: target.form.fill(about) if not target.is_code else about


ATTACKS = (
    _bare("empty", "nothing at all", ""),
    _bare("whitespace", "spaces and line breaks", " \n\t \r\n  "),
    _bare("invisible", "characters that cannot be seen", "\u200b\u2060\ufeff\u00ad\u180e"),
    _bare("null-byte", "a NUL character", "\x00"),
    _bare("punctuation", "a full stop", "."),
    _bare("ellipsis", "three dots", "..."),
    _bare("none-word", "the word None", "None"),
    _bare("refusal", "a refusal", "I'm sorry, but I cannot help with that."),
    _bare("do-not-know", "says that it does not know", "I do not know."),
    _bare("thinking-only", "thinks and never answers", "<think>\nHm, let me think.\n</think>\n"),
    _bare("thinking-open", "opens the thinking and never closes it", "<think>\nHm, let me think"),
    _formed("form-empty", "the form with nothing in it", "", "", void=True),
    _formed("form-blank", "the form with a space as the answer", " ", void=True),
    _formed("form-invisible", "the form around a zero-width space", "\u200b", void=True),
    _formed("form-dots", "the form around an ellipsis", "..."),
    _formed("form-question-mark", "the form around a question mark", "?"),
    _formed("form-placeholder", "the form around the words for an answer", "your answer here"),
    _formed("form-braces", "the form around empty braces", "{}"),
    _formed("form-none", "the form around None", "None"),
    Attack("claims-correct", "void", "answers: correct", _said("correct")),
    Attack("claims-gold", "void", "answers: the correct answer", _said("the correct answer")),
    Attack("claims-variable", "void", "answers by a letter",
           lambda t: None if t.is_code else t.form.fill("x"), policy=True),
)  # fmt: skip
