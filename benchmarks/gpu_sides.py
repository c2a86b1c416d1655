"""The sides of the GPU benchmark: one train step of the same tokens, by this trainer and by TRL's,
and this trainer's whole step, rollouts included. Each is called in a process of its own."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from rewardkit import Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer, LoraSettings, Policy
from rewardkit.trainers.loading import _checkpoint_activations, lora_config
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.step import optimizer_step
from rewardkit.trainers.tiny import make_tokenizer

GIB = 2**30
SHAPES: dict[str, dict[str, Any]] = {
    "Llama-3.1-8B": {
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "vocab_size": 128256, "tie_word_embeddings": False,
    },
    "Qwen2.5-1.5B": {
        "model_type": "qwen2", "hidden_size": 1536, "intermediate_size": 8960,
        "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2,
        "vocab_size": 151936, "tie_word_embeddings": True,
    },
    "Qwen2.5-14B": {
        "model_type": "qwen2", "hidden_size": 5120, "intermediate_size": 13824,
        "num_hidden_layers": 48, "num_attention_heads": 40, "num_key_value_heads": 8,
        "vocab_size": 152064, "tie_word_embeddings": False,
    },
}  # fmt: skip
TINY = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 128,
}  # fmt: skip
LEAN = {"activation_offloading": True, "mlp_tile": 2048, "kv_budget_gib": 8.0}
"""Settings that save memory, passed where this version of the trainer has them."""


@dataclass(frozen=True)
class Case:
    """One measurement.

    Attributes:
        part: of the benchmark.
        side: ``ours`` or ``TRL``.
        kind: ``train``, a step on completions that are given, or ``whole``, rollouts included.
        shape: of the model.
        prompt, completion: tokens of each.
        rows: completions.
        four_bit: whether linear layers are quantised to NF4, scales too.
        cap_gib: what the process may take of the GPU, the driver's own memory included.
        steps: how often; the last one is timed.
        device: ``cuda`` or ``cpu``.
        tiny: all sizes of the model cut down.
    """

    part: str
    side: str
    kind: str
    shape: str
    prompt: int
    completion: int
    rows: int
    four_bit: bool = False
    cap_gib: float | None = None
    steps: int = 2
    device: str = "cuda"
    tiny: bool = False


def measure(case: Case, gradients: Path) -> dict[str, Any]:
    """Do it; gives losses, seconds and peaks.

    Args:
        case: what to do.
        gradients: where to write those of the first step, for the other side to be compared with.
    """
    context = _context(case)
    model = build(case)
    weights = _allocated(case)
    if case.cap_gib is not None and case.device == "cuda":
        total = torch.cuda.get_device_properties(0).total_memory / GIB
        torch.cuda.set_per_process_memory_fraction((case.cap_gib - context) / total)
    run = {"train": {"ours": _ours, "TRL": _trl}[case.side], "whole": _whole}[case.kind]
    found: dict[str, Any] = {"status": "done", "weights_gib": weights, "context_gib": context}
    try:
        found |= run(case, model, gradients)
    except torch.OutOfMemoryError as error:
        found["status"] = f"out of memory: {str(error).splitlines()[0][:200]}"
    return found | _peaks(case)


def build(case: Case) -> Any:
    """The model with random weights, the same ones on every side, and adapters on it."""
    from peft import get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    facts = {**SHAPES[case.shape], **(TINY if case.tiny else {})}
    tokenizer = make_tokenizer()
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = AutoConfig.for_model(
        **facts, **ends, bos_token_id=None, max_position_embeddings=131072
    )
    torch.manual_seed(0)
    dtype = torch.bfloat16 if case.device == "cuda" else torch.float32
    with torch.device(case.device):
        model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=dtype)
    if case.four_bit:
        _quantise(model, dtype, case.device)
    model = get_peft_model(model, lora_config(LoraSettings(r=16, lora_alpha=32)))
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # begun at zero, it would leave the gradients of the others zero too
            torch.nn.init.normal_(parameter, std=0.02)
    model.enable_input_require_grads()
    _checkpoint_activations(model)
    gc.collect()
    if case.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return model.train()


def _quantise(model: Any, dtype: torch.dtype, device: str) -> None:
    """Every linear layer but the head to NF4, as ``load_in_4bit`` does while weights arrive."""
    nn: Any = import_module("bitsandbytes.nn")
    names = [n for n, m in model.named_modules() if type(m) is torch.nn.Linear and n != "lm_head"]
    for name in names:
        old = model.get_submodule(name)
        new = nn.Linear4bit(
            old.in_features, old.out_features, bias=old.bias is not None, compute_dtype=dtype,
            compress_statistics=True, quant_type="nf4", device="meta",
        )  # fmt: skip
        new.weight = nn.Params4bit(
            old.weight.detach(), requires_grad=False, compress_statistics=True,
            quant_type="nf4",
        ).to(device)  # fmt: skip
        new.bias = old.bias
        if hasattr(new, "support_avx512bf16_for_cpu"):
            new.support_avx512bf16_for_cpu = False  # it would pack weights for inference alone
        model.set_submodule(name, new)
    model.is_loaded_in_4bit = True


def completions(case: Case) -> list[Completion]:
    """Random tokens, the same on every side, with advantages of both signs."""
    torch.manual_seed(2)
    vocabulary = TINY["vocab_size"] if case.tiny else SHAPES[case.shape]["vocab_size"]
    prompt = torch.randint(10, vocabulary, (case.prompt,)).tolist()
    return [
        Completion(
            group=0, row=0, sample_index=k, prompt_ids=prompt,
            ids=torch.randint(10, vocabulary, (case.completion,)).tolist(),
            truncated=True, text="", sampling_logps=[], total=float(k),
            advantage=1.0 - 2.0 * (k % 2) + 0.1 * k,
        )
        for k in range(case.rows)
    ]  # fmt: skip


def settings(case: Case, **own: Any) -> GRPOConfig:
    """Ours, with what saves memory as far as this version has it."""
    lean = {key: value for key, value in LEAN.items() if key in GRPOConfig.model_fields}
    values: dict[str, Any] = {
        "num_generations": case.rows, "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": case.rows, "max_completion_length": case.completion,
        "loss_type": "dapo", "bf16": case.device == "cuda", "max_steps": case.steps,
        **lean, **own,
    }  # fmt: skip
    return GRPOConfig(**values)


def _ours(case: Case, model: Any, gradients: Path) -> dict[str, Any]:
    policy, config = Policy(model, make_tokenizer()), settings(case)
    if hasattr(policy, "save_memory"):
        policy.save_memory(config)
    optimizer = _Keeping(policy.trainable(), gradients, lr=1e-6)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    batches = [[item] for item in completions(case)]
    found: list[dict[str, Any]] = []

    def step() -> None:
        found.append(optimizer_step(policy, optimizer, schedule, batches, config))

    seconds = _timed(case, step)
    return {"loss": found[0]["loss"], "grad_norm": found[0]["grad_norm"], **seconds}


def _trl(case: Case, model: Any, gradients: Path) -> dict[str, Any]:
    """The loss by TRL's own code, one row at a time, in the loop that ``Trainer`` runs."""
    inner = _trl_trainer(case, model)
    optimizer = _Keeping([p for p in model.parameters() if p.requires_grad], gradients, lr=1e-6)
    items, device = completions(case), case.device
    tokens = torch.tensor(sum(len(c.ids) for c in items), device=device)
    losses: list[float] = []

    def row(item: Completion) -> dict[str, torch.Tensor]:
        prompt = torch.tensor([item.prompt_ids], device=device)
        ids = torch.tensor([item.ids], device=device)
        return {
            "prompt_ids": prompt, "prompt_mask": torch.ones_like(prompt),
            "completion_ids": ids, "completion_mask": torch.ones_like(ids),
            "advantages": torch.tensor([item.advantage], device=device),
            "num_items_in_batch": tokens,
        }  # fmt: skip

    def step() -> None:
        total = 0.0
        for item in items:
            with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                loss = inner._compute_loss(inner.model, row(item))
            loss.backward()
            total += float(loss.detach())
        losses.append(total)
        norms.append(float(torch.nn.utils.clip_grad_norm_(optimizer.own, 1.0)))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    norms: list[float] = []
    seconds = _timed(case, step)
    return {"loss": losses[0], "grad_norm": norms[0], **seconds}


