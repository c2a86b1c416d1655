"""From totals to advantages: penalties on the reward, and what a completion is measured against."""

from __future__ import annotations

import math
from collections.abc import MutableMapping, Sequence
from typing import Literal

import torch

from rewardkit.errors import ConfigError
from rewardkit.score import Score
from rewardkit.trainers import parallel
from rewardkit.trainers.advantage import advantages, decoupled_advantages, soft_overlong
from rewardkit.trainers.coefficients import Coefficients
from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.losses.kl import kl_estimate
from rewardkit.trainers.model import Policy
from rewardkit.trainers.replay import BUDGET, agree_budget
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.tokens import note_logps

__all__ = ["assign_advantages", "credit"]

_Noted = tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]


def credit(
    policy: Policy,
    items: Sequence[Completion],
    config: GRPOConfig,
    carried: MutableMapping[str, float] | None = None,
) -> None:
    """Note on each completion of a generation what learning from it needs: log-probabilities of the
    policy and of the reference where they are asked for, and the advantage."""
    in_reward = bool(config.beta) and config.kl_placement == "reward"
    learned = [
        c for c in items if c.learned_from(config.mask_truncated_completions and not in_reward)
    ]
    beta = Coefficients.of(config, carried or {}).beta
    if not in_reward:
        assign_advantages(items, config, beta)
    if learned and config.notes_old:
        all_of_them = config.notes_flat or in_reward
        moving = [c for c in learned if all_of_them or c.advantage]
        _note(policy, moving, config, "old", carried)
    if learned and config.beta:
        with policy.as_reference():
            _note(policy, learned, config, "ref", carried)
    if in_reward:
        assign_advantages(items, config, beta)


def _note(
    policy: Policy,
    items: Sequence[Completion],
    config: GRPOConfig,
    which: Literal["old", "ref"],
    carried: MutableMapping[str, float] | None,
) -> None:
    """Note log-probabilities: each process those of its share, and then all those of all."""
    carried = {} if carried is None else carried

    def work() -> tuple[list[_Noted], float | None]:
        mine = parallel.share(items)
        note_logps(policy, mine, config, which=which, carried=carried)
        return [(c.old_logps, c.ref_logps, c.entropies) for c in mine], carried.get(BUDGET)

    made = parallel.gather(work)
    agree_budget(carried, [budget for _, budget in made])
    noted = [one for part, _ in made for one in part]
    for item, (old, ref, entropies) in zip(items, noted, strict=True):
        item.old_logps, item.ref_logps, item.entropies = old, ref, entropies


def assign_advantages(
    items: Sequence[Completion], config: GRPOConfig, beta: float | None = None
) -> None:
    """Note each completion's advantage; NaN for the unscorable.

    Args:
        items: whole groups.
        config: how rewards become advantages.
        beta: weight of a KL in the reward; ``None``: the configuration's.
    """
    groups = [c.group for c in items]
    if config.multi_objective_aggregation == "normalize_then_sum":
        values = [None if c.total is None else _parts(c.score) for c in items]
        found = decoupled_advantages(values, groups)
    else:
        weight = config.beta if beta is None else beta
        totals = [_penalised(c, config, weight) for c in items]
        found = advantages(totals, groups, config.scale_rewards, config.advantage_estimator)
    for item, value in zip(items, found.tolist(), strict=True):
        item.advantage = value


def _penalised(item: Completion, config: GRPOConfig, beta: float) -> float | None:
    """The total, less what is taken from it for length and for distance to the reference."""
    total = item.total
    if total is None:
        return None
    if config.soft_punish_cache:
        room = config.max_completion_length, config.soft_punish_cache
        total += config.soft_punish_penalty * soft_overlong(len(item.ids), *room)
    if beta and config.kl_placement == "reward" and item.ids:
        assert item.old_logps is not None
        assert item.ref_logps is not None
        kl = kl_estimate(item.old_logps.double(), item.ref_logps.double(), config.kl_estimator)
        total -= beta * float(kl.sum())
    return total


def _parts(score: Score | None) -> dict[str, tuple[float, float]]:
    """Weight and value of each part that bears on the total.

    Raises:
        ConfigError: if the total is not their sum, as with a cap: what it takes back would be paid.
    """
    assert score is not None
    parts = {}
    for part in score:
        if part.weight and part.counted is not None:
            value = part.counted / part.weight if part.value is None else part.value
            parts[part.name] = (part.weight, value)
    assert score.total is not None
    if not math.isclose(
        math.fsum(p.counted or 0.0 for p in score), score.total, rel_tol=1e-9, abs_tol=1e-9
    ):
        raise ConfigError(
            "multi_objective_aggregation='normalize_then_sum' judges every part by itself, but "
            "this rubric caps its total: leave the cap out, or sum before normalising"
        )
    return parts
