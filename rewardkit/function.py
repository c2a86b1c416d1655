"""Any function that users already have, as a reward."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import reprlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any, overload

from rewardkit._limited import Failed, Lost, Overrun, attempt, run_soft
from rewardkit._running import run_sync
from rewardkit._signature import Form, Signature
from rewardkit.errors import RewardError, RubricError, UsageError, must_be_raised
from rewardkit.rewards import OnUnscorable, Outcome, Reward, check_finite
from rewardkit.sample import Aspect, Sample, aspect_by
from rewardkit.verdict import Verdict

__all__ = ["FunctionReward", "reward"]

MAX_VALUE = 1e100
"""Beyond this a value is as good as infinite: sums and squares of it overflow."""
CLOCK_FACTOR = 4.0
"""Seconds by the clock for each second of a hard limit, which is processor time: a busy machine
must not decide, and what computes without end is told from what waits. What sleeps, by the look of
its process, is waited for no longer than the limit itself."""
MAX_IN_FLIGHT = 64
"""Calls of one async function that run at the same time."""


@dataclass(frozen=True, kw_only=True)
class FunctionReward(Reward):
    """Pays what a function returns.

    The function is called by argument name. One that takes ``completions`` is called once per
    batch (TRL's form) with lists and returns a list; any other is called once per sample with
    ``completion`` and ``prompt`` as text, ``answer``, and columns by their names, and returns one
    number. ``None`` means that there is no verdict. Both may be ``async``.

    Args:
        fn: the function.
        bounds: least and greatest value it returns, if known; needed behind a gate, and checked.
        limit_s: seconds that one call may take; ``None``: as the scoring says, by default without
            a limit, called here and now. Under a limit, a function that another process can import
            runs in a worker that is killed after so much processor time, or by the clock: after so
            long if it sleeps, after four times that if the machine gives it no processor. Its
            process keeps no state for the caller. Any other function runs in a thread that is left
            behind after so much time by the clock, see :mod:`rewardkit._limited`.
        form: ``"single"``, ``"batch"`` or ``"group"`` (called with all completions of one prompt);
            read from the signature if ``None``.
        name: the name of the part when passed to ``Rubric`` without one.

    Raises:
        UsageError: if the function cannot be called by argument name.
        RubricError: if bounds or limit are not what they should be.
    """

    fn: Callable[..., Any] = field(kw_only=False)
    bounds: tuple[float, float] | None = None
    limit_s: float | None = None
    form: Form | None = None
    name: str = ""
    signature: Signature = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.fn):
            raise UsageError(
                f"a reward must be a function, a Reward or a Verifier, got {self.fn!r}"
            )
        name = self.name or function_name(self.fn)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "signature", Signature.of(self.fn, name, self.form))
        if self.bounds is not None:
            check_finite("bounds[0]", self.bounds[0])
            check_finite("bounds[1]", self.bounds[1])
            if self.bounds[0] > self.bounds[1]:
                raise RubricError(f"bounds must be (least, greatest), got {self.bounds}")
        if self.limit_s is not None and not (math.isfinite(self.limit_s) and self.limit_s > 0):
            raise RubricError(f"limit_s must be a positive number of seconds, got {self.limit_s!r}")
        for known in functools.WRAPPER_ASSIGNMENTS:
            if hasattr(self.fn, known):
                object.__setattr__(self, known, getattr(self.fn, known))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function itself, so that a decorated function stays one."""
        return self.fn(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        # A decorated function is found by its name as this object, not as the bare function, so
        # the bare one cannot be pickled by reference; the name leads back to it.
        options = {k: getattr(self, k) for k in _OPTIONS}
        place = (getattr(self.fn, "__module__", ""), getattr(self.fn, "__qualname__", ""))
        return _restore, (*place, _pickled(self), options)

    def outcomes(self, samples: Sequence[Sample], limit_s: float | None = None) -> list[Outcome]:
        if self.is_async:
            return run_sync(lambda: self.aoutcomes(samples, limit_s))
        if self.signature.form != "single":
            return self._spread(_timed(lambda: self._call_batch(samples, limit_s)), samples)
        limit = self.limit_s or limit_s
        if limit is None:
            return [self._one(*_timed(partial(self._call, s))) for s in samples]
        hard = _hard_call(self)
        if hard is not None:
            values = [self.signature.single(s) for s in samples]
            with ThreadPoolExecutor(min(MAX_IN_FLIGHT, len(values)) or 1) as pool:
                done = pool.map(lambda v: _timed(partial(hard, v, limit)), values)
                return [self._one(*result) for result in done]
        calls = [partial(_timed, partial(self._call, s)) for s in samples]
        return [self._one(*_untimed(r, limit)) for r in run_soft(calls, limit)]

    async def aoutcomes(
        self, samples: Sequence[Sample], limit_s: float | None = None
    ) -> list[Outcome]:
        if not self.is_async:
            if self.limit_s or limit_s:
                return await asyncio.to_thread(self.outcomes, samples, limit_s)
            return self.outcomes(samples, limit_s)
        limit = self.limit_s or limit_s
        if self.signature.form != "single":
            result = await self._awaited(lambda: self.fn(**self.signature.batch(samples)), limit)
            return self._spread(result, samples)
        free = asyncio.Semaphore(MAX_IN_FLIGHT)

        async def one(sample: Sample) -> Outcome:
            async with free:
                make = lambda: self.fn(**self.signature.single(sample))  # noqa: E731
                return self._one(*await self._awaited(make, limit))

        return list(await asyncio.gather(*(one(sample) for sample in samples)))

    @property
    def is_async(self) -> bool:
        """True if the function (or its ``__call__``) is a coroutine function."""
        bare = inspect.unwrap(self.fn.func if isinstance(self.fn, partial) else self.fn)
        return inspect.iscoroutinefunction(bare) or inspect.iscoroutinefunction(
            getattr(bare, "__call__", None)  # noqa: B004
        )

    @property
    def range(self) -> tuple[float, float] | None:
        return self.bounds

    @property
    def columns(self) -> frozenset[str]:
        return self.signature.columns

    @property
    def aspect(self) -> Aspect:
        """A function that needs nothing of the row may be a judge of its own."""
        found = aspect_by(self.columns)
        return "unknown" if found == "form" else found

    @property
    def waits(self) -> bool:
        return self.is_async or self.limit_s is not None

    @property
    def needs_group(self) -> bool:
        return self.signature.form == "group"

    def _call(self, sample: Sample) -> Any:
        return self.fn(**self.signature.single(sample))

    def _call_batch(self, samples: Sequence[Sample], limit_s: float | None) -> Any:
        values = self.signature.batch(samples)
        limit = self.limit_s or limit_s
        if limit is None:
            return self.fn(**values)
        if (call := _hard_call(self)) is not None:
            return call(values, limit)
        result = run_soft([lambda: self.fn(**values)], limit)[0]
        if isinstance(result, Failed):
            raise result.error
        return result

    async def _awaited(self, make: Callable[[], Any], limit: float | None) -> tuple[Any, float]:
        start = perf_counter()
        try:
            result: Any = await asyncio.wait_for(make(), limit)
        except TimeoutError as error:
            # A TimeoutError of the function's own (a socket's, say) is its failure, not our limit.
            over = limit is not None and perf_counter() - start >= limit
            result = Overrun(limit, "it was cancelled") if over and limit else Failed(error)
        except Exception as error:
            result = Failed(error)
        return result, perf_counter() - start

    def _spread(self, timed: tuple[Any, float], samples: Sequence[Sample]) -> list[Outcome]:
        """The outcomes of one call for a whole batch."""
        result, seconds = timed
        each = seconds / max(len(samples), 1)
        if isinstance(result, Failed | Overrun | Lost):
            return [self._one(result, each) for _ in samples]
        try:
            values = list(result)
        except TypeError:
            values = [result]
        if len(values) != len(samples):
            problem = f"returned {len(values)} values for {len(samples)} completions"
            if not isinstance(result, Sequence):
                problem = f"must return a list of {len(samples)} numbers, got {_brief(result)}"
            return [Outcome(None, error=RewardError(self.name, problem), seconds=each)] * len(
                samples
            )
        return [self._one(value, each) for value in values]

    def _one(self, result: Any, seconds: float) -> Outcome:
        """The outcome of one value (or of what came instead of it)."""
        if type(result) is float and -MAX_VALUE <= result <= MAX_VALUE and self.bounds is None:
            return Outcome(result, None, seconds)
        if result is None:
            return _unknown("the function returned None", seconds)
        if isinstance(result, Overrun):
            return self._overrun(result, seconds)
        if isinstance(result, Failed):
            return self._failed(result, seconds)
        if isinstance(result, Lost):
            verdict = Verdict.unscorable(result.why, fault="infrastructure", rule="worker")
            return Outcome(None, verdict, seconds)
        try:
            value = _number(result, self.bounds)
        except ValueError as error:
            return Outcome(None, None, seconds, RewardError(self.name, str(error)))
        return Outcome(value, None, seconds)

    def _overrun(self, overrun: Overrun, seconds: float) -> Outcome:
        """Abstaining must not pay: a text that makes the function compute past its limit earns the
        least, where that is known. Where it is not, or only the clock ran out, nobody knows."""
        reason = f"ran past its limit of {overrun.limit_s:g} s; {overrun.how}"
        if overrun.computing and self.bounds is not None:
            least = self.bounds[0] if self.weight >= 0 else self.bounds[1]
            return Outcome(least, Verdict.incorrect(reason, rule="limit"), seconds)
        return _unknown(reason, seconds, rule="limit")

    def _failed(self, failed: Failed, seconds: float) -> Outcome:
        error = failed.error
        if failed.told is None and must_be_raised(error):
            raise error  # a missing column is the caller's mistake, not the reward's failure
        told = failed.told or f"{type(error).__name__}: {error}"
        problem = RewardError(self.name, f"raised {told}")
        problem.__cause__ = error
        return Outcome(None, None, seconds, problem)


_OPTIONS = ("weight", "unscorable", "bounds", "limit_s", "form", "name")


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call came to (its result, or that it failed) and the seconds it took."""
    start = perf_counter()
    result = attempt(call)
    return result, perf_counter() - start


def _unknown(reason: str, seconds: float, rule: str = "function") -> Outcome:
    return Outcome(None, Verdict.unscorable(reason, fault="verifier", rule=rule), seconds)


def _number(value: Any, bounds: tuple[float, float] | None) -> float:
    """A finite float within the bounds. Raises ``ValueError`` saying what was returned instead."""
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        raise ValueError(
            f"must return a number or None, got {type(value).__name__}: {_brief(value)}"
        )
    try:
        number = float(value)
    except Exception as error:  # a huge int, an array of two, a __float__ that raises
        problem = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"returned a {type(value).__name__} that is no number: {problem}"
        ) from None
    if not math.isfinite(number) or abs(number) > MAX_VALUE:
        raise ValueError(f"returned {number}: a reward must be finite (or None for no verdict)")
    if bounds is not None and not bounds[0] <= number <= bounds[1]:
        raise ValueError(f"returned {number}, outside its bounds {bounds}")
    return number


def _brief(value: Any) -> str:
    """The start of a repr, which may itself be endless or fail."""
    try:
        return reprlib.repr(value)[:80]
    except Exception:
        return "an object that cannot be shown"


def _untimed(result: Any, limit: float) -> tuple[Any, float]:
    return (result, limit) if isinstance(result, Overrun | Failed) else result


def _hard_call(reward: FunctionReward) -> Callable[[dict[str, Any], float], Any] | None:
    """How to call the function in a worker that is killed; ``None`` if no process finds it."""
    from rewardkit.sandbox import (
        FunctionRef,
        WorkerFunctionError,
        WorkerLoadError,
        WorkerLost,
        WorkerRecursion,
        WorkerTimeout,
        shared_pool,
    )

    ref = FunctionRef.of(reward) or FunctionRef.of(reward.fn)
    if ref is None:
        return None
    found = ref

    def call(values: dict[str, Any], limit: float) -> Any:
        try:
            wall = CLOCK_FACTOR * limit
            pool = shared_pool()
            return pool.call(found, (), values, cpu_s=limit, wall_s=wall, asleep_s=limit)
        except WorkerTimeout as error:
            return Overrun(limit, "its worker was killed", computing=error.limit == "cpu")
        except WorkerFunctionError as error:
            return Failed(error, f"{error.type_name}: {error.message}")
        except WorkerLost as error:
            return Lost(str(error))
        except WorkerLoadError as error:
            if error.type_name == WorkerRecursion.__name__:
                raise WorkerRecursion(error.message) from None
            return run_soft([partial(reward.fn, **values)], limit)[0]

    return call


def function_name(fn: Callable[..., Any]) -> str:
    """A name for any callable: partials and callable objects have none of their own."""
    if isinstance(fn, partial):
        return function_name(fn.func)
    return str(getattr(fn, "__name__", type(fn).__name__))


def _pickled(reward: FunctionReward) -> Callable[..., Any] | None:
    """The function itself, where it can be pickled as it is; ``None`` where its name must do."""
    module = inspect.getmodule(reward.fn)
    found: Any = module
    for part in getattr(reward.fn, "__qualname__", "?").split("."):
        found = getattr(found, part, None)
    return None if isinstance(found, FunctionReward) else reward.fn


def _restore(
    module: str, qualname: str, fn: Callable[..., Any] | None, options: dict[str, Any]
) -> FunctionReward:
    if fn is None:
        import importlib

        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
        fn = found.fn if isinstance(found, FunctionReward) else found
    return FunctionReward(fn, **options)


@overload
def reward(fn: Callable[..., Any], /) -> FunctionReward: ...
@overload
def reward(
    *,
    weight: float = 1.0,
    bounds: tuple[float, float] | None = None,
    limit_s: float | None = None,
    form: Form | None = None,
    name: str = "",
    unscorable: OnUnscorable = "abstain",
) -> Callable[[Callable[..., Any]], FunctionReward]: ...
def reward(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a reward; it stays callable as it was.

    Example:
        >>> @reward(bounds=(-1.0, 0.0))
        ... def brevity(completion):
        ...     return -min(len(completion) / 1000, 1.0)
        >>> brevity(completion="x" * 500)
        -0.5
    """
    if fn is not None:
        return FunctionReward(fn)
    return lambda inner: FunctionReward(inner, **options)
