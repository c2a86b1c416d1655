"""The same rubric, data and configuration, run by ``trl.GRPOTrainer``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rewardkit.errors import ConfigError, MissingExtraError
from rewardkit.rubric import Rubric
from rewardkit.sample import Sample
from rewardkit.score import Score
from rewardkit.trainers.config import GRPOConfig, LoraSettings
from rewardkit.trainers.result import TrainResult

__all__ = ["RubricReward", "TRLTrainer", "to_trl_config"]

_SAME_NAME = (
    "num_generations", "max_completion_length", "temperature", "top_p", "top_k",
    "per_device_train_batch_size", "gradient_accumulation_steps", "num_iterations", "max_steps",
    "num_train_epochs", "shuffle_dataset", "loss_type", "epsilon", "epsilon_high", "delta", "beta",
    "use_bias_correction_kl", "scale_rewards", "mask_truncated_completions", "disable_dropout",
    "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "adam_beta1",
    "adam_beta2", "adam_epsilon", "max_grad_norm", "bf16", "gradient_checkpointing", "seed",
    "logging_steps", "save_total_limit",
)  # fmt: skip

_NOT_CARRIED = {
    "ref_refresh_every": "TRL mixes the reference in place (sync_ref_model) and not with adapters",
    "rollout_batch_size": "TRL generates each generation batch at once",
}


@dataclass
class RubricReward:
    """A rubric as one TRL reward function: each total, ``None`` where there is none.

    One callable for the whole rubric: with one per part TRL would add a part that abstains as 0,
    and gates could not be expressed. The parts are logged by ``log_metric`` under their names.

    Attributes:
        rubric: scores the completions.
        config: limits and thresholds; without one, failing rewards abstain and nothing stops.
        scores: of the last batch.
    """

    rubric: Rubric
    config: GRPOConfig | None = None
    scores: list[Score] = field(default_factory=list, repr=False)
    observer: Any = field(default=None, repr=False)

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        log_metric: Any = None,
        **columns: Any,
    ) -> list[float | None]:
        """TRL's reward protocol: everything by keyword, one value per completion."""
        from rewardkit.trainers.judging import check_unscorable, score_metrics

        samples = [
            _sample(prompt, completion, _row(columns, i, len(prompts)))
            for i, (prompt, completion) in enumerate(zip(prompts, completions, strict=True))
        ]
        limit = None if self.config is None else self.config.reward_timeout_s
        groups = _groups(prompts)
        self.scores = self.rubric.score_many(
            samples, group_ids=groups, on_error="abstain", limit_s=limit
        )
        if self.observer is not None:
            self.observer(samples, self.scores, columns.get("completion_ids"), groups)
        if self.config is not None:
            check_unscorable(self.scores, self.config)
        if log_metric is not None:
            for name, value in score_metrics(self.scores).items():
                # TRL logs the total itself, and averages numbers only.
                if name != "reward" and isinstance(value, int | float):
                    log_metric(name, float(value))
        return [score.total for score in self.scores]


class TRLTrainer:
    """Runs ``trl.GRPOTrainer`` with a rubric; arguments as of the built-in trainer.

    Raises:
        ConfigError: for a key that TRL cannot carry.
        MissingExtraError: if TRL is not installed.
    """

    def __init__(
        self,
        model: str | Path,
        rubric: Rubric,
        train_data: Sequence[Mapping[str, Any]],
        config: GRPOConfig | None = None,
        *,
        eval_data: Sequence[Mapping[str, Any]] | None = None,
        lora: LoraSettings | None = None,
        dtype: str = "float32",
        output_dir: str | Path | None = None,
        resume: bool = False,
        quiet: bool = False,
        describe: Mapping[str, Any] | None = None,
    ) -> None:
        from rewardkit.trainers.backends._trl_run import TRLRun

        self.config = config or GRPOConfig()
        to_trl_config(
            self.config, Path("."), len(train_data)
        )  # refuse early what cannot be carried
        self._run = TRLRun(
            str(model), rubric, list(train_data), self.config, list(eval_data or ()), lora, dtype,
            None if output_dir is None else Path(output_dir), resume, quiet, describe,
        )  # fmt: skip

    @property
    def reward(self) -> RubricReward:
        """The reward function that TRL calls."""
        return self._run.reward

    @property
    def inner(self) -> Any:
        """The ``trl.GRPOTrainer`` itself."""
        return self._run.inner

    def train(self) -> TrainResult:
        """Run to the end; the run folder is the built-in trainer's."""
        return self._run.train()


def to_trl_config(config: GRPOConfig, output_dir: Path, rows: int) -> Any:
    """The ``trl.GRPOConfig`` that means the same.

    Every shared key is passed, so that a default that differs (``bf16``, ``loss_type``,
    ``use_bias_correction_kl``, ``disable_dropout``) never decides.

    Raises:
        ConfigError: for a key that is set and cannot be carried, or that this TRL does not know.
    """
    try:
        from trl import GRPOConfig as Theirs
    except ImportError as error:
        raise MissingExtraError("backend='trl'", "trl", "trl") from error
    import torch

    default = GRPOConfig()
    for key, why in _NOT_CARRIED.items():
        if getattr(config, key) != getattr(default, key):
            raise ConfigError(f"backend 'trl' cannot carry {key}={getattr(config, key)!r}: {why}")
    values = {key: getattr(config, key) for key in _SAME_NAME}
    known = Theirs.__dataclass_fields__
    if "activation_checkpointing" in known:  # its name since transformers 5
        values["activation_checkpointing"] = values.pop("gradient_checkpointing")
    missing = sorted(key for key in values if key not in known)
    if missing:
        raise ConfigError(f"this version of TRL has no {', '.join(missing)}: upgrade trl")
    return Theirs(
        output_dir=str(output_dir),
        **values,
        steps_per_generation=config.micro_batches,
        save_strategy="steps" if config.save_steps else "no",
        save_steps=config.save_steps or 500,
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        eval_strategy="no",
    )


def _sample(prompt: Any, completion: Any, row: dict[str, Any]) -> Sample:
    answer = row.pop("answer", None)
    return Sample(completion=completion, prompt=prompt, answer=answer, columns=row)


def _row(columns: Mapping[str, Any], index: int, n: int) -> dict[str, Any]:
    """The columns of one completion. TRL passes its state beside the columns, which is none."""
    skip = ("trainer_state", "log_extra", "environments")
    return {
        k: v[index] for k, v in columns.items()
        if k not in skip and isinstance(v, list) and len(v) == n
    }  # fmt: skip


def _groups(prompts: Sequence[Any]) -> list[int]:
    """TRL repeats each prompt in one contiguous block, and says no more about groups than that."""
    groups: list[int] = []
    for i, prompt in enumerate(prompts):
        new = i == 0 or prompt != prompts[i - 1]
        groups.append((groups[-1] + 1 if groups else 0) if new else groups[-1])
    return groups
