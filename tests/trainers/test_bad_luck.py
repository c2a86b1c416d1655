"""Promise: what went wrong is said plainly, with what to change, and what led to it is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit import RewardKitError, Rubric, TooManyUnscorableError
from rewardkit.trainers import GRPOConfig, GRPOTrainer, checkpoints
from rewardkit.trainers.notes import Teller, notes_on

ROWS = [{"prompt": f"{i}+{i}="} for i in range(8)]
CONFIG: dict[str, Any] = {
    "num_generations": 4,
    "per_device_train_batch_size": 8,
    "max_completion_length": 6,
    "max_steps": 3,
    "learning_rate": 1e-2,
    "save_steps": 1,
    "gradient_checkpointing": False,
}


def length(completion: str) -> float:
    return float(len(completion))


def trainer(model: Path, folder: Path | None = None, **changes: Any) -> GRPOTrainer:
    rubric = changes.pop("rubric", Rubric(length))
    config = GRPOConfig(**{**CONFIG, **changes})
    return GRPOTrainer(model, rubric, ROWS, config, output_dir=folder)


def poison(run: GRPOTrainer, at: int) -> None:
    """Make the gradient NaN in the step after ``at`` steps, as an overflow would."""
    parameter = run.policy.trainable()[0]

    def turn(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * (float("nan") if run.progress.step == at else 1.0)

    parameter.register_hook(turn)


def test_a_gradient_that_is_no_number_stops_the_run_and_keeps_what_went_into_the_step(
    tiny_model: Path, tmp_path: Path
) -> None:
    run = trainer(tiny_model, tmp_path / "run", steps_per_generation=2)
    poison(run, at=1)
    with pytest.raises(
        RewardKitError, match=r"not finite(.|\n)*step 2 is in .*failed/step_00000001"
    ):
        run.train()
    before = tmp_path / "run" / "checkpoints" / "step_00000001"
    failed = tmp_path / "run" / "failed" / "step_00000001"
    assert checkpoints.damage(failed) is None
    states = [torch.load(at / "trainer.pt", weights_only=True) for at in (before, failed)]
    for name, value in states[0]["parameters"].items():
        assert torch.equal(value, states[1]["parameters"][name]), "the step changed a weight"
    kept = states[1]["rollouts"]
    assert (len(kept["items"]), kept["done"]) == (16, 1)
    assert {"ids", "prompt_ids", "advantage", "old_logps"} <= kept["items"][0].keys()
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "failed"
    again = GRPOTrainer(
        tiny_model, Rubric(length), ROWS, GRPOConfig(**{**CONFIG, "steps_per_generation": 2}),
        output_dir=tmp_path / "run", resume=True, quiet=True,
    )  # fmt: skip
    assert again.progress.step == 1
    assert again.train().steps == 3  # without the poison


def test_weights_that_are_no_numbers_stop_the_run_while_it_writes(tiny_model: Path) -> None:
    run = trainer(tiny_model)
    run._step()
    with torch.no_grad():
        run.policy.trainable()[-1].fill_(float("nan"))
    with pytest.raises(RewardKitError, match="NaN while it writes.*lower learning_rate"):
        run.train()


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_completions_that_are_all_cut_off_are_said_with_what_to_change(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = trainer(tiny_model, max_completion_length=1).train().history
    assert history[0]["completions/clipped_ratio"] == 1
    assert "truncated" in history[0]["notes"]
    told = said(capsys)
    assert "every completion was cut off at max_completion_length = 1 tokens" in told
    assert "Give more room, or teach the model to end" in told
    assert told.count("every completion was cut off") == 1, "said once, not at every step"


@pytest.mark.parametrize(
    ("rubric", "what"),
    [
        (Rubric(same=lambda completion: 1.0), "more finely"),
        (Rubric(same=lambda completion: 0.0), "dynamic_sampling passes such groups over"),
    ],
)
def test_groups_that_are_all_without_variance_are_said_with_what_to_change(
    tiny_model: Path, rubric: Rubric, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trainer(tiny_model, rubric=rubric)
    before = [p.detach().clone() for p in run.policy.trainable()]
    history = run.train().history
    assert all("flat" in row["notes"] for row in history)
    told = said(capsys)
    assert "in every group all rewards are equal" in told
    assert what in told
    assert all(torch.equal(a, b) for a, b in zip(before, run.policy.trainable(), strict=True))


def test_where_no_answer_is_right_or_every_one_is_the_note_says_which() -> None:
    flat = {"frac_reward_zero_std": 1.0, "unscorable/frac": 0.0}
    config = GRPOConfig()
    wrong = notes_on({**flat, "parts/a/correct": 0.0}, config)["flat"]
    assert "No answer was right: take easier problems, more num_generations" in wrong
    assert "harder" in notes_on({**flat, "parts/a/correct": 1.0}, config)["flat"]
    assert notes_on({"frac_reward_zero_std": 0.9, "unscorable/frac": 0.0}, config) == {}
    assert notes_on({"frac_reward_zero_std": None, "unscorable/frac": 0.5}, config) == {}


def test_a_batch_in_which_nothing_can_be_judged_is_said_with_the_reason(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rubric = Rubric(part=lambda completion: None)
    with pytest.raises(TooManyUnscorableError, match="part: .*returned None"):
        trainer(tiny_model, rubric=rubric).train()
    run = trainer(tiny_model, tmp_path / "run", rubric=rubric, max_unscorable_frac=1.0)
    history = run.train().history
    assert all(row["skipped"] == 1 and "unscorable" in row["notes"] for row in history)
    told = said(capsys)
    assert "no completion could be judged, so nothing is learned from this step" in told
    assert "part: the function returned None" in told


def test_what_lasts_is_said_again_the_tenth_and_the_hundredth_time() -> None:
    heard: list[str] = []
    teller, config = Teller(heard.append), GRPOConfig()
    bad = {"completions/clipped_ratio": 1.0}
    for _ in range(101):
        assert teller.note(bad, config) == {"notes": ["truncated"]}
    assert [text[:8] for text in heard] == ["every co", "10 gener", "100 gene"]
    assert teller.note({}, config) == {}
    teller.note(bad, config)
    assert heard[-1].startswith("every completion")
