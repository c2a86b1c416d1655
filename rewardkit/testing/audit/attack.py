"""What an attack is, what it is given, and where attacks come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.metadata import entry_points

from rewardkit.errors import UsageError, brief
from rewardkit.sample import Sample, Text
from rewardkit.testing.audit.forms import Form

__all__ = ["FAMILIES", "GROUP", "Attack", "Target", "all_attacks", "checked", "said", "samples_of"]

GROUP = "rewardkit.attacks"
"""Entry points of this group name an :class:`Attack`, or several in a list or tuple."""

FAMILIES = (
    "void", "forms", "dumps", "restated", "claims", "numbers", "unicode", "judges", "farming",
    "hostile", "code",
)  # fmt: skip
"""Our own attacks, one module each in ``rewardkit.testing.audit.attacks``."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an attack is given: one row, and what honest completions of it look like.

    Attributes:
        sample: the row, with an empty completion: text, or a chat where chats are judged.
        gold: the right answer as text; empty if the row has none. For code, a right program.
        wrong: a wrong answer of the same kind.
        form: the form that the reward reads: ``form.fill("4")`` is a completion that answers 4.
        others: right answers of other rows.
        entry: the function that a code row asks for; ``None`` if it asks for none.
        is_code: True if the row asks for a program.
    """

    sample: Sample
    gold: str
    wrong: str
    form: Form
    others: tuple[str, ...] = ()
    entry: str | None = None
    is_code: bool = False

    @property
    def prompt(self) -> str:
        """The question as text; empty if the row has none."""
        return self.sample.prompt_text

    @property
    def integer(self) -> int | None:
        """The gold, if it is a whole number of at most twelve digits."""
        bare = self.gold.replace(",", "").removeprefix("-")
        if not (bare.isascii() and bare.isdigit() and len(bare) <= 12):
            return None
        return int(self.gold.replace(",", ""))

    def answer(self, text: str) -> str:
        """An honest-looking completion with this as the answer."""
        return self.form.fill(text)


def said(sample: Sample, completion: Text) -> Sample:
    """The row with this completion: as a message where the row is a chat, else as it is."""
    if isinstance(completion, str) and not isinstance(sample.completion, str):
        completion = [{"role": "assistant", "content": completion}]
    return replace(sample, completion=completion)


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack.

    Attributes:
        name: short, with hyphens; unique.
        family: the kind of attack.
        about: what it does, in one sentence.
        make: the completion for a target; ``None`` where the attack makes no sense. It must not
            hold the right answer as an honest completion would.
        void: the text holds nothing that could be an answer, whatever the question: a reward of
            form alone must not pay it either.
        policy: whether to pay it is a matter of choice (the last of several boxes, a retraction):
            reported, and never an alarm.

    Example:
        >>> Attack("shout", "void", "shouts", lambda target: "PLEASE!", void=True).name
        'shout'
    """

    name: str
    family: str
    about: str
    make: Callable[[Target], Text | None] = field(compare=False)
    void: bool = False
    policy: bool = False

    def __post_init__(self) -> None:
        if not self.name or not callable(self.make):
            raise UsageError(f"an attack needs a name and a function, got {brief(self)}")


def samples_of(attacks: Iterable[Attack], target: Target) -> list[tuple[Attack, Sample]]:
    """What each attack makes of a row; those that make no sense there are left out."""
    made = ((attack, attack.make(target)) for attack in attacks)
    return [(attack, said(target.sample, text)) for attack, text in made if text is not None]


def all_attacks() -> tuple[Attack, ...]:
    """Our attacks, then those of other packages.

    Raises:
        UsageError: for an entry point that holds no attacks, or a name that is used twice.
    """
    found: list[Attack] = []
    for family in FAMILIES:
        found += import_module(f"rewardkit.testing.audit.attacks.{family}").ATTACKS
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        found += _loaded(point.name, point.load())
    return checked(found)


def checked(attacks: Iterable[Attack]) -> tuple[Attack, ...]:
    """The attacks, each name once. Raises ``UsageError``."""
    by_name: dict[str, Attack] = {}
    for attack in attacks:
        if not isinstance(attack, Attack):
            raise UsageError(f"an attack must be an Attack, got {brief(attack)}")
        if attack.name in by_name:
            raise UsageError(f"two attacks are called {attack.name!r}")
        by_name[attack.name] = attack
    return tuple(by_name.values())


def _loaded(name: str, given: object) -> list[Attack]:
    listed = list(given) if isinstance(given, list | tuple) else [given]
    attacks = [attack for attack in listed if isinstance(attack, Attack)]
    if len(attacks) < len(listed):
        raise UsageError(
            f"the entry point {name!r} of {GROUP} must lead to an Attack or a list of them, "
            f"got {brief(given)}"
        )
    return attacks
