"""Models, tokenizers and adapters from folders or the hub, ready to be trained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from rewardkit.errors import ConfigError
from rewardkit.trainers import parallel
from rewardkit.trainers.config import Dtype, GRPOConfig, LoraSettings, QuantSettings
from rewardkit.trainers.quantize import check_quantised, keep_packing, quantised_loading

__all__ = [
    "adapter_base",
    "load_adapter",
    "load_model",
    "load_tokenizer",
    "load_trainable",
    "lora_config",
    "lora_facts",
    "prepare_layers",
    "quiet",
]


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


def load_model(source: str, dtype: Dtype, quant: QuantSettings | None = None) -> Any:
    """A causal language model from a folder or hub name. Raises ``ConfigError``."""
    _must_exist(source)
    if adapter_base(source) is not None:
        raise ConfigError(
            f"the folder {source!r} holds an adapter and no model: name its base model, or train "
            f"it on with the built-in trainer"
        )
    # Absolute: adapters note the name of their base, and are read from another folder later.
    where = str(Path(source).resolve()) if Path(source).is_dir() else source
    try:
        with quiet():
            options = quantised_loading(quant or QuantSettings(), dtype)
            return AutoModelForCausalLM.from_pretrained(where, dtype=dtype, **options)
    except (OSError, ValueError, KeyError) as error:
        gone = "" if Path(source).exists() else " (there is no such folder here)"
        raise ConfigError(f"cannot load a model from {source!r}{gone}: {error}") from error


def load_trainable(
    source: str,
    dtype: Dtype,
    lora: LoraSettings | None,
    config: GRPOConfig,
    quant: QuantSettings | None = None,
) -> tuple[Any, bool]:
    """The model to train, on the device, and whether its adapters have been trained before.

    A folder with an adapter in peft's format (a checkpoint of a run with adapters, say) is trained
    on: the base model is loaded from where the adapter says, and the adapter put on it.

    Raises:
        ConfigError: if there is no model, or settings that an adapter does not have.
    """
    _check_loading(dtype, lora, config)
    parallel.choose_device()
    base, quant = adapter_base(source), quant or QuantSettings()
    check_quantised(quant, lora, adapter=base is not None)
    if base is None:
        model = load_model(source, dtype, quant)
        model = model if lora is None else _with_new_adapter(model, lora, config.seed)
    else:
        model = load_adapter(load_model(base, dtype, quant), source, trainable=True)
        _check_adapter(model, lora, source)
    if base is not None or lora is not None:
        # Checkpointed layers get no gradient through frozen embeddings unless their input asks.
        model.enable_input_require_grads()
    if quant.load_in_4bit:
        keep_packing(model)
    model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    prepare_layers(model, config)
    return model, base is not None


def prepare_layers(model: Any, config: GRPOConfig) -> None:
    """Checkpointing and dropout as configured."""
    if config.gradient_checkpointing:
        _checkpoint_activations(model)
    if config.disable_dropout:
        _disable_dropout(model)


def adapter_base(source: str) -> str | None:
    """The base model of the adapter in a folder; ``None`` if there is no adapter, or a model too.

    Raises:
        ConfigError: if the adapter's base model is a folder that is not there any more.
    """
    path = Path(source)
    if not (path / "adapter_config.json").is_file() or (path / "config.json").is_file():
        return None
    facts = json.loads((path / "adapter_config.json").read_text(encoding="utf-8"))
    base = str(facts.get("base_model_name_or_path") or "")
    if not base or (base.startswith(("/", ".", "~")) and not Path(base).is_dir()):
        raise ConfigError(
            f"the adapter in {source!r} stands on the model {base or '(it does not say)'!r}, which "
            f"is not there: put it back, or correct base_model_name_or_path in adapter_config.json"
        )
    return base


def load_adapter(model: Any, source: str, *, trainable: bool) -> Any:
    """A model with the adapter in a folder put on it. Raises ``ConfigError``."""
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, source, is_trainable=trainable)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"cannot load the adapter in {source!r}: {error}") from error


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


def lora_facts(model: Any) -> dict[str, Any]:
    """The settings of a model's adapter, by peft's names; none for a model without."""
    known = getattr(model, "peft_config", {}).get("default")
    if known is None:
        return {}
    facts = {key: getattr(known, key, None) for key in ("r", "lora_alpha", "lora_dropout")}
    modules = known.target_modules
    return {**facts, "target_modules": modules if isinstance(modules, str) else sorted(modules)}


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


def _check_loading(dtype: str, lora: LoraSettings | None, config: GRPOConfig) -> None:
    if dtype not in get_args(Dtype):
        raise ConfigError(f"dtype must be one of {', '.join(get_args(Dtype))}, got {dtype!r}")
    if lora is not None and lora.lora_dropout and config.disable_dropout:
        raise ConfigError("lora_dropout has no effect unless disable_dropout is false")
    if dtype == "bfloat16" and lora is None:
        parallel.warn(
            "full weights in bfloat16 hardly move at small learning rates, which round away: use "
            "dtype='float32' with bf16=True, or adapters",
            stacklevel=4,
        )


def _must_exist(source: str) -> None:
    """A path that looks like one must be there, rather than be asked of a hub."""
    path = Path(source)
    looks_like_path = source.startswith((".", "/", "~")) or path.exists() or source.count("/") != 1
    holds = any((path / name).is_file() for name in ("config.json", "adapter_config.json"))
    if looks_like_path and "/" in source and not holds:
        run = " (it is a run folder: name one of its checkpoints)"
        raise ConfigError(
            f"there is no model in the folder {source!r}: it must hold config.json and "
            f"weights, as save_pretrained writes them"
            f"{run if (path / 'manifest.json').is_file() else ''}"
        )


def _with_new_adapter(model: Any, lora: LoraSettings, seed: int) -> Any:
    from peft import get_peft_model

    torch.manual_seed(seed)
    return get_peft_model(model, lora_config(lora))


def _check_adapter(model: Any, lora: LoraSettings | None, source: str) -> None:
    """Raises ``ConfigError`` where settings are given that the adapter does not have."""
    if lora is None:
        return
    have, asked = lora_facts(model), lora.model_dump(exclude={"target_modules"})
    other = [f"{k}: {have[k]!r}, not {v!r}" for k, v in asked.items() if have[k] != v]
    if other:
        raise ConfigError(
            f"the adapter in {source!r} has settings of its own ({'; '.join(other)}): leave lora "
            f"out, or give the same"
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
