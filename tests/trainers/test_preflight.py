"""Promise: a run that can learn nothing is told so before it begins, at a bounded cost."""

from __future__ import annotations

import itertools
import math
import warnings
from pathlib import Path
from typing import Any

import pytest

from rewardkit import ConfigError, RewardKitWarning, Rubric, Sample, Verdict, Verifier
from rewardkit.trainers import GRPOConfig, GRPOTrainer, make_trainer
from rewardkit.trainers.preflight import pass_at_k
from rewardkit.verifiers import HasNumber

ROWS = [{"prompt": f"{i}+{i}=", "answer": str(2 * i)} for i in range(8)]
PARTS = {"reward", "frac_reward_zero_std", "completions/clipped_ratio"}


class Never(Verifier):
    def _verify(self, sample: Sample) -> Verdict:
        return Verdict.incorrect("never")


def config(**changes: Any) -> GRPOConfig:
    return GRPOConfig(
        **{
            "num_generations": 4, "per_device_train_batch_size": 8, "max_completion_length": 8,
            "max_steps": 1, "gradient_checkpointing": False, "preflight_prompts": 3, **changes,
        }
    )  # fmt: skip


def run(model: Path, rubric: Rubric, **changes: Any) -> list[dict[str, Any]]:
    return GRPOTrainer(model, rubric, ROWS, config(**changes), quiet=True).train().history


def test_a_right_answer_that_is_never_seen_is_warned_of_with_what_to_do(tiny_model: Path) -> None:
    rubric = Rubric(answer=Never(), length=lambda completion: float(len(completion)))
    with pytest.warns(RewardKitWarning, match="12 completions of 3 prompts .*by 'answer'.*warm-up"):
        history = run(tiny_model, rubric)
    first = history[0]
    assert (first["step"], first["kind"]) == (0, "preflight")
    assert [first[f"preflight/pass@{k}/answer"] for k in (1, 2, 4)] == [0.0] * 3
    assert {f"preflight/{name}" for name in PARTS} <= first.keys()
    assert "preflight/pass@1/length" not in first  # it gives no verdicts
    assert history[1]["kind"] == "train"


def test_groups_that_do_not_differ_are_warned_of(tiny_model: Path) -> None:
    with pytest.warns(RewardKitWarning, match="on none of 3 prompts did two completions differ"):
        run(tiny_model, Rubric(same=lambda completion: 1.0))


def test_a_model_that_can_do_something_is_not_warned_of(tiny_model: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RewardKitWarning)
        history = run(tiny_model, Rubric(number=HasNumber()), preflight_samples=16)
    shares = [history[0][f"preflight/pass@{k}/number"] for k in (1, 2, 4, 8, 16)]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] <= 1


def test_a_part_of_no_weight_is_measured_and_not_warned_of(tiny_model: Path) -> None:
    rubric = Rubric(never=Never(), length=lambda completion: float(len(completion)))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RewardKitWarning)
        assert run(tiny_model, rubric.metrics("never"))[0]["preflight/pass@4/never"] == 0.0


def test_it_costs_as_many_completions_as_it_was_given_and_none_if_off(tiny_model: Path) -> None:
    calls: list[str] = []

    def count(completion: str) -> float:
        calls.append(completion)
        return float(len(completion))

    run(tiny_model, Rubric(count), preflight_prompts=2, preflight_samples=5)
    assert len(calls) == 10 + 8
    calls.clear()
    assert [row["kind"] for row in run(tiny_model, Rubric(count), preflight_prompts=0)] == ["train"]
    assert len(calls) == 8
    with pytest.raises(ConfigError, match="preflight_samples has no effect"):
        GRPOConfig(preflight_samples=4)


def test_it_does_not_change_what_is_learned_and_is_not_done_again_on_resume(
    tiny_model: Path, tmp_path: Path
) -> None:
    rubric = Rubric(length=lambda completion: float(len(completion)))
    losses = [run(tiny_model, rubric, preflight_prompts=n)[-1]["loss"] for n in (0, 3)]
    assert losses[0] == losses[1]
    options: dict[str, Any] = {"output_dir": tmp_path / "run", "quiet": True}
    first = GRPOTrainer(tiny_model, rubric, ROWS, config(save_steps=0), **options)
    first._look_before()
    again = GRPOTrainer(tiny_model, rubric, ROWS, config(), resume=True, **options)
    assert [row["kind"] for row in again.train().history] == ["preflight", "train"]


def test_both_backends_do_it(tiny_model: Path) -> None:
    rubric = Rubric(length=lambda completion: float(len(completion)))
    for backend in ("builtin", "trl"):
        made = make_trainer(tiny_model, rubric, ROWS, config(), backend=backend, quiet=True)
        assert made.train().history[0]["kind"] == "preflight"


def test_pass_at_k_is_the_share_of_choices_of_k_with_a_right_one() -> None:
    for n, c, k in [(5, 2, 1), (5, 2, 3), (6, 1, 6), (4, 0, 2), (4, 4, 2), (7, 3, 5)]:
        right = [True] * c + [False] * (n - c)
        choices = list(itertools.combinations(right, k))
        assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, choices)) / math.comb(n, k))