def _trl_trainer(case: Case, model: Any) -> Any:
    from datasets import Dataset
    from trl import GRPOConfig as TheirConfig
    from trl import GRPOTrainer as Theirs

    config = TheirConfig(
        output_dir="unused", num_generations=case.rows, per_device_train_batch_size=1,
        gradient_accumulation_steps=case.rows, max_completion_length=case.completion,
        loss_type="dapo", bf16=case.device == "cuda", use_cpu=case.device == "cpu", beta=0.0,
        report_to="none", max_steps=1, save_strategy="no",
    )  # fmt: skip
    inner: Any = Theirs(
        model=model,
        reward_funcs=[lambda completions, **_: [0.0] * len(completions)],
        args=config,
        train_dataset=Dataset.from_list([{"prompt": "1"}] * case.rows),
        processing_class=make_tokenizer(),
    )
    inner.current_gradient_accumulation_steps = case.rows
    inner.model.train()
    return inner


def _whole(case: Case, model: Any, gradients: Path) -> dict[str, Any]:
    """The trainer itself: rollouts, rewards, learning."""

    def spread(completion_ids: list[int]) -> float:
        return sum(completion_ids) % 97 / 97

    policy = Policy(model, make_tokenizer())
    rows = [{"prompt": ("12+34=" * case.prompt)[: case.prompt]}]
    own: dict[str, Any] = {}
    if case.four_bit and case.device == "cuda":
        own["optim"] = "paged_adamw_8bit"
    if "max_tokens_per_microbatch" in GRPOConfig.model_fields:
        # All completions are of one prompt: together it is computed once, and not for each.
        own["max_tokens_per_microbatch"] = case.prompt + case.rows * case.completion
    trainer = GRPOTrainer(policy, Rubric(spread), rows, settings(case, **own), quiet=True)
    history = trainer.train().history
    last = history[-1]
    lengths = last["completions/mean_length"] + case.prompt
    return {
        "loss": history[0]["loss"],
        "grad_norm": history[0]["grad_norm"],
        "tokens_per_row": lengths,
        "seconds": last["step_time"],
        "rollout_seconds": last["time/rollout_s"],
        "train_seconds": last["time/train_s"],
    }


