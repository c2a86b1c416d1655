"""A rubric: named, weighted, gated rewards that become one score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from rewardkit import scoring
from rewardkit.errors import RubricError
from rewardkit.function import FunctionReward
from rewardkit.gate import Gate, check_gate
from rewardkit.rewards import Reward
from rewardkit.sample import Sample, Text
from rewardkit.score import Score
from rewardkit.scoring import OnError
from rewardkit.trl import RubricReward
from rewardkit.verifier import Verifier

__all__ = ["Part", "Rubric", "as_reward"]


class Rubric:
    """Named rewards whose weighted sum is the score. Immutable: methods give new rubrics.

    Parts are given by keyword: a ``Reward``, a ``Verifier`` (paid 1 and 0), or any function; a
    positional one takes its function's name. The total is the sum of ``weight * value``, and it is
    never renormalised unless a part says ``unscorable="skip"``.

    Raises:
        RubricError: for two parts of one name, no parts, or gates that make no sense.

    Example:
        >>> rubric = Rubric(short=lambda completion: float(len(completion) < 10))
        >>> rubric.score(completion="yes").total
        1.0
    """

    def __init__(self, *parts: Part, **named: Part) -> None:
        pairs = [(_own_name(part), part) for part in parts]
        self._parts = _collected([*pairs, *named.items()])
        self._gates: tuple[Gate, ...] = ()
        self._silenced: frozenset[str] = frozenset()

    @classmethod
    def from_parts(
        cls,
        parts: Iterable[tuple[str, Part]] | Mapping[str, Part],
        gates: Iterable[Gate] = (),
        silence: Iterable[str] = (),
    ) -> Rubric:
        """A rubric from pairs of name and part (names need not be Python identifiers)."""
        rubric = cls.__new__(cls)
        rubric._parts = _collected(parts.items() if isinstance(parts, Mapping) else parts)
        rubric._gates, rubric._silenced = (), frozenset()
        for gate in gates:
            rubric = rubric._with_gate(gate)
        return rubric.silence(*silence) if silence else rubric

    @property
    def parts(self) -> Mapping[str, Reward]:
        """The rewards by name, in order."""
        return dict(self._parts)

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The gates, in the order in which they were added."""
        return self._gates

    def gate(
        self, *gated: str, on: str, at_least: float | None = None, cap: float | None = None
    ) -> Rubric:
        """Let ``gated`` parts (all others, if none are named) count only where ``on`` holds.

        The gate is open where the verdict of ``on`` is correct or, for a part without verdicts,
        where its value is ``at_least`` so much. Closed, each gated part earns its least value and
        is not run. With ``cap`` nothing is gated; the total is at most ``cap`` instead. Where
        ``on`` is unscorable there is no total.

        Raises:
            RubricError: for unknown parts, gates in a circle, or a gated part whose least value is
                unknown (a function without ``bounds``).
        """
        if not gated and cap is None:
            gated = tuple(name for name in self._parts if name != on)
        return self._with_gate(Gate(on, tuple(gated), at_least, cap))

    def with_parts(self, **parts: Part) -> Rubric:
        """The same rubric with further parts, or others in the place of those it has."""
        return Rubric.from_parts({**self._parts, **parts}, self._gates, self._silenced)

    def weighted(self, **weights: float) -> Rubric:
        """The same rubric with other weights for the parts named."""
        self._known(*weights)
        changed = {n: self._parts[n].with_weight(w) for n, w in weights.items()}
        return Rubric.from_parts({**self._parts, **changed}, self._gates, self._silenced)

    def metrics(self, *names: str) -> Rubric:
        """The same rubric with these parts logged and not learned from (weight 0)."""
        return self.weighted(**dict.fromkeys(names, 0.0))

    def silence(self, *names: str) -> Rubric:
        """The same rubric without these warnings, see :data:`rewardkit.lint.LINTS`.

        Raises:
            RubricError: for a name that is no warning's.
        """
        from rewardkit.lint import LINTS

        for name in names:
            if name not in LINTS:
                raise RubricError(f"there is no lint {name!r}; there are: {', '.join(LINTS)}")
        return self._like(self._gates, self._silenced | set(names))

    @property
    def silenced(self) -> frozenset[str]:
        """Names of the warnings that are not given."""
        return self._silenced

    @cached_property
    def linted(self) -> bool:
        """True. Asked for the first time, it warns of the faults of this rubric."""
        from rewardkit.lint import warn

        warn(self)
        return True

    @cached_property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        """Names of the parts in the order of running: a part comes after its gates."""
        waits_for = {name: {g.on for g in self._gates if name in g.gated} for name in self._parts}
        stages: list[tuple[str, ...]] = []
        done: set[str] = set()
        while len(done) < len(waits_for):
            ready = tuple(n for n in waits_for if n not in done and waits_for[n] <= done)
            if not ready:
                circle = ", ".join(sorted(set(waits_for) - done))
                raise RubricError(f"gates in a circle among: {circle}")
            stages.append(ready)
            done.update(ready)
        return tuple(stages)

    @property
    def range(self) -> tuple[float, float] | None:
        """Least and greatest total, or ``None`` if a part's range is unknown."""
        spans = [r.range for r in self._parts.values() if r.weight]
        if any(span is None for span in spans):
            return None
        ends = [
            sorted((r.weight * r.range[0], r.weight * r.range[1]))
            for r in self._parts.values()
            if r.weight and r.range
        ]
        return sum(low for low, _ in ends), sum(high for _, high in ends)

    @property
    def columns(self) -> frozenset[str]:
        """Columns that a row must have to be scored."""
        return frozenset().union(*(r.columns for r in self._parts.values()))

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change whenever a score might: spec, code and versions."""
        from rewardkit.fingerprint import fingerprint

        return fingerprint(self)

    def score(
        self,
        sample: Sample | None = None,
        /,
        *,
        completion: Text | None = None,
        prompt: Text | None = None,
        answer: Any = None,
        on_error: OnError = "raise",
        **columns: Any,
    ) -> Score:
        """Score one sample, or the one made of the keywords.

        Raises:
            RewardError: if a function failed and ``on_error`` is ``"raise"``.
            MissingColumnError: if a part asks for a column that is not there.
        """
        one = _sample(sample, completion, prompt, answer, columns)
        return self.score_many([one], on_error=on_error)[0]

    async def ascore(self, sample: Sample, /, *, on_error: OnError = "raise") -> Score:
        """:meth:`score` for async code."""
        return (await self.ascore_many([sample], on_error=on_error))[0]

    def score_many(
        self,
        samples: Sequence[Sample],
        *,
        group_ids: Sequence[Any] | None = None,
        on_error: OnError = "raise",
        limit_s: float | None = None,
    ) -> list[Score]:
        """Score a batch; scores come in the order of the samples.

        Args:
            samples: what to judge.
            group_ids: which samples share a prompt; needed by parts that see a whole group (behind
                a gate, those of the group for which it is open).
            on_error: ``"raise"`` where a function fails, or ``"abstain"``: make that score
                unscorable, as training does.
            limit_s: seconds per call for functions without a limit of their own (a soft limit).
        """
        plan = scoring.plan(self, samples, group_ids, on_error)
        return scoring.drive(plan, limit_s)

    async def ascore_many(
        self,
        samples: Sequence[Sample],
        *,
        group_ids: Sequence[Any] | None = None,
        on_error: OnError = "raise",
        limit_s: float | None = None,
    ) -> list[Score]:
        """:meth:`score_many` for async code."""
        plan = scoring.plan(self, samples, group_ids, on_error)
        return await scoring.adrive(plan, limit_s)

    def as_trl_reward(self, num_generations: int | None = None) -> RubricReward:
        """This rubric as one reward function for ``trl.GRPOTrainer(reward_funcs=[...])``.

        Give the trainer's ``num_generations`` where a part sees whole groups.
        """
        return RubricReward(self, num_generations=num_generations)

    def check_columns(self, available: Iterable[str]) -> None:
        """Raises ``MissingColumnError`` now if rows with these columns could not be scored."""
        from rewardkit.errors import MissingColumnError

        have = frozenset(available)
        for name, part in self._parts.items():
            for column in sorted(part.columns - have - {"completion"}):
                raise MissingColumnError(column, have, f"part {name!r}")

    def to_spec(self) -> dict[str, Any]:
        """Plain data from which :meth:`from_spec` makes an equal rubric. Raises ``SpecError``."""
        from rewardkit.spec import write_rubric

        return write_rubric(self)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], *, allow_code: bool | Path = False) -> Rubric:
        """A rubric from plain data.

        Args:
            spec: see ``docs/specs.md``.
            allow_code: let the spec name functions as ``module:function`` or ``file.py:function``
                (files are looked for in the folder given, or the current one).

        Raises:
            SpecError: for unknown keys, unknown names, or code that is not allowed.
        """
        from rewardkit.spec import read_rubric

        return read_rubric(spec, allow_code=allow_code)

    @classmethod
    def load(cls, path: str | Path, *, allow_code: bool = False) -> Rubric:
        """A rubric from a ``.yaml`` or ``.json`` file. Raises ``SpecError``."""
        from rewardkit.spec import load_rubric

        return load_rubric(Path(path), allow_code=allow_code)

    def save(self, path: str | Path) -> None:
        """Write the spec as ``.yaml`` or ``.json``, by the file's name. Raises ``SpecError``."""
        from rewardkit.spec import save_rubric

        save_rubric(self, Path(path))

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rubric):
            return NotImplemented
        mine, theirs = list(self._parts.items()), list(other._parts.items())
        return mine == theirs and self._gates == other._gates

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        lines = [f"  {name}={part!r}," for name, part in self._parts.items()]
        return (
            "\n".join(["Rubric(", *lines, ")"])
            + "".join(map(_gate_call, self._gates))
            + (
                f".silence({', '.join(map(repr, sorted(self._silenced)))})"
                if self._silenced
                else ""
            )
        )

    def _known(self, *names: str) -> None:
        for name in names:
            if name not in self._parts:
                have = ", ".join(self._parts)
                raise RubricError(f"there is no part {name!r}; the parts are: {have}")

    def _with_gate(self, gate: Gate) -> Rubric:
        self._known(gate.on, *gate.gated)
        check_gate(gate, self._parts)
        rubric = self._like((*self._gates, gate), self._silenced)
        _ = rubric.stages  # raises for gates in a circle
        return rubric

    def _like(self, gates: tuple[Gate, ...], silenced: frozenset[str]) -> Rubric:
        rubric = Rubric.__new__(Rubric)
        rubric._parts, rubric._gates, rubric._silenced = self._parts, gates, silenced
        return rubric


