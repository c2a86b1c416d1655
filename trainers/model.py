"""The policy: loading, adapters, hidden states, and the reference it is measured against."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, get_args

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from rewardkit.errors import ConfigError, RewardKitWarning
from rewardkit.trainers.config import Dtype, GRPOConfig, LoraSettings
from rewardkit.trainers.head import Head

__all__ = ["Policy", "as_policy", "load_model", "load_tokenizer", "lora_config", "quiet"]


def load_tokenizer(source: str) -> Any:
    """A tokenizer from a folder or hub name. Raises ``ConfigError``."""
    _must_exist(source)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot load a tokenizer from {source!r}: {error}") from error
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ConfigError(f"the tokenizer of {source!r} has neither a pad nor an eos token")
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(source: str, dtype: Dtype) -> Any:
    """A causal language model from a folder or hub name. Raises ``ConfigError``."""
    _must_exist(source)
    try:
        with quiet():
            return AutoModelForCausalLM.from_pretrained(source, dtype=dtype)
    except (OSError, ValueError, KeyError) as error:
        where = "" if Path(source).exists() else " (there is no such folder here)"
        raise ConfigError(f"cannot load a model from {source!r}{where}: {error}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without ``transformers``' progress bars, which flash by for every shard of every save."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


class Policy:
    """A causal language model in training.

    Args:
        model: the model, of any architecture that ``transformers`` loads for causal language
            modelling, with peft adapters or without.
        tokenizer: its tokenizer.
        keep_reference: whether a reference policy will be asked for. With adapters it is the model
            with the adapter off (or a kept copy of the adapter); without, a frozen copy.
    """

    def __init__(self, model: Any, tokenizer: Any, *, keep_reference: bool = False) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.has_adapter = hasattr(model, "get_base_model")
        self.base = model.get_base_model() if self.has_adapter else model
        self.head = _head(self.base)
        self._body = self.base.base_model
        self._reference: Any = None
        self._reference_adapter: dict[str, torch.Tensor] | None = None
        if keep_reference and not self.has_adapter:
            self._reference = _frozen_copy(self.base)
        _check_head(self)

    @classmethod
    def load(
        cls,
        source: str,
        *,
        dtype: Dtype = "float32",
        lora: LoraSettings | None = None,
        config: GRPOConfig | None = None,
    ) -> Policy:
        """A policy from a folder or hub name.

        Raises:
            ConfigError: if the folder is not there or holds no model of a known kind.
        """
        config = config or GRPOConfig()
        _check_loading(dtype, lora, config)
        tokenizer = load_tokenizer(source)
        model = load_model(source, dtype)
        if lora is not None:
            model = _with_lora(model, lora, config.seed)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = model.to(device)
        if config.gradient_checkpointing:
            _checkpoint_activations(model)
        if config.disable_dropout:
            _disable_dropout(model)
        keep = config.beta > 0
        return cls(model, tokenizer, keep_reference=keep)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        found: torch.device = self.base.device
        return found

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """Every token that ends a completion: the model's and the tokenizer's."""
        own = self.base.generation_config.eos_token_id
        ids = set(own if isinstance(own, list) else [own]) | {self.tokenizer.eos_token_id}
        return tuple(sorted(i for i in ids if i is not None))

    @property
    def keeps_reference(self) -> bool:
        """Whether :meth:`as_reference` works."""
        return self.has_adapter or self._reference is not None

    @property
    def context_length(self) -> int | None:
        """Tokens that the model can hold; ``None`` if it does not say."""
        text = self.base.config.get_text_config()
        found: int | None = getattr(text, "max_position_embeddings", None)
        return found

    def trainable(self) -> list[torch.nn.Parameter]:
        """Parameters that are learned, in a fixed order."""
        return [p for p in self.model.parameters() if p.requires_grad]

    def hidden(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Last hidden states, ``[B, T] -> [B, T, H]``, of right-padded sequences."""
        out = self._body(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        states: torch.Tensor = out.last_hidden_state
        return states

    @contextmanager
    def as_reference(self) -> Iterator[Policy]:
        """Within this, :meth:`hidden` and :attr:`head` are the reference policy's."""
        if not self.has_adapter:
            if self._reference is None:
                raise ConfigError("this policy keeps no reference: it was made for beta = 0")
            body, head = self._body, self.head
            self._body, self.head = self._reference.base_model, _head(self._reference)
            try:
                yield self
            finally:
                self._body, self.head = body, head
        elif self._reference_adapter is None:
            with self.model.disable_adapter():
                yield self
        else:
            with _swapped(self.model, self._reference_adapter):
                yield self

    def refresh_reference(self) -> None:
        """Make the policy the reference: an outer round of arXiv 2402.03300, algorithm 1."""
        if self.has_adapter:
            self._reference_adapter = {
                name: p.detach().clone() for name, p in _adapter(self.model).items()
            }
        elif self._reference is not None:
            self._reference.load_state_dict(self.base.state_dict())

    def reference_state(self) -> dict[str, torch.Tensor] | None:
        """What must be saved to have the same reference again; ``None`` if the start has it."""
        if self.has_adapter:
            return self._reference_adapter
        return None if self._reference is None else dict(self._reference.state_dict())

    def load_reference_state(self, state: dict[str, torch.Tensor] | None) -> None:
        """Put back what :meth:`reference_state` gave."""
        if self.has_adapter:
            self._reference_adapter = state
        elif state is not None and self._reference is not None:
            self._reference.load_state_dict(state)

    def autocast(self, bf16: bool) -> Any:
        """The autocast context for a forward pass."""
        return torch.autocast(self.device.type, torch.bfloat16) if bf16 else nullcontext()

    def save(self, folder: Path) -> None:
        """Adapters in peft's format, full models by ``save_pretrained``; the tokenizer beside."""
        with quiet():
            self.model.save_pretrained(str(folder))
        self.tokenizer.save_pretrained(str(folder))


def as_policy(
    model: str | Path | Policy, dtype: Dtype, lora: LoraSettings | None, config: GRPOConfig
) -> Policy:
    """The policy to train: loaded, or the one given, whose present weights are the reference."""
    if not isinstance(model, Policy):
        return Policy.load(str(model), dtype=dtype, lora=lora, config=config)
    if lora is not None or dtype != "float32":
        raise ConfigError("a ready Policy has its weights and adapters: leave lora and dtype out")
    if config.beta:
        if not model.keeps_reference:
            raise ConfigError(
                "beta > 0 needs a reference: make the Policy with keep_reference=True"
            )
        model.refresh_reference()  # it may have been warmed up since it was loaded
    return model


def _check_loading(dtype: str, lora: LoraSettings | None, config: GRPOConfig) -> None:
    if dtype not in get_args(Dtype):
        raise ConfigError(f"dtype must be one of {', '.join(get_args(Dtype))}, got {dtype!r}")
    if lora is not None and lora.lora_dropout and config.disable_dropout:
        raise ConfigError("lora_dropout has no effect unless disable_dropout is false")
    if dtype == "bfloat16" and lora is None:
        warnings.warn(
            "full weights in bfloat16 hardly move at small learning rates, which round away: use "
            "dtype='float32' with bf16=True, or adapters",
            RewardKitWarning,
            stacklevel=3,
        )


def _must_exist(source: str) -> None:
    """A path that looks like one must be there, rather than be asked of a hub."""
    path = Path(source)
    looks_like_path = source.startswith((".", "/", "~")) or path.exists() or source.count("/") != 1
    if looks_like_path and "/" in source and not (path / "config.json").is_file():
        adapter = (
            " (it holds an adapter: name its base model)"
            if (path / "adapter_config.json").is_file()
            else ""
        )
        raise ConfigError(
            f"there is no model in the folder {source!r}: it must hold config.json and "
            f"weights, as save_pretrained writes them{adapter}"
        )


def _with_lora(model: Any, lora: LoraSettings, seed: int) -> Any:
    from peft import get_peft_model

    torch.manual_seed(seed)
    model = get_peft_model(model, lora_config(lora))
    # Checkpointed layers get no gradient through frozen embeddings unless their input asks for it.
    model.enable_input_require_grads()
    return model


def lora_config(lora: LoraSettings) -> Any:
    """The settings as peft's ``LoraConfig``."""
    from peft import LoraConfig

    modules = lora.target_modules
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=modules if isinstance(modules, str) else list(modules),
        task_type="CAUSAL_LM",
    )


