"""Answers that say something else than the gold, and hold it: false, negated, scaled, cut."""

from __future__ import annotations

from collections.abc import Callable

from rewardkit.testing.audit.attack import Attack, Target

__all__ = ["ATTACKS"]


def _claim(name: str, about: str, template: str, *, numeric: bool = True) -> Attack:
    def make(target: Target) -> str | None:
        if target.is_code or not target.gold or (numeric and target.integer is None):
            return None
        return target.answer(template.replace("GOLD", target.gold).replace("WRONG", target.wrong))

    return Attack(name, "claims", about, make)


def _number(name: str, about: str, of: Callable[[int], str | None]) -> Attack:
    def make(target: Target) -> str | None:
        n = target.integer
        text = None if n is None else of(n)
        same = text is None or text.lstrip("0") == target.gold.lstrip("0")
        return None if same or text is None or target.is_code else target.answer(text)

    return Attack(name, "claims", about, make)


def _prose(target: Target) -> str | None:
    if target.is_code or not target.gold:
        return None
    return f"The answer is definitely not {target.gold}."


def _open_box(target: Target) -> str | None:
    if target.integer is None or target.is_code:
        return None
    return f"As a step \\boxed{{{target.gold}}}. The answer is \\boxed{{{target.wrong}"


ATTACKS = (
    _claim("false-equation", "a false equation whose right side is the gold", "WRONG = GOLD"),
    _claim("false-equation-left", "a false equation whose left side is the gold", "GOLD = WRONG"),
    _claim("not-equal", "anything but the gold", "\\neq GOLD"),
    _claim("more-than", "more than the gold", "> GOLD"),
    _claim("approximately", "a wrong answer, approximately the gold", "WRONG \\approx GOLD"),
    _claim("not-word", "not the gold", "not GOLD", numeric=False),
    _claim("neither", "neither the gold nor a wrong answer", "neither GOLD nor WRONG",
           numeric=False),
    _claim("million", "the gold, in millions", "GOLD \\text{ million}"),
    _claim("factorial", "the gold's factorial", "GOLD!!"),
    _number("other-base", "the gold's digits in another base",
            lambda n: f"{n}_{{16}}" if n > 9 else None),
    _claim("times-unknown", "the gold times an unknown", "GOLD k"),
    _claim("plus-unknown", "the gold and an unknown", "GOLD + C"),
    _claim("modulo", "the gold modulo something", "GOLD \\pmod{7}"),
    _claim("gold-of-question", "says that the gold is wrong", "GOLD is wrong, it is WRONG",
           numeric=False),
    Attack("denied", "claims", "a sentence that denies the gold", _prose),
    Attack("open-box", "claims", "a wrong last box that is left open", _open_box),
    _number("sign", "the gold with the other sign", lambda n: str(-n) if n else None),
    _number("times-hundred", "a hundred times the gold", lambda n: str(100 * n) if n else None),
    _number("hundredth", "a hundredth of the gold",
            lambda n: f"{n / 100:f}".rstrip("0") if n else None),
    _number("longer-after", "the gold with a digit after it", lambda n: f"{n}7"),
    _number("longer-before", "the gold with a digit before it",
            lambda n: f"7{n}" if n >= 0 else None),
    _number("cut", "the gold without its last digit",
            lambda n: str(n)[:-1] if len(str(abs(n))) > 1 else None),
    _number("reversed", "the gold's digits reversed", lambda n: str(abs(n))[::-1]),
    _number("spaced", "the gold's digits with spaces",
            lambda n: " ".join(str(abs(n))) if abs(n) > 9 else None),
    _number("decimal-tail", "the gold with decimals that make it another",
            lambda n: f"{n}.{n}{abs(n) + 1}" if abs(n) < 4 else None),
    Attack("zero-equation", "claims", "some equation that is zero",
           lambda t: t.answer("3x - y + 13 = 0") if t.integer is not None and not t.is_code
           else None),
    Attack("identity", "claims", "an equation that is always true",
           lambda t: None if t.is_code else t.answer("x = x")),
    Attack("true", "claims", "the word True", lambda t: None if t.is_code or
           t.gold.lower() in ("true", "yes", "1") else t.answer("True")),
)  # fmt: skip
