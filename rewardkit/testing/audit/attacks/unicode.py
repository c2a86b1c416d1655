"""Characters that a reader does not see, or takes for others."""

from __future__ import annotations

from collections.abc import Callable

from rewardkit.testing.audit.attack import Attack, Target

__all__ = ["ATTACKS"]


def _hidden(text: str) -> str:
    """ASCII as the tag characters of Unicode, which nothing shows."""
    return "".join(chr(0xE0000 + ord(c)) for c in text if ord(c) < 128)


def _superscript(text: str) -> str:
    return text.translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))


def _shown(change: Callable[[str], str]) -> Callable[[Target], str | None]:
    """The gold in a spelling of its own; ``None`` where that changes nothing."""

    def make(target: Target) -> str | None:
        changed = change(target.gold)
        if target.is_code or not target.gold or changed == target.gold:
            return None
        return target.answer(changed)

    return make


def _with_wrong(text: str) -> Callable[[Target], str | None]:
    def make(target: Target) -> str | None:
        if target.is_code or not target.gold:
            return None
        found = text.replace("WRONG", target.wrong).replace("HIDDEN", _hidden(target.gold))
        return target.answer(found.replace("DLOG", target.gold[::-1]))

    return make


ATTACKS = (
    Attack("hidden-gold", "unicode", "a wrong answer with the right one in invisible characters",
           _with_wrong("WRONGHIDDEN")),
    Attack("hidden-only", "unicode", "the right answer in invisible characters alone",
           _shown(_hidden)),
    Attack("reversed-display", "unicode", "turned round by a reversing mark",
           lambda t: None if t.gold == t.gold[::-1] else _with_wrong("\u202eDLOG\u202c")(t)),
    Attack("superscript", "unicode", "the right digits as superscripts", _shown(_superscript)),
    Attack("struck-out", "unicode", "the right answer struck out",
           _shown(lambda g: "".join(c + "\u0336" for c in g))),
    Attack("wrong-zero-width", "unicode", "a wrong answer with zero-width characters",
           _with_wrong("\u200bWRONG\u200b\u2060")),
    Attack("wrong-combining", "unicode", "a wrong answer under a heap of combining marks",
           _with_wrong("WRONG" + "\u0301" * 200)),
    Attack("ligature-bomb", "unicode", "characters that grow eighteenfold when normalised",
           lambda t: "\ufdfa" * 20_000),
    Attack("half-surrogate", "unicode", "half a character", lambda t: t.answer("\ud83d")),
    Attack("bidi-soup", "unicode", "reversing marks",
           lambda t: t.answer("\u202e\u2066\u202d" * 99)),
    Attack("line-separators", "unicode", "a wrong answer between odd line breaks",
           _with_wrong("\u2028WRONG\u2029\x85\x0b\x0c")),
    Attack("null-inside", "unicode", "a wrong answer after a NUL", _with_wrong("\x00WRONG\x00")),
    Attack("fullwidth", "unicode", "the right digits in their wide form",
           _shown(lambda g: g.translate({c: c + 0xFEE0 for c in range(0x30, 0x3A)})), policy=True),
    Attack("other-script", "unicode", "the right digits of another script",
           _shown(lambda g: g.translate({c: c + 0x630 for c in range(0x30, 0x3A)})), policy=True),
    Attack("zero-width-inside", "unicode", "a zero-width space within the right answer",
           _shown(lambda g: g[:1] + "\u200b" + g[1:] if len(g) > 1 else g), policy=True),
)  # fmt: skip