def _checkpoint_activations(model: Any) -> None:
    """Under whichever name this version of ``transformers`` has it."""
    named = ("activation_checkpointing_enable", "gradient_checkpointing_enable")
    enable = next(getattr(model, name) for name in named if hasattr(model, name))
    enable({"use_reentrant": False})


def _disable_dropout(model: Any) -> None:
    # Different dropout masks in pi_old and pi would show up as ratios that no update made.
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        # Attention applies it as a function, with the rate as an attribute.
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, 0.0)


def _frozen_copy(model: Any) -> Any:
    reference = copy.deepcopy(model)
    reference.requires_grad_(False)
    return reference.eval()


def _adapter(model: Any) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


@contextmanager
def _swapped(model: Any, state: dict[str, torch.Tensor]) -> Iterator[None]:
    """The adapter's values exchanged for others, and back; the base weights are never touched."""
    parameters = _adapter(model)
    own = {name: p.detach().clone() for name, p in parameters.items()}
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(state[name])
        try:
            yield
        finally:
            for name, p in parameters.items():
                p.copy_(own[name])


def _head(base: Any) -> Head:
    project = base.get_output_embeddings()
    if project is None:
        raise ConfigError(f"{type(base).__name__} has no output embeddings: it is no causal LM")
    text = base.config.get_text_config()
    scale = float(getattr(text, "logit_scale", None) or 1.0)
    scale /= float(getattr(text, "logits_scaling", None) or 1.0)
    cap = getattr(text, "final_logit_softcapping", None)
    return Head(project, int(project.weight.shape[0]), scale, None if cap is None else float(cap))


def _check_head(policy: Policy) -> None:
    """Compare our hidden-states-and-head path with the model's own logits, once, on a few tokens.

    A model that does something to its logits which ``Head`` does not know would silently be trained
    on other probabilities than it samples from.
    """
    ids = torch.arange(1, 9, device=policy.device)[None] % policy.head.vocabulary
    training = policy.model.training
    policy.model.eval()
    with torch.no_grad():
        own = policy.base(input_ids=ids, use_cache=False).logits[0].float()
        ours = policy.head.logits(policy.hidden(ids, torch.ones_like(ids))[0])
    policy.model.train(training)
    off = float((own.log_softmax(-1) - ours.log_softmax(-1)).abs().max())
    if off > (1e-3 if own.dtype == torch.float32 and policy.base.dtype == torch.float32 else 0.1):
        raise ConfigError(
            f"{type(policy.base).__name__} transforms its logits in a way this trainer does not "
            f"know (log-probabilities differ by {off:.3g}): please report the architecture, or "
            f"train it with backend='trl'"
        )
    if off != off:
        warnings.warn("the model's logits are NaN before training", RewardKitWarning, stacklevel=2)
