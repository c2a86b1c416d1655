"""The policy: hidden states, adapters, and the reference it is measured against."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from rewardkit.errors import ConfigError
from rewardkit.trainers import parallel
from rewardkit.trainers.attention import LAYOUT
from rewardkit.trainers.config import Dtype, GRPOConfig, LoraSettings, QuantSettings
from rewardkit.trainers.head import head_of
from rewardkit.trainers.loading import load_tokenizer, load_trainable, lora_facts, quiet
from rewardkit.trainers.memory.heap import give_back_freed
from rewardkit.trainers.memory.install import Installed, install
from rewardkit.trainers.packing import Packed

__all__ = ["Policy", "as_policy"]


class Policy:
    """A causal language model in training.

    Args:
        model: the model, of any architecture that ``transformers`` loads for causal language
            modelling, with peft adapters or without.
        tokenizer: its tokenizer.
        keep_reference: whether a reference policy will be asked for. With adapters it is the model
            with the adapter off (or a kept copy of the adapter); without, a frozen copy.

    Attributes:
        decodes: whether :mod:`rewardkit.trainers.rollout.decode` can write with this model;
            ``None`` until it was tried.
        packs: whether it takes packed rows, see :mod:`rewardkit.trainers.packable`; ``None`` until
            it was tried.
        packs_to: tokens of a sequence up to which that was tried, and found so.
        window: tokens up to which it can be so; ``None``: any number.
        told_of_padding: whether the user knows of rows that are not packed.
        savings: what :meth:`save_memory` has put on the model, and on a kept reference.
    """

    def __init__(self, model: Any, tokenizer: Any, *, keep_reference: bool = False) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.has_adapter = hasattr(model, "get_base_model")
        self.base = model.get_base_model() if self.has_adapter else model
        self.head = head_of(self.base)
        self._body = self.base.base_model
        self.decodes: bool | None = None
        self.packs: bool | None = None
        self.packs_to = 0
        self.window: int | None = None
        self.told_of_padding = False
        self.savings: list[Installed] = []
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
        **quantization: Any,
    ) -> Policy:
        """A policy from a folder or hub name; a folder with an adapter is trained on.

        Args:
            source: the folder or name.
            dtype: of the weights; of those that are not quantised, if some are.
            lora: settings of new adapters.
            config: of the run.
            quantization: keys of :class:`QuantSettings`; ``load_in_4bit=True`` is QLoRA.

        Raises:
            ConfigError: if the folder is not there or holds no model of a known kind.
            MissingExtraError: if quantisation needs a package that is not installed.
        """
        config = config or GRPOConfig()
        quant = QuantSettings(**quantization)
        model, trained_before = load_trainable(source, dtype, lora, config, quant)
        policy = cls(model, load_tokenizer(source), keep_reference=config.beta > 0)
        policy.save_memory(config)
        if trained_before and config.beta and config.reference == "start":
            policy.refresh_reference()  # off is not where an adapter with a past begins
        return policy

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

    def save_memory(self, config: GRPOConfig) -> None:
        """Put on the model what ``config`` asks for of :mod:`rewardkit.trainers.memory`; what was
        put on before is taken off. The weights, what is computed and what is saved stay the same.
        On a CPU, what tensors leave free goes back to the system from now on.
        """
        if self.device.type == "cpu":
            give_back_freed()
        for one in self.savings:
            one.remove()
        how: dict[str, Any] = {"mlp_tile": config.mlp_tile, "lean": config.lean_ops}
        self.savings = [install(self.model, offload=config.activation_offloading, **how)]
        if self._reference is not None:
            self.savings.append(install(self._reference, **how))

    def hidden(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Last hidden states, ``[B, T] -> [B, T, H]``, of right-padded sequences."""
        out = self._body(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        states: torch.Tensor = out.last_hidden_state
        return states

    def packed(self, row: Packed) -> torch.Tensor:
        """Last hidden states of a packed row, ``[T, H]``."""
        # A mask of four dimensions is handed on as it is: none is made for the row.
        unused = torch.ones((1, 1, 1, 1), dtype=torch.bool, device=row.ids.device)
        out = self._body(
            input_ids=row.ids[None],
            position_ids=row.positions[None],
            attention_mask=unused,
            use_cache=False,
            **{LAYOUT: row.layout},
        )
        states: torch.Tensor = out.last_hidden_state[0]
        return states

    def bodies(self) -> list[Any]:
        """The models that :meth:`hidden` may go through: the policy's, and a separate reference."""
        return [model for model in (self.base, self._reference) if model is not None]

    def advance(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        positions: torch.Tensor,
        cache: Any,
    ) -> torch.Tensor:
        """Last hidden states of further tokens, ``[B, T] -> [B, T, H]``; the cache grows by them.

        Args:
            input_ids: ``[B, T]``, the new tokens.
            attention_mask: ``[B, past + T]``, zero where there is padding (on the left).
            positions: ``[B, T]``, of the new tokens, padding not counted.
            cache: keys and values of the past.
        """
        out = self._body(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        states: torch.Tensor = out.last_hidden_state
        return states

    @contextmanager
    def as_reference(self) -> Iterator[Policy]:
        """Within this, :meth:`hidden` and :attr:`head` are the reference policy's."""
        if not self.has_adapter:
            if self._reference is None:
                raise ConfigError("this policy keeps no reference: it was made for beta = 0")
            body, head = self._body, self.head
            self._body, self.head = self._reference.base_model, head_of(self._reference)
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

    def adapter_facts(self) -> dict[str, Any]:
        """The settings of the adapter; none if there is none."""
        return lora_facts(self.model)

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
    model: str | Path | Policy,
    dtype: Dtype,
    lora: LoraSettings | None,
    config: GRPOConfig,
    quantization: QuantSettings | None = None,
) -> Policy:
    """The policy to train: loaded, or the one given, whose present weights are the reference."""
    if not isinstance(model, Policy):
        how = {} if quantization is None else quantization.model_dump()
        policy = Policy.load(str(model), dtype=dtype, lora=lora, config=config, **how)
    elif lora is not None or dtype != "float32" or quantization is not None:
        raise ConfigError(
            "a ready Policy has its weights and adapters: leave lora and dtype out, and "
            "quantization too"
        )
    else:
        policy = _taken(model, config)
    if config.reference == "base" and not policy.has_adapter:
        raise ConfigError(
            "reference='base' is the model with its adapters switched off, and this one has none: "
            "give lora, or leave reference out"
        )
    return policy


def _taken(model: Policy, config: GRPOConfig) -> Policy:
    """A ready policy, its reference as configured."""
    if config.beta and config.reference == "start":
        if not model.keeps_reference:
            raise ConfigError(
                "beta > 0 needs a reference: make the Policy with keep_reference=True"
            )
        model.refresh_reference()  # it may have been warmed up since it was loaded
    model.save_memory(config)
    return model


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
        parallel.warn("the model's logits are NaN before training", stacklevel=2)
