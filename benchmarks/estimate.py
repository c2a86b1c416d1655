"""Does `rewardkit estimate` tell what a run takes?

Small models are trained and sampled from for real, each in a process of its own, and what the
process grew by at most (and what a tracker saw of its tensors) is set beside the estimate. Then the
table of what each saving is worth, at the size of Llama-3.1-8B, on tensors without memory.

    python benchmarks/estimate.py [--part measured|table]

The table goes by two models of 2 and 4 layers: a layer more takes the same bytes more, and the test
of the whole 32 (`-m slow`) comes to the same.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _memory import MIB, process_peak, tracked_peak
from _record import RESULTS, record
from transformers import AutoConfig, AutoModelForCausalLM

from rewardkit.trainers import GRPOConfig, LoraSettings, Policy, QuantSettings, make_tiny_model
from rewardkit.trainers.memory.families import named_shape
from rewardkit.trainers.memory.footprint import Case, footprints
from rewardkit.trainers.optim import make_optimizer
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.rollout.generate import Request, generate
from rewardkit.trainers.step import optimizer_step

GIB = 2**30
PROMPT, CONTEXT = 64, 1024
SHAPE = {
    "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 6,
    "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 8192,
    "max_position_embeddings": 8192,
}  # fmt: skip
LORA = LoraSettings(r=16)
HEAPED = "llama, adapters, tiles"
RUNS: dict[str, tuple[str, LoraSettings | None, dict[str, Any]]] = {
    "llama, all weights": ("llama", None, {}),
    "llama, all weights, no checkpointing": ("llama", None, {"gradient_checkpointing": False}),
    "llama, adapters": ("llama", LORA, {}),
    "llama, adapters, tiles": ("llama", LORA, {"mlp_tile": 512}),
    "llama, adapters, plain operations": ("llama", LORA, {"lean_ops": False}),
    "qwen3, adapters, tiles": ("qwen3", LORA, {"mlp_tile": 512}),
}


def case(name: str) -> Case:
    """A run that is measured, as the estimate takes it."""
    kind, lora, changes = RUNS[name]
    grpo = GRPOConfig(
        num_generations=2, per_device_train_batch_size=2, gradient_accumulation_steps=2,
        max_completion_length=CONTEXT - PROMPT, **changes,
    )  # fmt: skip
    shape = AutoConfig.for_model(kind, **SHAPE)
    return Case(shape, torch.float32, grpo, lora, prompt=PROMPT, cuda=False)


def measure(name: str) -> dict[str, float | None]:
    """Load and train a step for real, in the tracker's sight; MiB above the process as it is with
    its libraries loaded and warm."""
    run = case(name)
    with tempfile.TemporaryDirectory() as folder:
        place = _saved(run.model, Path(folder))
        _warm(place)
        gc.collect()
        tensors: list[float] = []

        def load_and_train() -> None:
            policy = Policy.load(str(place), lora=run.lora, config=run.grpo)
            policy.model.train()
            optimizer = make_optimizer(policy.model, run.grpo)
            schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
            standing = [*policy.model.parameters(), *policy.model.buffers()]
            optimizer_step(policy, optimizer, schedule, [[_small()]], run.grpo)  # makes its states
            batch = [_item(run, k) for k in range(2)]
            states = [t for s in optimizer.state.values() for t in s.values()]
            held = sum(t.nbytes for t in {id(t): t for t in [*standing, *states]}.values())
            grown = tracked_peak(
                lambda: optimizer_step(policy, optimizer, schedule, [batch, batch], run.grpo),
                [*standing, *states], "cpu",
            )  # fmt: skip
            tensors.append(grown + held / MIB)

        process = process_peak(load_and_train)
        return {"process": process, "tensors": tensors[0]}


def _saved(shape: Any, folder: Path) -> Path:
    make_tiny_model(folder)  # for its tokenizer
    AutoModelForCausalLM.from_config(shape).save_pretrained(folder)
    return folder


def _warm(place: Path) -> None:
    """What is allocated once for all: libraries, buffers of threads, caches of compiled code."""
    small = GRPOConfig(max_completion_length=8, num_generations=2, per_device_train_batch_size=2)
    policy = Policy.load(str(place), lora=LORA, config=small)
    optimizer = make_optimizer(policy.model, small)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    optimizer_step(policy, optimizer, schedule, [[_small()]], small)
    generate(policy, [Request(0, 0, 0, [2, 3])], small, step=0)


def _small() -> Completion:
    return Completion(0, 0, 0, [2] * 8, [3] * 8, False, "", [], total=1.0, advantage=1.0)


def _item(run: Case, index: int) -> Completion:
    tokens = [3 + k % 50 for k in range(run.grpo.max_completion_length)]
    prompt = [2] * run.prompt
    return Completion(
        0, 0, index, prompt, tokens, False, "", [], total=1.0, advantage=1.0 - 2 * index
    )


HEAP = {"MALLOC_MMAP_THRESHOLD_": str(32 * MIB), "MALLOC_TRIM_THRESHOLD_": str(64 * MIB)}
"""Where glibc's thresholds go by themselves in training, if they are not set."""


