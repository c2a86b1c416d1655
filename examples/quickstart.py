"""Compose a rubric, score three completions, and see how each score came about.

    python examples/quickstart.py

The same rubric as a file is quickstart.yaml; its tests are in quickstart.rewards.jsonl:

    rewardkit test examples/quickstart.rewards.jsonl
"""

from rewardkit import Rubric
from rewardkit.verifiers import MathVerifier, Proximity, TagFormat

rubric = Rubric(
    format=TagFormat("<think>...</think><answer>...</answer>").reward(correct=0.5),
    answer=MathVerifier(extract="answer").reward(correct=3.0, incorrect=-1.0),
    near=Proximity(extract="answer").reward(partial=True, weight=0.5),
).gate("answer", "near", on="format")

COMPLETIONS = (
    "<think>12 / 4 is 3.</think><answer>3</answer>",
    "<think>12 / 4 is 4.</think><answer>4</answer>",
    "The answer is 3.",
)


def main() -> None:
    """Score each completion and explain the score."""
    for completion in COMPLETIONS:
        score = rubric.score(prompt="What is 12 / 4?", completion=completion, answer="3")
        print(f"{completion}\n{score.explain()}\n")


if __name__ == "__main__":
    main()
