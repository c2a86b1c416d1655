"""The base of every verifier: write one method, get sync, async and batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

from rewardkit._arguments import make_arguments
from rewardkit.errors import must_be_raised, told
from rewardkit.sample import Aspect, Column, Sample, aspect_by
from rewardkit.verdict import Evidence, Verdict, stamp

if TYPE_CHECKING:
    from rewardkit.rewards import OnUnscorable, VerifierReward

__all__ = ["Verifier"]

MAX_IN_FLIGHT = 64
"""Samples that one asynchronous verifier judges at the same time."""


@dataclass_transform(frozen_default=True)
class Verifier:
    """Says whether a property of a sample holds.

    A subclass is a frozen, validated dataclass by itself: write fields, then either ``_verify``
    or ``_averify``. Instances pickle, compare and print; unknown or ill-typed arguments raise
    ``UsageError``.

    Class attributes:
        version: raise it whenever verdicts change; it is part of every verdict and fingerprint.
        stands_on: distributions whose version may change a verdict ("sympy").
        blocking: True if verifying waits (a process, the network): batches then use threads. A
            verifier of verifiers makes it a property, since it waits if one of them does.
        labels: labels that its verdicts may have, if they are a closed list.
        needs: columns of the row that are read besides the arguments given as ``Column``.
        traits: what it promises of itself, so that further laws are checked: see
            :data:`rewardkit.testing.laws.TRAITS`. Where it depends on arguments, a property.

    Example:
        >>> class EndsWith(Verifier):
        ...     suffix: str
        ...     def _verify(self, sample):
        ...         if sample.text.endswith(self.suffix):
        ...             return Verdict.correct(f"ends with {self.suffix!r}")
        ...         return Verdict.incorrect(f"does not end with {self.suffix!r}")
        >>> EndsWith("!").verify(Sample(completion="Yes!")).status
        'correct'
    """

    version: ClassVar[str] = "1"
    stands_on: ClassVar[tuple[str, ...]] = ()
    blocking: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    labels: ClassVar[tuple[str, ...]] = ()
    traits: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        make_arguments(cls)

    def _verify(self, sample: Sample) -> Verdict:
        """Judge one sample. The text is hostile; the answer may be anything a dataset holds."""
        from rewardkit._running import run_sync

        return run_sync(lambda: self._averify(sample))

    async def _averify(self, sample: Sample) -> Verdict:
        """Judge one sample, asynchronously."""
        raise NotImplementedError(f"{type(self).__name__} implements neither _verify nor _averify")

    def verify(self, sample: Sample) -> Verdict:
        """Judge one sample.

        A defect of the verifier itself (it raises, builds an impossible verdict, returns none)
        comes back as ``unscorable`` (fault ``"verifier"``, rule ``"verifier error"``), so that it
        never looks like a wrong answer and no judged text can stop a run by it.

        Raises:
            MissingColumnError, MissingExtraError, SandboxUnavailable: what every row would meet
                again, and no judged text causes.
        """
        start = perf_counter()
        try:
            verdict = _checked(self._verify(sample))
        except Exception as error:
            verdict = _broken(error)
        return self._stamp(verdict, start)

    async def averify(self, sample: Sample) -> Verdict:
        """:meth:`verify` for async code; the event loop is not blocked by a blocking verifier."""
        if not self.is_async:
            if not self.blocking:
                return self.verify(sample)
            import asyncio

            return await asyncio.to_thread(self.verify, sample)
        start = perf_counter()
        try:
            verdict = _checked(await self._averify(sample))
        except Exception as error:
            verdict = _broken(error)
        return self._stamp(verdict, start)

    def verify_many(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Judge a batch; verdicts come in the order of the samples."""
        if not self.is_async and (not self.blocking or len(samples) < 2):
            return [self.verify(sample) for sample in samples]
        from concurrent.futures import ThreadPoolExecutor

        from rewardkit._running import run_sync, waiting

        if self.is_async:
            return run_sync(lambda: self.averify_many(samples))
        with waiting(), ThreadPoolExecutor(min(len(samples), 16)) as pool:
            return list(pool.map(self.verify, samples))

    async def averify_many(self, samples: Sequence[Sample]) -> list[Verdict]:
        """:meth:`verify_many` for async code."""
        import asyncio

        if self.is_async:
            free = asyncio.Semaphore(MAX_IN_FLIGHT)

            async def one(sample: Sample) -> Verdict:
                async with free:
                    return await self.averify(sample)

            return list(await asyncio.gather(*map(one, samples)))
        if self.blocking:
            return await asyncio.to_thread(self.verify_many, samples)
        return self.verify_many(samples)

    def reward(
        self,
        correct: float = 1.0,
        incorrect: float = 0.0,
        *,
        partial: bool = False,
        values: Mapping[str, float] | None = None,
        weight: float = 1.0,
        unscorable: OnUnscorable = "abstain",
    ) -> VerifierReward:
        """A reward that pays by this verifier's verdict; see :class:`rewardkit.VerifierReward`."""
        from rewardkit.rewards import VerifierReward

        return VerifierReward(
            self, correct, incorrect, partial=partial, values=dict(values or {}),
            weight=weight, unscorable=unscorable,
        )  # fmt: skip

    @property
    def columns(self) -> frozenset[str]:
        """Names of the row's columns that judging reads."""
        own = (getattr(self, f.name) for f in fields(self))  # type: ignore[arg-type]
        return frozenset(self.needs) | {v.column for v in own if isinstance(v, Column)}

    @property
    def aspect(self) -> Aspect:
        """What it judges: the ``"answer"``, or the ``"form"``, which is had without a right answer.

        Told by the columns that are read. A verifier that knows what is right without the row (by
        tests that are an argument), or reads of the row only what form is wanted, says so itself.
        """
        return aspect_by(self.columns)

    def check_gold(self, sample: Sample) -> Verdict | None:
        """The unscorable verdict that no completion of this row could avoid; ``None``: there is
        none. Asked before a run (``rewardkit check-data``).

        An empty completion is judged: what cannot be judged even then is no fault of the text. So
        a bad gold is found if ``_verify`` reads the gold before it reads the text. A verifier
        written as ``_averify`` is not run, since it may ask a service; override this and
        :attr:`checks_gold` where it can tell without.
        """
        if self.is_async:
            return None
        verdict = self.verify(replace(sample, completion=""))
        return verdict if verdict.status == "unscorable" else None

    @property
    def checks_gold(self) -> bool:
        """False if :meth:`check_gold` cannot tell."""
        return not self.is_async

    def environment(self) -> dict[str, Any]:
        """What judging depends on that no spec holds, for the run folder; plain data."""
        return {}

    @property
    def is_async(self) -> bool:
        """True if the verifier is written as ``_averify``."""
        return type(self)._verify is Verifier._verify

    def _stamp(self, verdict: Verdict, start: float) -> Verdict:
        return stamp(verdict, perf_counter() - start, type(self).__name__, self.version)

    def _argument(self, value: Any, sample: Sample) -> Any:
        """An argument's value for this row: a ``Column`` is looked up, all else is itself."""
        if isinstance(value, Column):
            return value.of(sample, wanted_by=type(self).__name__)
        return value


def _checked(verdict: object) -> Verdict:
    """What a verifier returned, if it is a verdict. Raises ``TypeError``."""
    if not isinstance(verdict, Verdict):
        raise TypeError(f"it returned no Verdict but {type(verdict).__name__}")
    if not isinstance(verdict.evidence, Evidence):
        raise TypeError(f"its verdict holds no Evidence but {type(verdict.evidence).__name__}")
    return verdict


def _broken(error: Exception) -> Verdict:
    """The verdict on a verifier that failed. Raises the error again if it is the caller's."""
    if must_be_raised(error):
        raise error
    reason = f"the verifier failed: {told(error)}"
    return Verdict.unscorable(reason, fault="verifier", rule="verifier error")
