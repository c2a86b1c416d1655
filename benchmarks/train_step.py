"""What a train step costs here and in TRL: loss and gradients of the same completions.

Both sides have the same weights, completions and advantages, and one micro-batch of eight, as a
configuration with ``per_device_train_batch_size = 8`` would have it. TRL's own ``_compute_loss`` is
called with the tensors that its trainer makes of a generation: prompts padded on the left,
completions to the longest of the generation.

    python benchmarks/train_step.py [--rounds 5] [--case "one long, seven short"]

A case that is measured alone takes its place among those that were recorded before.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from _record import RESULTS, record, spread
from transformers import LlamaConfig, LlamaForCausalLM

from rewardkit import Rubric
from rewardkit.trainers import GRPOConfig, Policy, make_trainer
from rewardkit.trainers.loading import quiet
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.step import optimizer_step
from rewardkit.trainers.tiny import make_tokenizer

PACKAGES = ("torch", "transformers", "trl")
TOLERANCE = 1e-5
"""Of the difference of the gradients, over their norm, in float32."""


@dataclass(frozen=True)
class Case:
    """A group: tokens of its prompt and of each completion."""

    prompt: int
    lengths: tuple[int, ...]
    bar: float | None = None
    """What TRL's time over ours is to be, at least."""


CASES = {
    "one long, seven short": Case(64, (1024, *[64] * 7), bar=4.0),
    "prompt as long as responses": Case(256, (256,) * 8, bar=1.7),
    "prompt as long as responses, 512 tokens": Case(512, (512,) * 8, bar=1.7),
    "prompt four times the responses": Case(1024, (256,) * 8, bar=1.7),
}
QUICK = {"quick": Case(32, (64, *[8] * 7))}


def make_model(folder: Path, width: int, layers: int) -> None:
    """A Llama of eight million parameters, an eighth of them in its embedding."""
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=4096, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=4096,
        tie_word_embeddings=True, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
    )  # fmt: skip
    with quiet():
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def completions(case: Case) -> list[Completion]:
    """Random tokens; advantages of both signs, none of them zero."""
    draw = torch.Generator().manual_seed(0)

    def ids(count: int) -> list[int]:
        return torch.randint(20, 4096, (count,), generator=draw).tolist()

    prompt, made = ids(case.prompt), []
    for k, length in enumerate(case.lengths):
        item = Completion(0, 0, k, prompt, ids(length), False, "", [], total=0.0)
        item.advantage = (1.5, -0.9, 0.4, -1.1)[k % 4]
        item.old_logps = -8.3 + 0.1 * torch.randn(length, generator=draw)
        made.append(item)
    return made


class Keep(torch.optim.SGD):
    """Steps nowhere, and keeps the gradients."""

    kept: list[torch.Tensor]

    def step(self, closure: object = None) -> None:  # type: ignore[override]
        """Look at them."""
        found = (p.grad for group in self.param_groups for p in group["params"])
        self.kept = [g for g in found if g is not None]


def ours(folder: Path, config: GRPOConfig, case: Case) -> Callable[[], list[torch.Tensor]]:
    """A step of the built-in trainer."""
    policy = Policy.load(str(folder), config=config)
    policy.model.train()
    items = completions(case)
    optimizer = Keep(policy.trainable(), lr=0.0)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)

    def run() -> list[torch.Tensor]:
        optimizer_step(policy, optimizer, schedule, [items], config)
        return optimizer.kept

    return run