def _timed(case: Case, step: Callable[[], None]) -> dict[str, float]:
    for _ in range(case.steps):
        start = time.perf_counter()
        step()
        if case.device == "cuda":
            torch.cuda.synchronize()
        taken = time.perf_counter() - start
    return {"seconds": round(taken, 4)}


class _Keeping(torch.optim.AdamW):
    """Writes the gradients of the first step, as they come out of the clipping, to a file."""

    def __init__(self, parameters: list[torch.nn.Parameter], path: Path, lr: float) -> None:
        super().__init__(parameters, lr=lr)
        self.own, self._path = parameters, path

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        if not self._path.exists():
            found = [p.grad.flatten().float().cpu() for p in self.own if p.grad is not None]
            torch.save(torch.cat(found), self._path)
        super().step()


def _context(case: Case) -> float:
    """GiB that the driver holds before anything is allocated, where nobody else uses the GPU."""
    if case.device == "cpu":
        return 0.0
    torch.zeros(1, device="cuda") @ torch.zeros(1, device="cuda")  # what cuBLAS takes, too
    free, total = torch.cuda.mem_get_info()
    return round((total - free - torch.cuda.memory_reserved()) / GIB, 3)


def _allocated(case: Case) -> float | None:
    return round(torch.cuda.memory_allocated() / GIB, 3) if case.device == "cuda" else None


def _peaks(case: Case) -> dict[str, float]:
    if case.device == "cuda":
        return {
            "peak_allocated_gib": round(torch.cuda.max_memory_allocated() / GIB, 3),
            "peak_reserved_gib": round(torch.cuda.max_memory_reserved() / GIB, 3),
        }
    import resource

    return {"process_peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB}
