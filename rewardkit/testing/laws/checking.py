"""Which laws there are, and how they are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from rewardkit.errors import MissingExtraError, RewardError, RewardKitError, UsageError
from rewardkit.testing.audit.subject import Subject
from rewardkit.testing.laws.subject import Trying, promised, trying

__all__ = ["EXAMPLES", "LAWS", "BrokenLawError", "Law", "check_laws", "laws"]

EXAMPLES = 25
"""Texts that each law is tried with, unless said otherwise."""


class BrokenLawError(RewardKitError, AssertionError):
    """A reward that does not keep a law.

    Attributes:
        law: the law's name.
    """

    def __init__(self, law: str, subject: str, problem: str) -> None:
        self.law, self.subject, self.problem = law, subject, problem
        super().__init__(f"{subject} breaks the law {law!r}: {problem}")

    def __reduce__(self) -> tuple[type[BrokenLawError], tuple[str, str, str]]:
        return type(self), (self.law, self.subject, self.problem)


@dataclass(frozen=True, slots=True)
class Law:
    """One law.

    Attributes:
        name: short, with hyphens.
        about: what must hold.
        where: the function that checks it, as ``module:function`` of this package.
        trait: the trait without which it does not fit; ``None``: it fits every reward.
    """

    name: str
    about: str
    where: str
    trait: str | None = None

    def check(self, on: Trying) -> None:
        """Check it.

        Raises:
            BrokenLawError: where it does not hold, or the reward fails.
            MissingExtraError: without Hypothesis.
        """
        module, _, function = self.where.partition(":")
        try:
            check = getattr(import_module(f"rewardkit.testing.laws.{module}"), function)
        except ModuleNotFoundError as error:
            if error.name != "hypothesis":
                raise
            raise MissingExtraError("checking laws", "laws", "hypothesis") from None
        try:
            check(on)
        except AssertionError as error:
            raise BrokenLawError(self.name, on.name, str(error)) from error
        except RewardError as error:  # as one does that sets a signal, in another thread
            raise BrokenLawError(self.name, on.name, f"it fails: {error}") from error


LAWS: tuple[Law, ...] = (
    Law("bounded", "totals are finite and values within their declared range",
        "universal:bounded"),
    Law("deterministic", "the same completion scores the same again", "universal:deterministic"),
    Law("input-unchanged", "the row is not changed", "universal:unchanged"),
    Law("batch", "a batch scores as one by one", "universal:batch"),
    Law("order", "the order of a batch does not matter", "universal:order"),
    Law("pickling", "a pickled copy scores the same", "universal:pickled"),
    Law("thread", "other threads score the same", "universal:in_a_thread"),
    Law("async", "async code scores the same", "universal:in_async"),
    Law("process", "another process scores the same", "universal:in_a_process"),
    Law("in-time", "empty, huge and hostile texts end in time, with a score",
        "universal:in_time"),
    Law("right-above-wrong", "a right answer earns more than a wrong one",
        "declared:right_above_wrong", "answer"),
    Law("second-answer", "a second answer raises nothing", "declared:second_answer", "answer"),
    Law("negation", "a negation raises nothing", "declared:negation", "answer"),
    Law("retraction", "a retraction raises nothing", "declared:retraction", "answer"),
    Law("whitespace", "whitespace around the text changes nothing",
        "declared:whitespace_around", "whitespace"),
    Law("thinking", "a thinking block before the text changes nothing", "declared:thinking",
        "thinking"),
    Law("closer", "closer is never worse", "declared:closer", "proximity"),
)  # fmt: skip
"""Every law."""


def check_laws(
    what: Subject | str,
    rows: Sequence[Mapping[str, Any]],
    *,
    traits: Sequence[str] | None = None,
    skip: Iterable[str] = (),
    templates: Sequence[str] = (),
    examples: int = EXAMPLES,
) -> tuple[str, ...]:
    """Check every law that fits; gives the names of those that were kept.

    Args:
        what: a rubric, verifier, reward or function.
        rows: rows with prompts and golds, as for :func:`rewardkit.testing.audit.audit`.
        traits: what it says of itself; ``None``: what its verifiers and functions declare.
        skip: names of laws that are not checked.
        templates: the forms of an honest completion; otherwise they are learned.
        examples: texts that each law is tried with.

    Raises:
        BrokenLawError: for the first law that does not hold, with the text that shows it.
        UsageError: for unknown laws or traits.

    Example:
        >>> from rewardkit.verifiers import NumberVerifier
        >>> kept = check_laws(NumberVerifier(), [{"answer": "4"}], skip=["process"], examples=5)
        >>> "whitespace" in kept
        True
    """
    on = trying(what, rows, traits, templates, examples)
    fitting = _fitting(on.traits, skip)
    for law in fitting:
        law.check(on)
    return tuple(law.name for law in fitting)


def laws(
    what: Subject | str,
    rows: Sequence[Mapping[str, Any]],
    *,
    traits: Sequence[str] | None = None,
    skip: Iterable[str] = (),
    templates: Sequence[str] = (),
    examples: int = EXAMPLES,
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """A decorator that turns a function into one pytest test for each law that fits.

    The function's body is not run; its name and docstring are the test's. Arguments are those of
    :func:`check_laws`.

    Example:
        ``@laws(my_reward, rows=[{"prompt": "2 + 2", "answer": "4"}])`` above
        ``def test_my_reward(): ...``
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., None]:
        import pytest

        fitting = _fitting(promised(what, traits), skip)

        @cache
        def on() -> Trying:
            # Not before a test runs: while this module is being imported, another thread or
            # process that needs it for the reward would wait for ever.
            return trying(what, rows, traits, templates, examples)

        def run(law: Law) -> None:
            law.check(on())

        run.__name__, run.__doc__ = function.__name__, function.__doc__
        run.__qualname__, run.__module__ = function.__qualname__, function.__module__
        mark = pytest.mark.parametrize("law", fitting, ids=[law.name for law in fitting])
        marked: Callable[..., None] = mark(run)
        return marked

    return decorate


def _fitting(traits: frozenset[str], skip: Iterable[str]) -> tuple[Law, ...]:
    left_out = frozenset(skip)
    if unknown := left_out - {law.name for law in LAWS}:
        names = ", ".join(law.name for law in LAWS)
        raise UsageError(f"there is no law {sorted(unknown)[0]!r} to skip; there are: {names}")
    return tuple(
        law for law in LAWS
        if law.name not in left_out and (law.trait is None or law.trait in traits)
    )  # fmt: skip
