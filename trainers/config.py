"""The trainer's configuration, with TRL's names wherever TRL has one."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from rewardkit._strict import Strict
from rewardkit.errors import ConfigError
from rewardkit.trainers import parallel
from rewardkit.trainers._objective import check_objective
from rewardkit.trainers.foreign import FOREIGN, FOREIGN_LORA

__all__ = ["GRPOConfig", "LoraSettings", "QuantSettings"]

Scheduler = Literal[
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
]
Dtype = Literal["float32", "bfloat16", "auto"]
"""float16 is not among them: without loss scaling its gradients underflow."""
LossType = Literal["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo", "rloo"]
Optimizer = Literal[
    "adamw_torch",
    "adamw_torch_fused",
    "adamw_8bit",
    "adamw_bnb_8bit",
    "paged_adamw",
    "paged_adamw_32bit",
    "paged_adamw_8bit",
]
CorrectionMode = Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]


class LoraSettings(Strict):
    """Low-rank adapters, with the names of peft's ``LoraConfig``."""

    foreign: ClassVar = FOREIGN_LORA

    r: int = Field(default=16, ge=1)
    lora_alpha: int = Field(default=32, ge=1)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: str | tuple[str, ...] = "all-linear"


class QuantSettings(Strict):
    """Base weights in four bits (QLoRA, arXiv 2305.14314), with the names of TRL's ``ModelConfig``.

    Frozen, and unpacked for one product at a time; what is learned are adapters on them.
    """

    load_in_4bit: bool = False
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "nf4"
    use_bnb_nested_quant: bool = True
    """Quantise the scales of the quantised weights too: 0.37 bits per weight less."""


