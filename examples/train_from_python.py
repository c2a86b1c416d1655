"""Train a model from Python, by the built-in trainer or by TRL, and print what came of it.

    python examples/train_from_python.py [--backend builtin|trl] [--steps 4]

The model is tiny, random and made on the spot, so nothing is downloaded and nothing is learned in
so few steps: this shows the parts and how they fit. For a run that learns see carry/demo.py.
"""

import argparse
import tempfile
from pathlib import Path

from rewardkit import Rubric
from rewardkit.report import load_run, summary
from rewardkit.trainers import GRPOConfig, make_tiny_model, train
from rewardkit.verifiers import HasNumber, NumberVerifier

ROWS = [{"prompt": f"{a}+{b}=", "answer": str(a + b)} for a in range(1, 9) for b in range(1, 9)]

rubric = Rubric(
    number=HasNumber(extract="last_number").reward(correct=0.2),
    right=NumberVerifier(extract="last_number").reward(correct=1.0),
)


def main() -> None:
    """Read the arguments, train, and print the run's summary."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--backend", choices=("builtin", "trl"), default="builtin")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--output-dir", type=Path, help="keep the run folder here")
    arguments = parser.parse_args()
    config = GRPOConfig(
        num_generations=4,
        per_device_train_batch_size=8,
        max_completion_length=6,
        max_steps=arguments.steps,
        learning_rate=1e-3,
        save_steps=0,
        gradient_checkpointing=False,
    )
    with tempfile.TemporaryDirectory() as scratch:
        model = make_tiny_model(
            Path(scratch, "model"), hidden_size=32, heads=2, characters="0123456789+= "
        )
        output_dir = arguments.output_dir or Path(scratch, "run")
        train(
            model, rubric, ROWS[8:], config,
            backend=arguments.backend, eval_data=ROWS[:8], output_dir=output_dir,
        )  # fmt: skip
        print(f"\n{summary(load_run(output_dir))}")


if __name__ == "__main__":
    main()
