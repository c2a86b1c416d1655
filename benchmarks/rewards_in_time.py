"""What do slow rewards cost a step? Eight that block for two seconds, here and in TRL.

Each function waits as a call to a service would, and returns a number; both trainers get the same
functions, model, prompts and sizes, in one run. Counted are whole steps, beside those of the same
functions not waiting. A ninth function then hangs for good, under a limit.

    python benchmarks/rewards_in_time.py [--seconds 2.0] [--steps 3]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from _record import record, spread

from rewardkit import FunctionReward, Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer, make_tiny_model

FUNCTIONS, GROUPS, SIZE = 8, 4, 8
ROWS = [{"prompt": f"{i}+{i}="} for i in range(GROUPS)]
Form = Callable[[str, float], Callable[..., Any]]


def per_batch(name: str, seconds: float) -> Callable[..., list[float]]:
    """A function of TRL's form, called once for many completions."""

    def slow(completions: list[str], **columns: object) -> list[float]:
        time.sleep(seconds)
        return [float(len(text) + len(name)) for text in completions]

    slow.__name__ = name
    return slow


def per_completion(name: str, seconds: float) -> Callable[..., float]:
    """A function that is called for each completion by itself."""

    def slow(completion: str) -> float:
        time.sleep(seconds)
        return float(len(completion))

    slow.__name__ = name
    return slow


def ours(model: Path, form: Form, seconds: float, steps: int, hang_s: float | None) -> list[float]:
    """Seconds of each step; with ``hang_s``, a further part hangs under that limit."""
    parts: dict[str, Any] = {f"r{i}": form(f"r{i}", seconds) for i in range(FUNCTIONS)}
    if hang_s is not None:
        hangs = form("hangs", 3600.0)
        parts["hangs"] = FunctionReward(hangs, limit_s=hang_s, weight=0.0, unscorable=0.0)
    config = GRPOConfig(
        num_generations=SIZE, per_device_train_batch_size=GROUPS * SIZE, max_completion_length=16,
        max_steps=steps, gradient_checkpointing=False, max_error_frac=1.0,
    )  # fmt: skip
    history = GRPOTrainer(model, Rubric(**parts), ROWS, config, quiet=True).train().history
    return [float(row["step_time"]) for row in history]


def theirs(model: Path, form: Form, seconds: float, steps: int) -> list[float]:
    """The same steps by TRL, timed by its own metric."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
    from trl import GRPOConfig as TRLConfig
    from trl import GRPOTrainer as TRLTrainer

    with tempfile.TemporaryDirectory() as folder:
        settings = TRLConfig(
            output_dir=folder, num_generations=SIZE, per_device_train_batch_size=GROUPS * SIZE,
            max_completion_length=16, max_steps=steps, logging_steps=1, save_strategy="no",
            report_to="none", use_cpu=True, bf16=False, disable_tqdm=True,
        )  # fmt: skip
        trainer = TRLTrainer(
            model=AutoModelForCausalLM.from_pretrained(model),
            reward_funcs=[form(f"r{i}", seconds) for i in range(FUNCTIONS)],
            args=settings,
            train_dataset=Dataset.from_list([dict(row) for row in ROWS]),
            processing_class=AutoTokenizer.from_pretrained(model),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        log = trainer.state.log_history
    return [float(row["step_time"]) for row in log if "step_time" in row]


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="that each function waits")
    parser.add_argument("--steps", type=int, default=3)
    given = parser.parse_args()
    wait, steps = given.seconds, given.steps
    with tempfile.TemporaryDirectory() as folder:
        model = make_tiny_model(Path(folder), hidden_size=32, heads=2)
        limit = 1.5 * wait
        steps_of = {
            "rewardkit, nothing waits": ours(model, per_batch, 0.0, steps, None),
            "rewardkit, called per group": ours(model, per_batch, wait, steps, None),
            "rewardkit, called per completion": ours(model, per_completion, wait, steps, None),
            "rewardkit, one hangs, per group": ours(model, per_batch, 0.0, steps, limit),
            "rewardkit, one hangs, per completion": ours(model, per_completion, 0.0, steps, limit),
            "TRL, nothing waits": theirs(model, per_batch, 0.0, steps),
            "TRL, called per batch": theirs(model, per_batch, wait, steps),
        }
    middle = {name: median(found) for name, found in steps_of.items()}
    added = middle["rewardkit, called per group"] - middle["rewardkit, nothing waits"]
    theirs_added = middle["TRL, called per batch"] - middle["TRL, nothing waits"]
    result = {
        "unit": "seconds of a whole step",
        "functions": FUNCTIONS,
        "each waits": wait,
        "the limit of the one that hangs": limit,
        "completions of a step": GROUPS * SIZE,
        **{name: spread(found) for name, found in steps_of.items()},
        "added by the rewards, rewardkit": round(added, 2),
        "added by the rewards, TRL": round(theirs_added, 2),
        "TRL over rewardkit": round(theirs_added / added, 2),
    }
    command = f"python benchmarks/rewards_in_time.py --seconds {wait:g} --steps {steps}"
    path = record("rewards_in_time", command, ["rewardkit", "trl", "torch"], result)
    for name, value in result.items():
        print(f"{name}: {value}")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