class GRPOConfig(Strict):
    """Group Relative Policy Optimization (DeepSeekMath, arXiv 2402.03300).

    Batches count completions, as in TRL: one generation makes ``per_device_train_batch_size *
    steps_per_generation`` completions of as many prompts as ``num_generations`` goes into it; an
    optimizer step uses ``per_device_train_batch_size * gradient_accumulation_steps`` of them. Both
    are of one process: N of them (:mod:`rewardkit.trainers.parallel`) make and use N times as many.

    Raises:
        ConfigError: for unknown keys and for values that cannot go together.
    """

    foreign: ClassVar = FOREIGN

    # sampling
    num_generations: int = Field(default=8, ge=2)
    max_completion_length: int = Field(default=512, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    rollout_batch_size: int | None = Field(default=None, ge=1)
    """Completions generated at a time, in evaluation too; ``None``: as many as one generation."""
    kv_budget_gib: float | None = Field(default=None, gt=0)
    """GiB that keys and values of completions being written may take: no more of them are written
    at a time than stay within it at their full length. The completions are the same whatever it
    is."""
    dynamic_sampling: bool = False
    """Replace groups without variance, which teach nothing, by groups of further prompts
    (DAPO, arXiv 2503.14476, section 3.2)."""
    max_resample_times: int = Field(default=3, ge=1)
    """Times that one generation may do so; what is still without variance then is kept."""

    # batches
    per_device_train_batch_size: int = Field(default=8, ge=1)
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    steps_per_generation: int | None = Field(default=None, ge=1)
    """Micro-batches made from one generation; ``None``: ``gradient_accumulation_steps``."""
    num_iterations: int = Field(default=1, ge=1)
    """Passes over each generation (mu in the paper)."""
    max_steps: int = Field(default=-1, ge=-1)
    """Optimizer steps; -1: as many as ``num_train_epochs`` come to."""
    num_train_epochs: float = Field(default=3.0, gt=0)
    shuffle_dataset: bool = True

    # objective
    loss_type: LossType = "grpo"
    importance_sampling_level: Literal["token", "sequence"] = "token"
    """Ratios of tokens, or one of each completion: GSPO (arXiv 2507.18071)."""
    epsilon: float = Field(default=0.2, gt=0, lt=1)
    epsilon_high: float | None = Field(default=None, gt=0)
    """Upper clip range; ``None``: ``epsilon`` (0.28 in DAPO, arXiv 2503.14476). For ``cispo`` the
    bound of the ratio itself (5.0 in ScaleRL, arXiv 2510.13786), which must be given."""
    delta: float | None = Field(default=None, gt=0)
    """Upper bound of the ratio itself, against one bad token with A < 0 (arXiv 2505.07291)."""
    sapo_temperature_neg: float = Field(default=1.05, gt=0)
    sapo_temperature_pos: float = Field(default=1.0, gt=0)
    vespo_k_pos: float = Field(default=2.0, ge=0)
    vespo_lambda_pos: float = Field(default=3.0, ge=0)
    vespo_k_neg: float = Field(default=3.0, ge=0)
    vespo_lambda_neg: float = Field(default=2.0, ge=0)
    off_policy_mask_threshold: float | None = Field(default=None, gt=0)
    """Leave out completions with A < 0 whose tokens have become less likely than this many nats on
    average since they were sampled (arXiv 2512.02556)."""
    mask_truncated_completions: bool = False
    disable_dropout: bool = True

    # reference
    beta: float = Field(default=0.0, ge=0)
    """Weight of the KL to the reference policy; where the run begins, if it is adapted."""
    kl_estimator: Literal["k1", "k2", "k3"] = "k3"
    kl_placement: Literal["loss", "reward"] = "loss"
    """Add the KL to the loss of each token, or take its sum from the completion's reward."""
    use_bias_correction_kl: bool = False
    """Multiply the estimate by the ratio (TRL's default; the paper's formula has no such)."""
    kl_target: float | None = Field(default=None, gt=0)
    """Adapt ``beta`` after every step, so that the ``kl`` metric comes to this
    (arXiv 1909.08593)."""
    kl_gain: float = Field(default=0.1, gt=0, le=1)
    """How fast: a fifth of this share at most in one step."""
    ref_refresh_every: int | None = Field(default=None, ge=1)
    """Optimizer steps after which the current policy becomes the reference (the outer rounds)."""
    reference: Literal["start", "base"] = "start"
    """What the KL is measured against: the policy as it began, or the model with its adapters
    switched off (which differ where training goes on from an adapter)."""

    # advantages
    advantage_estimator: Literal["grpo", "rloo"] = "grpo"
    """Rewards less the mean of their group, or of the others in it (RLOO, arXiv 2402.14740)."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    multi_objective_aggregation: Literal["sum_then_normalize", "normalize_then_sum"] = (
        "sum_then_normalize"
    )
    """Normalise the total, or every part of the rubric by itself (GDPO, arXiv 2601.05242)."""
    soft_punish_cache: int | None = Field(default=None, ge=1)
    """Tokens before ``max_completion_length`` in which a growing penalty is taken from the reward
    (DAPO, arXiv 2503.14476, section 3.4)."""
    soft_punish_penalty: float = Field(default=1.0, gt=0)
    """What it has grown to at the full length."""

    # entropy
    top_entropy_quantile: float = Field(default=1.0, ge=0, le=1)
    """Share of the step's tokens, those of the highest entropy, on which the policy loss acts
    (arXiv 2506.01939)."""
    entropy_coef: float = 0.0
    """Weight of a bonus: the mean entropy of the step's tokens."""
    use_adaptive_entropy: bool = False
    """Raise ``entropy_coef`` by steps where the entropy is below its target, else lower it, and
    apply it only there (arXiv 2505.22312)."""
    entropy_coef_min: float = 0.0
    entropy_coef_max: float = 1.0
    entropy_coef_delta: float = Field(default=0.005, gt=0)
    entropy_target: float = Field(default=0.2, ge=0)

    # engines whose log-probabilities differ
    vllm_importance_sampling_correction: bool = False
    """Weigh tokens by the trainer's over the engine's probability, of whichever engine sampled."""
    vllm_importance_sampling_mode: CorrectionMode = "sequence_mask"
    vllm_importance_sampling_clip_max: float | None = Field(default=3.0, gt=0)
    vllm_importance_sampling_clip_min: float | None = Field(default=None, ge=0)

    # optimizer
    optim: Optimizer = "adamw_torch"
    """By the names of ``transformers``; all but ``adamw_torch*`` need bitsandbytes and a GPU."""
    learning_rate: float = Field(default=1e-6, gt=0)
    lr_scheduler_type: Scheduler = "linear"
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    adam_beta1: float = Field(default=0.9, ge=0, lt=1)
    adam_beta2: float = Field(default=0.999, ge=0, lt=1)
    adam_epsilon: float = Field(default=1e-8, gt=0)
    max_grad_norm: float = Field(default=1.0, gt=0)

    # memory
    bf16: bool = False
    gradient_checkpointing: bool = True
    activation_offloading: bool = False
    """Keep the inputs of checkpointed layers in host memory until the backward pass."""
    mlp_tile: int | None = Field(default=None, ge=1)
    """Tokens at a time in feed-forward blocks, computed again in the backward pass."""
    lean_ops: bool = True
    """RMSNorms and LoRA layers that keep less for the backward pass, where they are recognised."""
    head_budget_mib: float = Field(default=64.0, gt=0)
    """Memory that the logits of one chunk of tokens may take."""
    prefix_sharing: bool = True
    """Compute a prompt once for all its completions in a micro-batch."""
    max_tokens_per_microbatch: int | None = Field(default=None, ge=1)
    """Tokens that go through the model at a time; ``None``: ``per_device_train_batch_size``
    completions at a time, whatever their length."""

    # running
    seed: int = 42
    logging_steps: int = Field(default=1, ge=1)
    """Optimizer steps between lines in the terminal; ``metrics.jsonl`` holds every step."""
    save_steps: int = Field(default=500, ge=0)
    """Optimizer steps between checkpoints; 0: only the last."""
    save_total_limit: int | None = Field(default=2, ge=1)
    eval_steps: int | None = Field(default=None, ge=1)
    reward_timeout_s: float | None = Field(default=None, gt=0)
    """Seconds for one call of a reward function without a limit of its own; see ``limit_s`` of
    :class:`rewardkit.FunctionReward` for where it then runs. ``None``: as in a plain loop."""
    reward_workers: int = Field(default=64, ge=0)
    """Calls of one reward at the same time, if it waits; 0: all in the trainer's own thread, after
    the generation and one after another, for functions that work nowhere else."""
    max_error_frac: float = Field(default=0.05, ge=0, le=1)
    """Share of a batch whose rewards may fail (raise, NaN, overrun) before the run stops."""
    max_unscorable_frac: float = Field(default=0.5, ge=0, le=1)
    """Share of a batch that may be unscorable for any reason before the run stops."""
    preflight_prompts: int = Field(default=0, ge=0)
    """Prompts on which the starting model is tried before anything is learned; 0: none."""
    preflight_samples: int | None = Field(default=None, ge=1)
    """Completions of each; ``None``: ``num_generations``."""

    @field_validator("scale_rewards", mode="before")
    @classmethod
    def _as_in_trl(cls, value: object) -> object:
        """TRL takes booleans too."""
        return {True: "group", False: "none"}[value] if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _goes_together(self) -> GRPOConfig:
        count = parallel.processes()
        if self.generation_batch_size * count % self.num_generations:
            raise ValueError(
                f"one generation makes per_device_train_batch_size * steps_per_generation"
                f"{f' * {count} processes' if count > 1 else ''} = "
                f"{self.generation_batch_size * count} completions, which must be a multiple of "
                f"num_generations = {self.num_generations}"
            )
        if self.max_steps == 0:
            raise ValueError("max_steps is a number of steps, or -1 for num_train_epochs")
        usual = type(self).model_fields["max_resample_times"].default
        if self.max_resample_times != usual and not self.dynamic_sampling:
            raise ValueError("max_resample_times has no effect without dynamic_sampling")
        if self.activation_offloading and not self.gradient_checkpointing:
            raise ValueError(
                "activation_offloading keeps the inputs of checkpointed layers: it needs "
                "gradient_checkpointing"
            )
        if self.preflight_samples and not self.preflight_prompts:
            raise ValueError("preflight_samples has no effect without preflight_prompts")
        if self.micro_batches % self.gradient_accumulation_steps:
            raise ValueError(
                f"steps_per_generation = {self.micro_batches} must be a multiple of "
                f"gradient_accumulation_steps = {self.gradient_accumulation_steps}"
            )
        check_objective(self)
        return self

    @property
    def micro_batches(self) -> int:
        """Micro-batches made from one generation."""
        return self.steps_per_generation or self.gradient_accumulation_steps

    @property
    def generation_batch_size(self) -> int:
        """Completions made by one generation."""
        return self.per_device_train_batch_size * self.micro_batches

    @property
    def prompts_per_generation(self) -> int:
        """Prompts (groups) of one generation."""
        return self.generation_batch_size // self.num_generations

    @property
    def steps_per_rollout(self) -> int:
        """Optimizer steps taken on one generation, all iterations counted."""
        return self.num_iterations * self.micro_batches // self.gradient_accumulation_steps

    @property
    def notes_old(self) -> bool:
        """Whether log-probabilities must be noted at the rollout, before the policy moves."""
        return (
            self.steps_per_rollout > 1
            or self.vllm_importance_sampling_correction
            or self.top_entropy_quantile < 1
            or bool(self.beta and self.kl_placement == "reward")
        )

    @property
    def flat_rows_teach(self) -> bool:
        """Whether a completion with an advantage of 0 has a gradient, or moves a coefficient."""
        in_loss = bool(self.beta) and self.kl_placement == "loss"
        adapted = self.kl_target is not None or self.use_adaptive_entropy
        return in_loss or adapted or bool(self.entropy_coef)

    @property
    def notes_flat(self) -> bool:
        """Whether log-probabilities of the rollout are asked of such completions too."""
        chosen = self.top_entropy_quantile < 1 or self.vllm_importance_sampling_correction
        return chosen or self.flat_rows_teach

    @property
    def clip(self) -> tuple[float, float]:
        """Lower and upper clip range."""
        return self.epsilon, self.epsilon if self.epsilon_high is None else self.epsilon_high

    def total_steps(self, rows: int) -> int:
        """Optimizer steps of a run over ``rows`` prompts.

        Raises:
            ConfigError: if that comes to none.
        """
        if self.max_steps > 0:
            return self.max_steps
        generations = int(rows * self.num_train_epochs) // self.prompts_per_generation
        if generations < 1:
            raise ConfigError(
                f"{rows} prompts and num_train_epochs={self.num_train_epochs:g} do not fill one "
                f"generation of {self.prompts_per_generation} prompts: set max_steps, or a smaller "
                f"per_device_train_batch_size"
            )
        return generations * self.steps_per_rollout