def measured() -> list[dict[str, Any]]:
    """Every run beside its estimate, and one with the C library left as it is."""
    rows = []
    for name in RUNS:
        told = footprints(case(name))["train"].total / MIB
        rows.append(_beside(name, told, {}))
        if name == HEAPED:
            rows.append(_beside(name, told, HEAP))
    return rows


def _beside(name: str, told: float, environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, __file__, "--measure", name]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | environment
    )
    row: dict[str, Any] = {"run": name, "heap": "as it is" if environment else "given back"}
    row["estimate_mib"] = round(told, 1)
    for key, value in json.loads(done.stdout.splitlines()[-1]).items():
        row[f"{key}_mib"] = round(value, 1)
        row[f"{key}_over_estimate"] = round(value / told, 3)
    print(json.dumps(row), flush=True)
    return row


SAVINGS: dict[str, dict[str, Any]] = {
    "checkpointing, chunked head": {"lean_ops": False},
    "+ layer inputs on the host": {"lean_ops": False, "activation_offloading": True},
    "+ lean operations": {"activation_offloading": True},
    "+ feed-forward blocks in tiles of 2,048": {"activation_offloading": True, "mlp_tile": 2048},
    "+ in tiles of 1,024": {"activation_offloading": True, "mlp_tile": 1024},
    "tiles of 1,024, nothing on the host": {"mlp_tile": 1024},
}


def table(tokens: int = 20_480) -> list[dict[str, Any]]:
    """What each saving is worth to Llama-3.1-8B, one row a micro-batch, adapters of rank 16."""
    rows = []
    for name, changes in SAVINGS.items():
        rows.append({"savings": name, "tokens": tokens, **_eight_billion(tokens, changes)})
        print(json.dumps(rows[-1]))
    for longer in (65_536, 98_304):
        last = SAVINGS["+ in tiles of 1,024"]
        rows.append({"savings": "all", "tokens": longer, **_eight_billion(longer, last)})
        print(json.dumps(rows[-1]))
    return rows


def _eight_billion(tokens: int, changes: dict[str, Any]) -> dict[str, float]:
    low, high = (_of_layers(layers, tokens, changes) for layers in (2, 4))
    return {k: round(high[k] + (32 - 4) * (high[k] - low[k]) / 2, 3) for k in high}


def _of_layers(layers: int, tokens: int, changes: dict[str, Any]) -> dict[str, float]:
    shape = named_shape("llama3-8B")
    assert shape is not None
    config = shape.config()
    config.num_hidden_layers = layers
    grpo = GRPOConfig(
        per_device_train_batch_size=1, gradient_accumulation_steps=8, num_generations=8,
        max_completion_length=tokens - 1024, **changes,
    )  # fmt: skip
    quant = QuantSettings(load_in_4bit=True)
    phases = footprints(Case(config, torch.bfloat16, grpo, LORA, quant, prompt=1024))
    step = phases["train"]
    activations = sum(step.device.get(k, 0) for k in ("activations", "head"))
    return {
        "activations_gib": activations / GIB,
        "host_gib": step.host.get("activations", 0) / GIB,
        "train_step_gib": step.total / GIB,
    }


def main() -> None:
    """Both parts, or one."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=("measured", "table"))
    parser.add_argument("--measure")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    parts: dict[str, Callable[[], Any]] = {
        "measured": measured,
        "table": table,
    }
    before = RESULTS / "estimate.json"
    result = json.loads(before.read_text())["result"] if before.exists() else {}
    for name, run in parts.items():
        if arguments.part in (None, name):
            result[name] = run()
    command = "OMP_NUM_THREADS=1 python benchmarks/estimate.py"
    print(record("estimate", command, ["torch", "transformers", "peft"], result))


if __name__ == "__main__":
    main()
