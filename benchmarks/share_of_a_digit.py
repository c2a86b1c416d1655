"""How fast does a run learn on a laptop's processor? The share of one digit, to nine tenths.

A new Llama of two layers and 27 tokens is paid the share of sevens in what it writes, which is near
nothing at first. Counted is all from the start of training to the first generation whose mean is
0.9; TRL then makes as many steps with the same sizes, in the same run.

    python benchmarks/share_of_a_digit.py [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from _record import record

from rewardkit import Rubric
from rewardkit.trainers import GRPOConfig, make_tiny_model, make_trainer

GOAL, MOST = 0.9, 25
CHARACTERS = "0123456789abcdefghijk"
ROWS = [{"prompt": f"{a}{b}"} for a in range(4) for b in range(4)]


def sevens(completion: str) -> float:
    return completion.count("7") / max(len(completion), 1)


def run(backend: str, seed: int, steps: int) -> dict[str, Any]:
    """Rewards by step, and seconds until the goal (``None``: not reached) and in all."""
    config = GRPOConfig(
        num_generations=8, per_device_train_batch_size=64, max_completion_length=12,
        max_steps=steps, learning_rate=1e-2, gradient_checkpointing=False, save_steps=0, seed=seed,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        model = make_tiny_model(Path(folder), characters=CHARACTERS, tags=(), seed=seed)
        trainer: Any = make_trainer(
            model,
            Rubric(sevens),
            ROWS,
            config,
            backend=backend,  # type: ignore[arg-type]
            quiet=True,
        )
        began, reached = perf_counter(), None
        rewards = [float(row["reward"]) for row in trainer.train().history if "reward" in row]
        took = perf_counter() - began
    step = next((i + 1 for i, reward in enumerate(rewards) if reward >= GOAL), None)
    if step is not None:
        reached = round(took * step / len(rewards), 2)
    return {
        "first": round(rewards[0], 4), "last": round(rewards[-1], 4), "steps": len(rewards),
        "step of the goal": step, "seconds to the goal": reached, "seconds": round(took, 2),
    }  # fmt: skip


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    result: dict[str, Any] = {"goal": GOAL, "tokens": len(CHARACTERS) + 6}
    for seed in parser.parse_args().seeds:
        result[f"built-in, seed {seed}"] = run("builtin", seed, MOST)
    result["TRL, seed 0"] = run("trl", 0, MOST)
    for name, value in result.items():
        print(f"{name}: {value}")
    packages = ["rewardkit", "torch", "transformers", "trl"]
    path = record("share_of_a_digit", "python benchmarks/share_of_a_digit.py", packages, result)
    print(f"written to {path}")


if __name__ == "__main__":
    main()