def theirs(folder: Path, config: GRPOConfig, case: Case) -> Callable[[], list[torch.Tensor]]:
    """Loss and gradients of ``trl.GRPOTrainer``."""
    rubric = Rubric(length=lambda completion: float(len(completion)))
    rows = [{"prompt": "1+1="}] * 8
    made = make_trainer(folder, rubric, rows, config, backend="trl", quiet=True)
    inner: Any = made.inner  # type: ignore[attr-defined]
    inner.current_gradient_accumulation_steps = 1
    inner.model.train()
    items = completions(case)
    size, width = len(items), max(case.lengths)

    def padded(values: list[Any], dtype: torch.dtype) -> torch.Tensor:
        out = torch.zeros((size, width), dtype=dtype)
        for row, value in zip(out, values, strict=True):
            row[: len(value)] = torch.as_tensor(value, dtype=dtype)
        return out

    mask = padded([[1] * n for n in case.lengths], torch.long)
    inputs = {
        "prompt_ids": torch.tensor([c.prompt_ids for c in items]),
        "prompt_mask": torch.ones((size, case.prompt), dtype=torch.long),
        "completion_ids": padded([c.ids for c in items], torch.long),
        "completion_mask": mask,
        "advantages": torch.tensor([c.advantage for c in items]),
        "old_per_token_logps": padded([c.old_logps for c in items], torch.float32),
        "num_items_in_batch": mask.sum(),
    }

    def run() -> list[torch.Tensor]:
        inner.model.zero_grad()
        inner._compute_loss(inner.model, inputs).backward()
        return [p.grad for p in inner.model.parameters() if p.grad is not None]

    return run


def seconds(run: Callable[[], Any]) -> float:
    """Of processor, as others may be at work too."""
    start = time.process_time()
    run()
    return time.process_time() - start


def measure(folder: Path, case: Case, rounds: int) -> dict[str, Any]:
    """Both sides by turns, once each round."""
    config = GRPOConfig(
        num_generations=8, per_device_train_batch_size=8, loss_type="dapo", epsilon_high=0.28,
        max_completion_length=max(case.lengths), max_steps=1, max_grad_norm=1e9,
        gradient_checkpointing=False,
    )  # fmt: skip
    sides = {"ours": ours(folder, config, case), "TRL": theirs(folder, config, case)}
    wanted, got = (torch.cat([g.flatten() for g in sides[s]()]) for s in ("TRL", "ours"))
    off = float((got - wanted).norm() / wanted.norm())
    if off > TOLERANCE:
        raise SystemExit(f"the gradients differ by {off:.3g} of their norm: nothing to compare")
    taken: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, run in sides.items():
            taken[side].append(seconds(run))
    ratios = [t / o for t, o in zip(taken["TRL"], taken["ours"], strict=True)]
    tokens = case.prompt + sum(case.lengths)
    padded = len(case.lengths) * (case.prompt + max(case.lengths))
    return {
        "tokens through the model": {"ours": tokens, "TRL": padded, "ratio": padded / tokens},
        "gradients differ by": off,
        "seconds": {side: spread(values) for side, values in taken.items()},
        "completions per second": {
            side: spread([len(case.lengths) / s for s in values]) for side, values in taken.items()
        },
        "TRL's time over ours": spread(ratios),
        "bar": case.bar,
    }


def _recorded() -> dict[str, Any]:
    before: dict[str, Any] = json.loads((RESULTS / "train_step.json").read_text(encoding="utf-8"))
    return dict(before["result"]["cases"])


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one small case, two rounds, not kept")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", choices=CASES, help="this one alone")
    options = parser.parse_args()
    cases = {options.case: CASES[options.case]} if options.case else CASES
    command = shlex.join(["python", "benchmarks/train_step.py", *sys.argv[1:]])
    rounds, (width, layers) = (2, (64, 2)) if options.quick else (options.rounds, (256, 8))
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        make_model(folder, width, layers)
        for name, case in (QUICK if options.quick else cases).items():
            found[name] = {"command": command, **measure(folder, case, rounds)}
            print(f"{name}: {found[name]}", flush=True)
    if options.quick:
        return
    result = {
        "unit": "processor seconds of loss and gradients of eight completions; ratios by round",
        "gradients must differ by less than": TOLERANCE,
        "model": f"Llama, {layers} layers of width {width}, vocabulary 4096, float32",
        "threads": torch.get_num_threads(),
        "cases": {**(_recorded() if options.case else {}), **found},
    }
    print(f"written to {record('train_step', command, PACKAGES, result)}")


if __name__ == "__main__":
    main()
