"""The base of every verifier: write one method, get sync, async and batch."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from time import perf_counter
from typing import Any, ClassVar, dataclass_transform

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from rewardkit._running import run_sync, waiting
from rewardkit.errors import UsageError, brief, must_be_raised, told
from rewardkit.rewards import OnUnscorable, VerifierReward
from rewardkit.sample import Column, Sample
from rewardkit.verdict import Evidence, Verdict

__all__ = ["Verifier"]

MAX_IN_FLIGHT = 64
"""Samples that one asynchronous verifier judges at the same time."""

# ser_json_inf_nan: a limit or bound of infinity must survive the way to JSON and back.
_CONFIG = ConfigDict(extra="forbid", arbitrary_types_allowed=True, ser_json_inf_nan="constants")


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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        pydantic_dataclass(cls, frozen=True, config=_CONFIG)
        cls.__init__ = _explained(cls.__init__)  # type: ignore[method-assign]

    def _verify(self, sample: Sample) -> Verdict:
        """Judge one sample. The text is hostile; the answer may be anything a dataset holds."""
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
            return (
                await asyncio.to_thread(self.verify, sample)
                if self.blocking
                else (self.verify(sample))
            )
        start = perf_counter()
        try:
            verdict = _checked(await self._averify(sample))
        except Exception as error:
            verdict = _broken(error)
        return self._stamp(verdict, start)

    def verify_many(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Judge a batch; verdicts come in the order of the samples."""
        if self.is_async:
            return run_sync(lambda: self.averify_many(samples))
        if not self.blocking or len(samples) < 2:
            return [self.verify(sample) for sample in samples]
        with waiting(), ThreadPoolExecutor(min(len(samples), 16)) as pool:
            return list(pool.map(self.verify, samples))

    async def averify_many(self, samples: Sequence[Sample]) -> list[Verdict]:
        """:meth:`verify_many` for async code."""
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
        return VerifierReward(
            self, correct, incorrect, partial=partial, values=dict(values or {}),
            weight=weight, unscorable=unscorable,
        )  # fmt: skip

    @property
    def columns(self) -> frozenset[str]:
        """Names of the row's columns that judging reads."""
        own = (getattr(self, f.name) for f in fields(self))  # type: ignore[arg-type]
        return frozenset(self.needs) | {v.column for v in own if isinstance(v, Column)}

    def environment(self) -> dict[str, Any]:
        """What judging depends on that no spec holds, for the run folder; plain data."""
        return {}

    @property
    def is_async(self) -> bool:
        """True if the verifier is written as ``_averify``."""
        return type(self)._verify is Verifier._verify

    def _stamp(self, verdict: Verdict, start: float) -> Verdict:
        return verdict.with_evidence(
            seconds=perf_counter() - start, verifier=type(self).__name__, version=self.version
        )

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


def _explained(init: Callable[..., None]) -> Callable[..., None]:
    """Turns pydantic's validation error into ours, which names the class and the mend."""

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except ValidationError as error:
            raise UsageError(explain_validation(error, type(self).__name__)) from None

    return checked


def explain_validation(error: ValidationError, what: str) -> str:
    """One line per mistake: where, what was expected, what was got."""
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "(whole)"
        inner = item.get("ctx", {}).get("error")
        if isinstance(inner, UsageError):  # a part that has already explained itself
            lines.append(f"{what}: {where}: {inner}")
            continue
        lines.append(f"{what}: {where}: {item['msg']}, got {brief(item.get('input'))}")
    return "\n".join(lines)
