"""Promise: a wrong configuration is refused early, by one message that names the mend."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from rewardkit import ConfigError, DataError, RewardKitWarning, Rubric
from rewardkit.trainers import (
    GRPOConfig,
    GRPOTrainer,
    LoraSettings,
    Policy,
    RunConfig,
    WarmupConfig,
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rat": 1e-3}, "learning_rat: Extra inputs.*\nkeys there are: .*learning_rate"),
        ({"num_generations": 1}, "num_generations"),
        ({"temperature": 0}, "temperature"),
        ({"epsilon": 1.5}, "epsilon"),
        ({"beta": float("nan")}, "beta"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"loss_type": "ppo"}, "loss_type.*'grpo'"),
        ({"per_device_train_batch_size": 6}, "multiple of num_generations = 8"),
        (
            {"steps_per_generation": 3, "gradient_accumulation_steps": 2},
            "multiple of gradient_accumulation_steps = 2",
        ),
        ({"max_steps": "many"}, "max_steps"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        GRPOConfig(**change)


def test_every_section_refuses_unknown_keys() -> None:
    for cls in (LoraSettings, WarmupConfig):
        with pytest.raises(ConfigError, match="Extra inputs"):
            cls(rr=1)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"RunConfig: grpo: GRPOConfig: beta"):
        RunConfig(model="m", rubric="r", data={"path": "d"}, output_dir="o", grpo={"beta": -1})  # type: ignore[arg-type]


def _only(key: str, value: Any = 1) -> dict[str, Any]:
    return {key: value}


def test_a_key_of_trl_that_is_not_taken_says_why_or_what_to_set_instead() -> None:
    """Every one that its users may have, with the value that they would leave."""
    trl = pytest.importorskip("trl")
    theirs = inspect.signature(trl.GRPOConfig).parameters
    asked = [key for key in theirs if key not in GRPOConfig.model_fields]
    assert len(asked) > 100
    for key in asked:
        with pytest.raises(ConfigError) as told:
            GRPOConfig(**_only(key, theirs[key].default))
        lines = str(told.value).splitlines()
        assert len(lines) == 3, key
        assert lines[2].startswith(f"{key}: "), key
        assert len(lines[2]) > len(key) + 15, key


def test_reasons_are_given_for_no_key_that_is_taken() -> None:
    for cls in (GRPOConfig, LoraSettings, RunConfig):
        assert not set(cls.foreign) & set(cls.model_fields) or cls is RunConfig
    for key in ("learning_rat", "num_generation", "epsilon_hi"):
        with pytest.raises(ConfigError, match=rf"\nkeys there.*\n{key}; did you mean '{key}\w+'\?"):
            GRPOConfig(**_only(key))
    with pytest.raises(ConfigError) as told:
        GRPOConfig(zzz=1)  # type: ignore[call-arg]
    assert len(str(told.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("vllm_mode", "and not by vLLM"),
        ("use_liger_kernel", "head_budget_mib"),
        ("log_completions", "rollouts/ of the run folder"),
        ("num_completions_to_print", "rewardkit report"),
        ("reward_weights", "the rubric's parts"),
        ("generation_batch_size", "set steps_per_generation"),
        ("max_prompt_length", "a prompt is never cut"),
        ("sync_ref_model", "ref_refresh_every"),
        ("warmup_ratio", "set warmup_steps"),
        ("report_to", "nothing is sent anywhere"),
        ("deepspeed", "backend: trl"),
        ("output_dir", "beside grpo"),
    ],
)
def test_what_users_of_trl_ask_for_most_names_its_counterpart(key: str, says: str) -> None:
    with pytest.raises(ConfigError, match=rf"\n{key}: .*{says}"):
        GRPOConfig(**_only(key))


def test_every_key_of_trls_that_bears_on_the_objective_is_taken() -> None:
    taken = [
        "beta",
        "epsilon",
        "epsilon_high",
        "delta",
        "num_iterations",
        "steps_per_generation",
        "scale_rewards",
        "loss_type",
        "mask_truncated_completions",
        "top_entropy_quantile",
        "importance_sampling_level",
        "multi_objective_aggregation",
        "use_bias_correction_kl",
        "off_policy_mask_threshold",
        "disable_dropout",
        "num_generations",
        "temperature",
        "top_p",
        "top_k",
        "entropy_coef",
    ]
    assert set(taken) <= set(GRPOConfig.model_fields)


def test_a_key_in_the_wrong_section_is_told_its_place() -> None:
    run: dict[str, Any] = {"model": "m", "rubric": "r", "data": {"path": "d"}, "output_dir": "o"}
    for key, place in (("learning_rate", "it stands under grpo"), ("r", "it stands under lora"),
                       ("vllm_mode", "it would stand under grpo, but completions are")):  # fmt: skip
        with pytest.raises(ConfigError, match=rf"\n{key}: {place}"):
            RunConfig(**run, **_only(key))
    with pytest.raises(ConfigError, match=r"RunConfig: grpo: (.|\n)*\nuse_vllm: completions are"):
        RunConfig(**run, grpo={"use_vllm": True})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"\nlora_r: its name here"):
        LoraSettings(lora_r=8)  # type: ignore[call-arg]


def test_batches_count_completions_as_in_trl() -> None:
    config = GRPOConfig(
        num_generations=4, per_device_train_batch_size=8, gradient_accumulation_steps=2,
        steps_per_generation=4, num_iterations=3,
    )  # fmt: skip
    assert (config.generation_batch_size, config.prompts_per_generation) == (32, 8)
    assert config.steps_per_rollout == 6
    assert config.total_steps(rows=80) == 10 * 3 * 6
    assert GRPOConfig(max_steps=7).total_steps(rows=1) == 7
    with pytest.raises(ConfigError, match="do not fill one generation"):
        config.total_steps(rows=2)


def test_keys_that_trl_has_are_spelled_as_in_trl() -> None:
    trl = pytest.importorskip("trl")
    theirs = set(inspect.signature(trl.GRPOConfig).parameters)
    ours = set(GRPOConfig.model_fields)
    own = {"rollout_batch_size", "ref_refresh_every", "head_budget_mib", "reward_timeout_s",
           "max_error_frac", "max_unscorable_frac", "gradient_checkpointing", "reward_workers",
           "dynamic_sampling", "max_resample_times", "preflight_prompts", "preflight_samples",
           "reference", "kl_estimator", "kl_placement", "kl_target", "kl_gain",
           "advantage_estimator", "soft_punish_cache", "soft_punish_penalty", "prefix_sharing",
           "max_tokens_per_microbatch", "activation_offloading", "kv_budget_gib", "mlp_tile",
           "lean_ops"}  # fmt: skip
    assert ours - theirs <= own


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "is empty"),
        ([{"question": "2+2"}], "has no 'prompt'; columns there are: question"),
        ([{"prompt": "2+2"}, {"prompt": ""}], "row 1"),
    ],
)
def test_rows_that_cannot_be_learned_from_are_refused(
    rows: list[dict[str, Any]], message: str, tmp_path: Path
) -> None:
    rubric = Rubric(part=lambda completion: 1.0)
    with pytest.raises(DataError, match=message):
        GRPOTrainer(tmp_path / "no-model", rubric, rows, quiet=True)


def test_a_chat_without_a_template_says_what_to_do(tiny_model: Path) -> None:
    from rewardkit.trainers.loading import load_tokenizer
    from rewardkit.trainers.prompts import encode_prompt

    tokenizer = load_tokenizer(str(tiny_model))
    tokenizer.chat_template = None
    with pytest.raises(ConfigError, match="no chat template"):
        encode_prompt(tokenizer, [{"role": "user", "content": "2+2"}])
    assert tokenizer.decode(encode_prompt(tokenizer, "2+2")) == "2+2"


def test_a_prompt_that_leaves_no_room_for_a_completion_names_its_row(tiny_model: Path) -> None:
    rows = [{"prompt": "1+1="}, {"prompt": "1" * 250}]
    config = GRPOConfig(
        num_generations=2, per_device_train_batch_size=4, max_completion_length=16, max_steps=1
    )
    for eval_data in (None, rows):
        with pytest.raises(DataError, match="row 1 has 250 tokens; .* more than the 256"):
            GRPOTrainer(
                tiny_model, Rubric(part=lambda completion: 1.0), rows[: 1 if eval_data else 2],
                config, eval_data=eval_data, quiet=True,
            )  # fmt: skip


def test_arguments_that_would_have_no_effect_are_refused(tiny_model: Path) -> None:
    rows, rubric = [{"prompt": "1+1="}], Rubric(part=lambda completion: 1.0)
    small = {"num_generations": 2, "per_device_train_batch_size": 2, "max_steps": 1}
    with pytest.raises(ConfigError, match="lora_dropout has no effect"):
        Policy.load(str(tiny_model), lora=LoraSettings(lora_dropout=0.1))
    with pytest.raises(ConfigError, match="ref_refresh_every has no effect"):
        GRPOConfig(ref_refresh_every=5)
    with pytest.raises(ConfigError, match="max_steps is a number of steps"):
        GRPOConfig(max_steps=0)
    with pytest.raises(ConfigError, match="lr_scheduler_type"):
        GRPOConfig(lr_scheduler_type="foo")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="dtype must be one of"):
        Policy.load(str(tiny_model), dtype="float16")  # type: ignore[arg-type]
    policy = Policy.load(str(tiny_model))
    with pytest.raises(ConfigError, match="leave lora and dtype out"):
        GRPOTrainer(policy, rubric, rows, GRPOConfig(**small), lora=LoraSettings(), quiet=True)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="keep_reference=True"):
        GRPOTrainer(policy, rubric, rows, GRPOConfig(**small, beta=0.1), quiet=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss_type": "cispo"}, "cispo needs epsilon_high"),
        ({"loss_type": "cispo", "epsilon_high": 5.0, "delta": 2.0}, "delta has no effect"),
        ({"loss_type": "vespo", "delta": 2.0}, "delta has no effect"),
        ({"loss_type": "rloo", "importance_sampling_level": "sequence"}, "ratios of its own"),
        ({"sapo_temperature_pos": 2.0}, "sapo_temperature_pos has no effect without"),
        ({"vespo_k_neg": 2.0, "loss_type": "sapo"}, "vespo_k_neg has no effect without"),
        ({"kl_estimator": "k2"}, "kl_estimator has no effect where beta = 0"),
        ({"kl_target": 0.1}, "kl_target has no effect where beta = 0"),
        ({"use_bias_correction_kl": True}, "use_bias_correction_kl has no effect"),
        ({"beta": 0.1, "kl_gain": 0.5}, "kl_gain has no effect without kl_target"),
        ({"beta": 0.1, "kl_estimator": "k1"}, "gradient of mean zero.*kl_placement='reward'"),
        (
            {"beta": 0.1, "kl_placement": "reward", "use_bias_correction_kl": True},
            "for a KL in the loss",
        ),
        ({"advantage_estimator": "rloo"}, "set scale_rewards='none'"),
        (
            {"multi_objective_aggregation": "normalize_then_sum", "scale_rewards": "batch"},
            "a normalisation of its own",
        ),
        (
            {"multi_objective_aggregation": "normalize_then_sum", "soft_punish_cache": 4},
            "are none of them",
        ),
        ({"soft_punish_cache": 600}, "must not be more than max_completion_length = 512"),
        ({"soft_punish_penalty": 2.0}, "no effect without soft_punish_cache"),
        ({"entropy_target": 1.0}, "no effect without use_adaptive_entropy"),
        (
            {"use_adaptive_entropy": True, "entropy_coef_min": 1.0, "entropy_coef_max": 0.5},
            "entropy_coef_min must not be more",
        ),
        ({"top_entropy_quantile": 1.5}, "top_entropy_quantile"),
        (
            {"vllm_importance_sampling_mode": "token_mask"},
            "no effect without vllm_importance_sampling_correction",
        ),
        (
            {
                "vllm_importance_sampling_correction": True,
                "vllm_importance_sampling_clip_min": 4.0,
            },
            "clip_min = 4 must be less than",
        ),
        (
            {
                "vllm_importance_sampling_correction": True,
                "vllm_importance_sampling_clip_max": None,
            },
            "needs a bound",
        ),
        (
            {"vllm_importance_sampling_correction": True, "loss_type": "vespo"},
            "token_truncate or token_mask",
        ),
    ],
    ids=lambda x: "+".join(x) if isinstance(x, dict) else "",
)
def test_an_objective_that_cannot_be_meant_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GRPOConfig(**change)


def test_a_configuration_that_spells_its_defaults_out_is_the_same() -> None:
    assert GRPOConfig(**GRPOConfig().model_dump()) == GRPOConfig()
    for value, meant in ((True, "group"), (False, "none")):  # TRL takes both
        assert GRPOConfig(scale_rewards=value).scale_rewards == meant  # type: ignore[arg-type]


def test_full_weights_in_bfloat16_are_warned_of(tiny_model: Path) -> None:
    with pytest.warns(RewardKitWarning, match="hardly move"):
        Policy.load(str(tiny_model), dtype="bfloat16")
