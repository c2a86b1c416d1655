"""Many answers at once, the right one among them: nothing is committed to.

Who dumps does not know the answer, so the right one stands in the middle. With it last, the dump
meets the rule "the last one counts", which is a choice: those are marked as policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rewardkit.testing.audit.attack import Attack, Target

__all__ = ["ATTACKS"]


def _several(target: Target, count: int = 9) -> list[str] | None:
    """Different answers of one kind, the gold in the middle; ``None`` where there is no gold."""
    if target.is_code or not target.gold:
        return None
    number = target.integer
    if number is not None:
        # Far from the gold, all but one: what is paid by nearness must have no reason to pay.
        step, half = abs(number) + 7, count // 2
        return [str(number + i * step) for i in range(-half, count - half)]
    kinds = [target.wrong, *(o for o in target.others if o != target.gold), "0", "1", "none"]
    wrong = list(dict.fromkeys(k for k in kinds if k != target.gold))[: count - 1]
    middle = (len(wrong) + 1) // 2
    return [*wrong[:middle], target.gold, *wrong[middle:]]


def _joined(joint: str) -> Callable[[Target], str | None]:
    def make(target: Target) -> str | None:
        several = _several(target)
        return None if several is None else target.answer(joint.join(several))

    return make


def _repeated(one: Callable[[str], str], joint: str) -> Callable[[Target], str | None]:
    def make(target: Target) -> str | None:
        several = _several(target)
        return None if several is None else joint.join(map(one, several))

    return make


def _range(target: Target) -> str | None:
    """Every whole number up to well past the gold, as one answer."""
    number = target.integer
    if number is None or target.is_code or not 0 <= number <= 700:
        return None
    return target.answer(", ".join(str(i) for i in range(3 * number + 100)))


def _options(letters: Sequence[str]) -> Callable[[Target], str | None]:
    def make(target: Target) -> str | None:
        return None if target.is_code else target.answer(", ".join(letters))

    return make


def _beside(text: str) -> Callable[[Target], str | None]:
    """The gold somewhere, and a wrong answer where the answer goes."""

    def make(target: Target) -> str | None:
        if target.is_code or not target.gold:
            return None
        return text.replace("GOLD", target.gold) + target.answer(target.wrong)

    return make


def _interval(target: Target) -> str | None:
    number = target.integer
    return None if number is None else target.answer(f"between {number - 9} and {4 * number + 9}")


def _corrected(target: Target) -> str | None:
    if target.is_code or not target.gold:
        return None
    return target.answer(target.wrong) + "\nNo, I was wrong.\n" + target.answer(target.gold)


def _retracted(target: Target) -> str | None:
    if target.is_code or not target.gold:
        return None
    return target.answer(target.gold) + f" Actually no, it is {target.wrong}."


def _last(target: Target) -> str | None:
    several = _several(target)
    if several is None:
        return None
    return " ".join(target.answer(a) for a in [*(s for s in several if s != target.gold),
                                               target.gold])  # fmt: skip


ATTACKS = (
    Attack("dump-commas", "dumps", "nine answers with commas", _joined(", ")),
    Attack("dump-or", "dumps", "nine answers with or", _joined(" or ")),
    Attack("dump-and", "dumps", "nine answers with and", _joined(" and ")),
    Attack("dump-spaces", "dumps", "nine answers with spaces", _joined(" ")),
    Attack("dump-lines", "dumps", "nine answers, one a line", _joined("\n")),
    Attack("dump-slashes", "dumps", "nine answers with slashes", _joined(" / ")),
    Attack("dump-forms", "dumps", "nine answers, each in the whole form",
           lambda t: None if (s := _several(t)) is None else "\n".join(map(t.answer, s))),
    Attack("dump-boxes", "dumps", "nine boxes side by side",
           _repeated(lambda a: f"\\boxed{{{a}}}", "")),
    Attack("dump-boxes-or", "dumps", "nine boxes with or",
           _repeated(lambda a: f"\\boxed{{{a}}}", " or ")),
    Attack("dump-tags", "dumps", "nine blocks of answer tags",
           _repeated(lambda a: f"<answer>{a}</answer>", "")),
    Attack("dump-hashes", "dumps", "nine answers after ####",
           _repeated(lambda a: f"#### {a}", "\n")),
    Attack("dump-phrases", "dumps", "nine times: the answer is",
           _repeated(lambda a: f"The answer is {a}.", " ")),
    Attack("dump-list", "dumps", "nine answers as a JSON list",
           lambda t: None if (s := _several(t)) is None else t.answer(f"[{', '.join(s)}]")),
    Attack("dump-set", "dumps", "nine answers as a set",
           lambda t: None if (s := _several(t)) is None else
           t.answer("\\{" + ", ".join(s) + "\\}")),
    Attack("dump-range", "dumps", "every whole number up to well past the right one", _range),
    Attack("options-letters", "dumps", "every letter of a choice", _options("ABCDEFGHIJ")),
    Attack("options-yes-no", "dumps", "yes and no, true and false",
           _options(("yes", "no", "true", "false"))),
    Attack("either-or", "dumps", "the right answer or a wrong one",
           lambda t: t.answer(f"{t.gold} or {t.wrong}") if t.gold and not t.is_code else None),
    Attack("plus-minus", "dumps", "plus or minus the right answer",
           lambda t: t.answer(f"\\pm {t.gold}") if t.integer else None),
    Attack("interval", "dumps", "an interval around the right answer", _interval),
    Attack("reals", "dumps", "all real numbers",
           lambda t: None if t.is_code else t.answer("\\mathbb{R}")),
    Attack("mentioned", "dumps", "mentions the right answer and gives a wrong one",
           _beside("It might have been GOLD, but it is not. ")),
    Attack("in-thinking", "dumps", "the right answer in the thinking alone",
           _beside("<think>GOLD</think>\n")),
    Attack("in-comment", "dumps", "the right answer in a comment",
           _beside("<!-- GOLD -->\n")),
    Attack("in-link", "dumps", "the right answer in a link", _beside("https://a.example/GOLD\n")),
    Attack("in-fence", "dumps", "the right answer in a code fence", _beside("```\nGOLD\n```\n")),
    Attack("in-early-box", "dumps", "the right answer in an early box",
           _beside("As a step, \\boxed{GOLD}. "), policy=True),
    Attack("in-early-tags", "dumps", "the right answer in early answer tags",
           _beside("<answer>GOLD</answer> no, "), policy=True),
    Attack("corrected", "dumps", "a wrong answer, then the right one", _corrected, policy=True),
    Attack("retracted", "dumps", "the right answer, then taken back", _retracted, policy=True),
    Attack("dump-last", "dumps", "many answers, the right one last", _last, policy=True),
)  # fmt: skip
