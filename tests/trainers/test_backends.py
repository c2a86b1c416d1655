"""Promise: the same rubric, data and configuration train by both backends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit import (
    ConfigError,
    FunctionReward,
    MissingColumnError,
    Rubric,
    TooManyUnscorableError,
)
from rewardkit.trainers import (
    GRPOConfig,
    LoraSettings,
    QuantSettings,
    make_trainer,
    to_trl_config,
    train,
)
from rewardkit.trainers.advantage import advantages
from rewardkit.verifiers import NumberVerifier

ROWS = [{"prompt": f"{i}+{i}=", "answer": str(2 * i)} for i in range(8)]
CHATS = [
    {"prompt": [{"role": "user", "content": r["prompt"]}], "answer": r["answer"]} for r in ROWS
]


def digits(completion: str) -> float:
    return sum(c.isdigit() for c in completion) / max(len(completion), 1)


def odd_is_unknown(completion: str) -> float | None:
    return None if len(completion) % 2 else 1.0


def rubric() -> Rubric:
    return Rubric(
        digits=FunctionReward(digits, bounds=(0.0, 1.0)),
        answer=NumberVerifier().reward(2.0, -0.5),
        even=FunctionReward(odd_is_unknown, weight=0.5),
    ).metrics("answer")


def config(**changes: Any) -> GRPOConfig:
    return GRPOConfig(
        **{
            "num_generations": 4,
            "per_device_train_batch_size": 8,
            "steps_per_generation": 2,
            "max_completion_length": 6,
            "max_steps": 4,
            "learning_rate": 1e-3,
            "beta": 0.02,
            "save_steps": 2,
            "gradient_checkpointing": False,
            "max_unscorable_frac": 1.0,
            **changes,
        }
    )


def metrics(folder: Path, kind: str) -> list[dict[str, Any]]:
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [row for row in rows if row["kind"] == kind]


@pytest.mark.parametrize("rows", [ROWS, CHATS], ids=["text", "chat"])
def test_both_backends_log_the_same_names_to_the_same_folder(
    tiny_model: Path, tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    names: dict[str, set[str]] = {}
    for backend in ("builtin", "trl"):
        folder = tmp_path / backend
        result = train(
            tiny_model, rubric(), rows, config(eval_steps=2), backend=backend,
            eval_data=rows[:2], output_dir=folder, quiet=True,
        )  # fmt: skip
        assert result.steps == 4
        assert [e["step"] for e in result.evaluations()] == [0, 2, 4]
        manifest = json.loads((folder / "manifest.json").read_text())
        assert (manifest["backend"], manifest["status"]) == (backend, "finished")
        assert manifest["fingerprint"] == rubric().fingerprint
        # Counts by reason are only there when something is unscorable; times are each one's own;
        # notes say in words what the built-in trainer sees go wrong.
        names[backend] = {
            name
            for row in metrics(folder, "train") + metrics(folder, "eval")
            for name in row
            if not name.startswith(
                (
                    "time/",
                    "notes",
                    "tokens/",
                    "unscorable/",
                    "eval/greedy/unscorable/",
                    "eval/sampled/unscorable/",
                )
            )
        }
        written = list((folder / "rollouts").iterdir())
        rollouts = [json.loads(line) for p in written for line in p.read_text().splitlines()]
        assert len(rollouts) == 32
        assert {"parts", "total"} <= rollouts[0]["score"].keys()
        assert all(r["completion_ids"] for r in rollouts)
    assert names["builtin"] == names["trl"]
    assert {"parts/digits/mean", "parts/answer/correct", "reward", "kl", "loss"} <= names["builtin"]


@pytest.mark.parametrize("scale", ["group", "none"])
def test_on_replayed_completions_totals_parts_and_advantages_agree(
    tiny_model: Path, scale: str
) -> None:
    """TRL's own completions of a real run, scored and normalised again by our side."""
    trainer = make_trainer(
        tiny_model, rubric(), ROWS, config(scale_rewards=scale), backend="trl", quiet=True
    )
    inner, seen = trainer.inner, []  # type: ignore[attr-defined]
    plain = inner._generate_and_score_completions

    def watched(inputs: Any) -> Any:
        out = plain(inputs)
        reward = trainer.reward  # type: ignore[attr-defined]
        seen.append((list(reward.scores), list(reward.judged), out["advantages"].tolist()))
        return out

    inner._generate_and_score_completions = watched
    judged: list[Any] = []
    reward = trainer.reward  # type: ignore[attr-defined]
    observer = reward.observer
    reward.judged = judged

    def keep(samples: Any, scores: Any, groups: Any) -> None:
        judged[:] = list(samples)
        if observer is not None:
            observer(samples, scores, groups)

    reward.observer = keep
    trainer.train()
    assert seen
    some_unscorable = False
    for scores, samples, theirs in seen:
        again = rubric().score_many(samples)
        assert [s.total for s in again] == [s.total for s in scores]
        assert [s.values for s in again] == [s.values for s in scores]
        groups = [i // 4 for i in range(len(samples))]
        ours = advantages([s.total for s in again], groups, scale)  # type: ignore[arg-type]
        some_unscorable |= bool(ours.isnan().any())
        # What has no score gets advantage 0 from TRL and none at all from us.
        torch.testing.assert_close(
            ours.nan_to_num(0.0), torch.tensor(theirs, dtype=torch.float64), rtol=1e-6, atol=1e-6
        )
    assert some_unscorable


def test_both_backends_train_adapters(tiny_model: Path, tmp_path: Path) -> None:
    for backend in ("builtin", "trl"):
        folder = tmp_path / backend
        train(
            tiny_model, rubric(), ROWS, config(max_steps=2), backend=backend,
            lora=LoraSettings(r=2, lora_alpha=4), output_dir=folder, quiet=True,
        )  # fmt: skip
        assert list((folder / "checkpoints").rglob("adapter_model.safetensors"))


def test_a_key_that_trl_cannot_carry_is_an_error_with_the_reason(
    tiny_model: Path, tmp_path: Path
) -> None:
    changes: list[dict[str, Any]] = [
        {"ref_refresh_every": 5},
        {"rollout_batch_size": 2},
        {"head_budget_mib": 8.0},
        {"kl_estimator": "k2"},
        {"kl_placement": "reward"},
        {"kl_target": 0.1},
        {"advantage_estimator": "rloo", "scale_rewards": "none"},
        {"multi_objective_aggregation": "normalize_then_sum"},
        {"soft_punish_cache": 2},
        {"vllm_importance_sampling_correction": True},
        {"loss_type": "rloo"},
        {"prefix_sharing": False},
        {"max_tokens_per_microbatch": 64},
        {"kv_budget_gib": 1.0},
        {"activation_offloading": True, "gradient_checkpointing": True},
        {"mlp_tile": 64},
        {"lean_ops": False},
    ]
    for change in changes:
        with pytest.raises(ConfigError, match=f"cannot carry {next(iter(change))}"):
            make_trainer(tiny_model, rubric(), ROWS, config(**change), backend="trl", quiet=True)
    with pytest.raises(ConfigError, match="load_in_4bit is for the built-in trainer"):
        make_trainer(
            tiny_model, rubric(), ROWS, config(), backend="trl", quiet=True,
            quantization=QuantSettings(load_in_4bit=True),
        )  # fmt: skip
    with pytest.raises(ConfigError, match="unknown backend 'verl'"):
        make_trainer(tiny_model, rubric(), ROWS, config(), backend="verl")  # type: ignore[arg-type]


def test_defaults_that_differ_are_passed_to_trl_explicitly(tmp_path: Path) -> None:
    theirs = to_trl_config(GRPOConfig(), tmp_path)
    ours = GRPOConfig()
    assert theirs.bf16 is False
    assert theirs.use_bias_correction_kl is False
    assert theirs.loss_type == ours.loss_type == "grpo"
    assert theirs.disable_dropout is True
    assert theirs.steps_per_generation == 1
    assert theirs.report_to in ("none", [], ["none"])


def test_every_key_of_ours_is_carried_to_trl_or_refused_or_known_to_be_ours() -> None:
    """A key added to our configuration must be given a place on the way to TRL."""
    from rewardkit.trainers.backends.trl_config import _NOT_CARRIED, _SAME_NAME

    ours_alone = {
        "steps_per_generation", "save_steps", "eval_steps", "logging_steps",  # translated
        "reward_timeout_s", "max_error_frac", "max_unscorable_frac",  # done by the reward
        "preflight_prompts", "preflight_samples",  # done before TRL begins
    }  # fmt: skip
    assert set(GRPOConfig.model_fields) == {*_SAME_NAME, *_NOT_CARRIED, *ours_alone}


def test_as_trl_reward_works_by_hand() -> None:
    logged: dict[str, float] = {}
    reward = rubric().as_trl_reward()
    totals = reward(
        prompts=["1+1=", "1+1="],
        completions=["12", "123"],
        completion_ids=[[1, 2], [1, 2, 3]],
        answer=["12", "12"],
        trainer_state=object(),
        log_extra=lambda column, values: None,
        log_metric=logged.__setitem__,
    )
    assert totals == [1.5, None]
    assert logged["parts/answer/correct"] == 0.5
    assert logged["unscorable/frac"] == 0.5
    assert reward.__name__ == "rubric"
    chat = [[{"role": "assistant", "content": "12"}]]
    assert reward(
        prompts=[[{"role": "user", "content": "x"}]], completions=chat, answer=["12"]
    ) == [1.5]


def test_as_trl_reward_stops_a_batch_in_which_too_many_rewards_fail() -> None:
    def broken(completion: str) -> float:
        return 1 / 0

    with pytest.raises(
        TooManyUnscorableError,
        match=r"2 of 2 .*max_error_frac.*broken: the reward raised ZeroDivisionError",
    ):
        Rubric(broken).as_trl_reward()(prompts=["a", "b"], completions=["c", "d"])


@pytest.mark.parametrize("backend", ["builtin", "trl"])
def test_a_missing_column_is_found_before_a_model_is_loaded(backend: Any, tmp_path: Path) -> None:
    rubric_ = Rubric(part=lambda completion, tests: 1.0)
    with pytest.raises(MissingColumnError, match="'tests'.*answer, completion_ids, prompt"):
        make_trainer(tmp_path / "no-model", rubric_, ROWS, config(), backend=backend, quiet=True)


@pytest.mark.parametrize("backend", ["builtin", "trl"])
def test_a_reward_that_fails_stops_the_run_with_the_reason(
    tiny_model: Path, tmp_path: Path, backend: Any
) -> None:
    def broken(completion: str) -> float:
        raise ConnectionError("the judge is down")

    trainer = make_trainer(
        tiny_model, Rubric(broken), ROWS, config(), backend=backend, output_dir=tmp_path, quiet=True
    )
    with pytest.raises(TooManyUnscorableError, match="the judge is down"):
        trainer.train()
    assert json.loads((tmp_path / "manifest.json").read_text())["status"] == "failed"


def test_trl_resumes_from_its_checkpoint(tiny_model: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"backend": "trl", "output_dir": tmp_path / "run", "quiet": True}
    train(tiny_model, rubric(), ROWS, config(max_steps=2), **options)
    result = train(tiny_model, rubric(), ROWS, config(max_steps=4), resume=True, **options)
    assert result.steps == 4
    steps = [row["step"] for row in metrics(tmp_path / "run", "train")]
    assert steps == [1, 2, 3, 4]
