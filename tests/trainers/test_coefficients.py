"""Promise: the weights of KL and entropy move as their papers say, and survive a resume."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit import Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer
from rewardkit.trainers.coefficients import Coefficients
from rewardkit.trainers.losses import adapted_beta, adapted_entropy_coef

positive = st.floats(1e-6, 1e3)


@given(positive, positive, positive, st.floats(0.01, 1.0))
def test_beta_rises_above_its_target_and_falls_below_it_by_little(
    beta: float, kl: float, target: float, gain: float
) -> None:
    after = adapted_beta(beta, kl, target, gain)
    assert after > 0
    assert beta * (1 - 0.2 * gain) * 0.999 <= after <= beta * (1 + 0.2 * gain) * 1.001
    if kl > target:
        assert after >= beta
    if kl < target:
        assert after <= beta


def test_beta_is_that_of_the_paper() -> None:
    """Ziegler et al., section 2.2, with a gain of 0.1."""
    assert adapted_beta(2.0, 0.11, 0.1, 0.1) == pytest.approx(2.0 * 1.01)
    assert adapted_beta(2.0, 9.9, 0.1, 0.1) == pytest.approx(2.0 * 1.02)
    assert adapted_beta(2.0, -1.0, 0.1, 0.1) == pytest.approx(2.0 * 0.98)
    assert adapted_beta(2.0, 0.1, 0.1, 0.1) == 2.0


@given(st.floats(0, 1), st.floats(0, 5), st.floats(0, 5))
def test_the_entropy_coefficient_moves_by_steps_within_its_bounds(
    coefficient: float, entropy: float, target: float
) -> None:
    after = adapted_entropy_coef(coefficient, entropy, target, 0.1, 0.0, 1.0)
    assert 0.0 <= after <= 1.0
    assert after >= coefficient if entropy <= target else after <= coefficient
    assert abs(after - coefficient) <= 0.1 + 1e-9


def test_coefficients_are_those_of_trl_step_by_step() -> None:
    """TRL's controller, replayed: applied only where the last entropy was at or below the target,
    and moved after every step whether it was applied or not."""
    config = GRPOConfig(
        use_adaptive_entropy=True, entropy_coef=0.01, entropy_coef_delta=0.005, entropy_target=1.0,
        entropy_coef_max=0.02,
    )  # fmt: skip
    carried: dict[str, float] = {}
    applied, moved = [], []
    for entropy in (1.4, 0.9, 0.8, 0.7, 1.2, 1.1):
        now = Coefficients.of(config, carried)
        applied.append(now.applied)
        now.carry(config, carried, kl=None, entropy=entropy)
        moved.append(carried["entropy_coef"])
    assert moved == pytest.approx([0.005, 0.01, 0.015, 0.02, 0.015, 0.01])
    assert applied == pytest.approx([0.0, 0.0, 0.01, 0.015, 0.02, 0.0])


ROWS = [{"prompt": f"{i}+{i}="} for i in range(8)]


def length(completion: str) -> float:
    return float(len(completion))


def trainer(
    tiny_model: Path,
    folder: Path | None,
    *,
    resume: bool = False,
    reward: Callable[[str], float] = length,
    **changes: Any,
) -> GRPOTrainer:
    config = GRPOConfig(
        **{
            "num_generations": 4, "per_device_train_batch_size": 8, "max_completion_length": 8,
            "max_steps": 4, "learning_rate": 1e-2, "gradient_checkpointing": False,
            "save_steps": 1, "save_total_limit": None, "lr_scheduler_type": "constant", **changes,
        }
    )  # fmt: skip
    return GRPOTrainer(
        tiny_model, Rubric(reward), ROWS, config, quiet=True, output_dir=folder, resume=resume
    )


ADAPTIVE: dict[str, Any] = {
    "beta": 0.05, "kl_target": 1e-3, "kl_gain": 0.5, "use_adaptive_entropy": True,
    "entropy_coef": 0.01, "entropy_target": 5.0, "top_entropy_quantile": 0.5,
}  # fmt: skip


def test_adapted_coefficients_are_logged_and_bear_on_the_next_step(tiny_model: Path) -> None:
    history = trainer(tiny_model, None, **ADAPTIVE).train().history
    betas = [row["beta"] for row in history]
    assert betas[:2] == pytest.approx([0.05, 0.05 * 0.9])  # no distance yet: down
    assert betas[3] > betas[2]  # far by now: up
    coefficients = [row["entropy_coef"] for row in history]
    assert coefficients == pytest.approx([0.01, 0.015, 0.02, 0.025])
    fixed = trainer(tiny_model, None, beta=0.05).train().history
    assert "beta" not in fixed[0]
    assert fixed[-1]["grad_norm"] != history[-1]["grad_norm"]


def test_adapted_coefficients_go_on_where_they_were(tiny_model: Path, tmp_path: Path) -> None:
    unbroken = trainer(tiny_model, tmp_path / "a", **ADAPTIVE)
    unbroken.train()
    trainer(tiny_model, tmp_path / "b", **{**ADAPTIVE, "max_steps": 2}).train()
    resumed = trainer(tiny_model, tmp_path / "b", resume=True, **ADAPTIVE)
    assert resumed.progress.carried["beta"] != ADAPTIVE["beta"]
    resumed.train()
    assert resumed.progress.carried == unbroken.progress.carried
    lines = [
        json.loads((tmp_path / run / "metrics.jsonl").read_text().splitlines()[-1]) for run in "ab"
    ]
    assert lines[0]["beta"] == lines[1]["beta"]
    assert lines[0]["entropy_coef"] == lines[1]["entropy_coef"]


def nothing(completion: str) -> float:
    return 0.0


def test_a_bonus_for_entropy_raises_it_and_a_malus_lowers_it(tiny_model: Path) -> None:
    """With rewards that are all equal, so that nothing else moves the policy."""
    found = []
    for coefficient in (-1.0, 0.0, 1.0):
        run = trainer(tiny_model, None, reward=nothing, max_steps=6, entropy_coef=coefficient)
        found.append(run.train().history[-1]["entropy"])
    assert found[0] < found[1] - 0.1
    assert found[1] < found[2]