Part = Reward | Verifier | Callable[..., Any]


def _gate_call(gate: Gate) -> str:
    """A gate as the call that makes it."""
    options = {"on": gate.on, "at_least": gate.at_least, "cap": gate.cap}
    given = [f"{name}={value!r}" for name, value in options.items() if value is not None]
    return f".gate({', '.join([*map(repr, gate.gated), *given])})"


def _collected(pairs: Iterable[tuple[str, Part]]) -> dict[str, Reward]:
    parts: dict[str, Reward] = {}
    for name, part in pairs:
        if not isinstance(name, str) or not name:
            raise RubricError(f"the name of a part must be text, got {name!r}")
        if name in parts:
            raise RubricError(
                f"two parts are called {name!r}: give each its own name, as in Rubric(name=reward)"
            )
        parts[name] = as_reward(part)
    if not parts:
        raise RubricError("a rubric needs at least one part, as in Rubric(format=..., answer=...)")
    return parts


def as_reward(part: Part) -> Reward:
    """What a part means: itself, a verifier paid 1 and 0, or a function."""
    if isinstance(part, Reward):
        return part
    if isinstance(part, Verifier):
        return part.reward()
    if isinstance(part, type) and issubclass(part, Verifier | Reward):
        raise RubricError(f"{part.__name__} is a class: pass an instance, as {part.__name__}(...)")
    return FunctionReward(part)


def _own_name(part: Part) -> str:
    found = as_reward(part)
    if isinstance(found, FunctionReward) and "<" not in found.name:
        return found.name
    raise RubricError(f"{part!r} has no name of its own: pass it as Rubric(name=...)")


def _sample(
    sample: Sample | None,
    completion: Text | None,
    prompt: Text | None,
    answer: Any,
    columns: Mapping[str, Any],
) -> Sample:
    if sample is None:
        if completion is None:
            raise RubricError("score() needs a Sample or completion=...")
        return Sample(completion=completion, prompt=prompt, answer=answer, columns=columns)
    if completion is not None or prompt is not None or answer is not None or columns:
        raise RubricError("score() takes a Sample or keywords, not both")
    return sample
