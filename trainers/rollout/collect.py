"""One generation: prompts from the stream, completions, scores, and groups worth learning from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from rewardkit.errors import TooManyUnscorableError
from rewardkit.metrics import check_unscorable
from rewardkit.rubric import Rubric
from rewardkit.trainers import parallel
from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.judging import flat_groups, scores_of
from rewardkit.trainers.model import Policy
from rewardkit.trainers.prompts import PromptStream, encode_prompt
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.rollout.decode import can_decode
from rewardkit.trainers.rollout.generate import Request, generate
from rewardkit.trainers.scorer import Scorer

__all__ = ["Collected", "Collector"]


@dataclass(slots=True)
class Collected:
    """What one generation came to.

    Attributes:
        items: every completion, group by group.
        kept: those to learn from: as many groups as one generation has.
        prompts: prompts taken from the stream.
        rounds: times that groups without variance were replaced.
        seconds: of this process, by the clock: ``rollout`` writing, ``reward`` waiting for scores
            after that.
    """

    items: list[Completion] = field(default_factory=list)
    kept: list[Completion] = field(default_factory=list)
    prompts: int = 0
    rounds: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"rollout": 0.0, "reward": 0.0})

    def metrics(self) -> dict[str, Any]:
        """What dynamic sampling did: times, groups dropped, groups kept without variance."""
        groups = {c.group for c in self.items} - {c.group for c in self.kept}
        return {
            "dynamic_sampling/rounds": self.rounds,
            "dynamic_sampling/groups_dropped": len(groups),
            "dynamic_sampling/groups_flat": len(flat_groups(self.kept)),
        }


class Collector:
    """Makes generations.

    Args:
        policy: writes the completions.
        rubric: judges them.
        rows: the data.
        stream: the order of the rows.
        config: sizes, sampling, limits and dynamic sampling.
    """

    def __init__(
        self,
        policy: Policy,
        rubric: Rubric,
        rows: Sequence[Mapping[str, Any]],
        stream: PromptStream,
        config: GRPOConfig,
    ) -> None:
        self._policy, self._rows, self._stream, self._config = policy, rows, stream, config
        can_decode(policy)  # tried here, where nothing else runs
        self._scorer = Scorer(rubric, rows, config.reward_timeout_s, config.reward_workers)

    def collect(self, generation: int, first: int, place: int) -> Collected:
        """One generation, every completion scored (or found unscorable).

        With dynamic sampling, groups without variance are replaced by groups of the prompts that
        come next, at most ``max_resample_times`` times; what is then still missing is made up by
        the first of those without. Noise is keyed by the group, and a group is a place in the
        stream, so the same prompts give the same completions however many rounds it took.

        Args:
            generation: its number, part of the key of its noise.
            first: number of its first group, which no other group of the run has.
            place: position of that group in the stream.
        """
        config, done = self._config, Collected()
        wanted = config.prompts_per_generation
        while True:
            self._round(done, wanted - len(_groups(done.kept)), generation, first, place)
            flat = flat_groups(done.items)
            done.kept = [c for c in done.items if c.group not in flat]
            missing = wanted - len(_groups(done.kept))
            again = config.dynamic_sampling and done.rounds < config.max_resample_times
            if not (missing and again) or self._unfit(done.items):
                break
            done.rounds += 1
        chosen = _groups(done.kept) | set(sorted(flat)[:missing])
        done.kept = [c for c in done.items if c.group in chosen]
        return done

    def _round(
        self, done: Collected, prompts: int, generation: int, first: int, place: int
    ) -> None:
        requests: list[Request] = []
        for offset, row in enumerate(self._stream.rows(place + done.prompts, prompts)):
            ids = encode_prompt(self._policy.tokenizer, self._rows[row]["prompt"])
            group = first + done.prompts + offset
            requests += [Request(group, row, k, ids) for k in range(self._config.num_generations)]
        done.items += parallel.spread(
            requests, lambda mine: self._write_and_judge(mine, generation, done.seconds)
        )
        done.prompts += prompts

    def _write_and_judge(
        self, requests: Sequence[Request], generation: int, seconds: dict[str, float]
    ) -> list[Completion]:
        began = perf_counter()
        try:
            items = generate(
                self._policy, requests, self._config, step=generation, on_group=self._scorer.add
            )
            written = perf_counter()
            self._scorer.finish()
        except BaseException:
            self._scorer.forget()
            raise
        seconds["rollout"] += written - began
        seconds["reward"] += perf_counter() - written
        return items

    def _unfit(self, items: Sequence[Completion]) -> bool:
        """Whether too much could not be judged: then the run stops, and more would not help."""
        config = self._config
        try:
            check_unscorable(scores_of(items), config.max_error_frac, config.max_unscorable_frac)
        except TooManyUnscorableError:
            return True
        return False


def _groups(items: Sequence[Completion]) -> set[int]:
    return {item.group for item in items}
