"""The main job from end to end, with no download: compose a rubric, test it, train with it.

A randomly initialised Llama of 0.25 million parameters is first taught the format by examples, most
of which forget the carry (the cold start). Then GRPO with the rubric makes the minority that is
right the rule. It does not teach addition from nothing, and says so: what RL does is choose.

    python examples/carry/demo.py [--seed 0] [--backend builtin|trl] [--output-dir runs/carry]
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from task import datasets

from rewardkit import Rubric, reward
from rewardkit.testing import check_fixtures
from rewardkit.trainers import (
    GRPOConfig,
    Policy,
    WarmupConfig,
    make_tiny_model,
    make_trainer,
    warm_up,
)

HERE = Path(__file__).parent
CHARACTERS = "0123456789+-=(),. "


@reward(bounds=(0.0, 1.7))
def chance(completion: str, answer: str) -> float:
    """The control: a reward that knows nothing, fixed for a given text."""
    return random.Random(f"{completion}:{answer}").random() * 1.7


def cold_start(folder: Path, lessons: list[dict[str, Any]], steps: int, seed: int) -> Path:
    """A checkpoint of a new model after supervised steps on the lessons."""
    make_tiny_model(folder / "new", hidden_size=96, layers=2, seed=seed, characters=CHARACTERS)
    policy = Policy.load(str(folder / "new"), config=GRPOConfig(gradient_checkpointing=False))
    settings = WarmupConfig(
        max_steps=steps,
        per_device_train_batch_size=64,
        learning_rate=4e-3,
        warmup_steps=20,
        seed=seed,
    )
    warm_up(policy, lessons, settings, on_step=_say)
    policy.save(folder / "cold-start")
    return folder / "cold-start"


def _say(step: int, loss: float) -> None:
    if step % 100 == 0:
        print(f"  warm-up step {step}: loss {loss:.3f}", flush=True)


def accuracy(evaluation: dict[str, Any], way: str, part: str = "answer") -> float:
    """Share of held-out problems answered right, in the right format."""
    return float(evaluation[f"eval/{way}/parts/{part}/correct"])


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The whole job; returns what was measured."""
    began = perf_counter()
    print("1. The rubric, tested on its fixtures before anything learns from it")
    report = check_fixtures(HERE / "carry.rewards.jsonl")
    print(f"   {report}")
    if report.failures:
        raise SystemExit("the rubric fails its own tests: nothing should learn from it")
    rubric = Rubric.load(HERE / "rubric.yaml")
    if arguments.control:
        rubric = Rubric.from_parts(
            {**rubric.metrics("format", "answer", "near").parts, "chance": chance}
        )
    lessons, train_rows, test_rows = datasets(arguments.seed, 3000, arguments.held_out)
    config = GRPOConfig(
        num_generations=8,
        per_device_train_batch_size=64,
        steps_per_generation=4,
        max_steps=4 * arguments.generations,
        max_completion_length=40,
        learning_rate=3e-4,
        adam_beta2=0.95,
        warmup_steps=40,
        epsilon_high=0.28,
        loss_type="dapo",
        gradient_checkpointing=False,
        seed=arguments.seed,
        save_steps=0,
    )
    with tempfile.TemporaryDirectory() as scratch:
        print("2. The cold start: a new model learns the format from a poor teacher")
        start = cold_start(Path(scratch), lessons, arguments.warmup_steps, arguments.seed)
        warmed = perf_counter() - began
        print("3. GRPO with the rubric")
        if arguments.output_dir.exists() and arguments.overwrite:
            shutil.rmtree(arguments.output_dir)
        trainer = make_trainer(
            start, rubric, train_rows, config,
            backend=arguments.backend, eval_data=test_rows, output_dir=arguments.output_dir,
        )  # fmt: skip
        first, *_, last = trainer.train().evaluations()
    measured = {
        "seed": arguments.seed,
        "backend": arguments.backend,
        "control": arguments.control,
        "seconds": {"warm_up": round(warmed, 1), "all": round(perf_counter() - began, 1)},
    }
    for way in ("greedy", "sampled"):
        measured[way] = {"before": accuracy(first, way), "after": accuracy(last, way)}
        measured[f"{way}_format"] = {
            "before": accuracy(first, way, "format"), "after": accuracy(last, way, "format")
        }  # fmt: skip
    return measured


def main() -> None:
    """Read the arguments, run, and say what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", choices=("builtin", "trl"), default="builtin")
    parser.add_argument(
        "--generations", type=int, default=50, help="generations of 256 completions"
    )
    parser.add_argument("--warmup-steps", type=int, default=450)
    parser.add_argument(
        "--held-out", type=int, default=256, help="held-out problems to evaluate on"
    )
    parser.add_argument("--control", action="store_true", help="learn from random rewards instead")
    parser.add_argument("--output-dir", type=Path, default=Path("runs/carry"))
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier run's folder")
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    arguments = parser.parse_args()
    measured = run(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    seconds = measured["seconds"]["all"]
    print(f"\nDone in {seconds:.0f} s. The report: rewardkit report {arguments.output_dir}")
    print(f"{arguments.held_out} held-out additions with a carry, answered right:")
    for way in ("greedy", "sampled"):
        before, after = measured[way]["before"], measured[way]["after"]
        print(f"  {way:8} {before:6.1%} before GRPO, {after:6.1%} after")


if __name__ == "__main__":
    main()
