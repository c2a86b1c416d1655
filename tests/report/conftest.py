"""Run folders, whole and broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rewardkit import Refused, Rubric, Sample, Verdict, Verifier, reward

HOSTILE = "<script>alert('x')</script>\x1b[2J\ud800\u202e\x00 \"'&"


class Right(Verifier):
    """Correct where the answer is in the text."""

    def _verify(self, sample: Sample) -> Verdict:
        if sample.answer is None:
            return Verdict.unscorable(f"no gold for {sample.text}", fault="dataset")
        if str(sample.answer) in sample.text:
            return Verdict.correct("found", rule="contains", span=(0, 1), text=sample.text)
        return Verdict.incorrect("not found", refused=(Refused(sample.text, HOSTILE, (0, 1)),))


@reward(bounds=(-1.0, 0.0))
def brevity(completion: str) -> float:
    """Shorter is better."""
    return -min(len(completion) / 100, 1.0)


RUBRIC = Rubric(right=Right().reward(3.0), brevity=brevity)


@pytest.fixture
def rubric() -> Rubric:
    """The rubric of the run."""
    return RUBRIC


@pytest.fixture
def rollout() -> Callable[..., dict[str, Any]]:
    """Makes a line of a rollout file."""

    def make(completion: Any, answer: Any, step: int = 1, prompt: Any = "2 + 2") -> dict[str, Any]:
        score = RUBRIC.score(prompt=prompt, completion=completion, answer=answer)
        return {
            "step": step, "group_id": 0, "row": 0, "prompt": prompt, "completion": completion,
            "answer": answer, "completion_ids": [1], "logprobs": [-0.5], "advantage": None,
            "score": score.to_dict(),
        }  # fmt: skip

    return make


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes rows as the trainers do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, default=repr) + "\n" for row in rows))


def train(step: int, value: float, **more: Any) -> dict[str, Any]:
    return {
        "step": step, "kind": "train", "reward": value, "kl": 0.1 * step, "loss": -0.5,
        "completions/mean_length": 10.0, "parts/right/mean": value, "parts/right/std": 0.1,
        "parts/right/correct": value / 3, "parts/right/unscorable": 0,
        "parts/brevity/mean": -0.1, "unscorable/frac": 0.0, **more,
    }  # fmt: skip


def evaluation(step: int, share: float) -> dict[str, Any]:
    both = {"greedy": share, "sampled": share / 2}
    values = {f"eval/{way}/parts/right/correct": v for way, v in both.items()}
    rewards = {f"eval/{way}/reward": 3 * v for way, v in both.items()}
    return {"step": step, "kind": "eval", **values, **rewards}


@pytest.fixture
def run_folder(tmp_path: Path, rollout: Callable[..., dict[str, Any]]) -> Path:
    """A run that finished, with hostile completions in it."""
    folder = tmp_path / "run"
    manifest = {
        "run_folder": 1, "status": "finished", "started": "2025-01-01T10:00:00+00:00",
        "model": "models/tiny", "backend": "builtin", "rows": 100, "eval_rows": 20, "steps": 3,
        "fingerprint": RUBRIC.fingerprint, "parts": ["right", "brevity"],
        "versions": {"rewardkit": "0.1.0"},
    }  # fmt: skip
    lost = {
        "unscorable/frac": 0.25, "unscorable/dataset": 2, "unscorable/reasons": {HOSTILE: 2},
    }  # fmt: skip
    warmup = [{"step": s, "kind": "warmup", "loss": 1.0 / s} for s in (1, 2)]
    metrics = [
        *warmup, evaluation(0, 0.1), train(1, 0.5), train(2, 2.5, **lost), train(3, 2.0),
        evaluation(3, 0.9),
    ]  # fmt: skip
    chat = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    lines(folder / "manifest.json", [manifest])
    (folder / "config.yaml").write_text("model: models/tiny\nrubric: rubric.yaml\n")
    lines(folder / "metrics.jsonl", metrics)
    lines(folder / "rollouts" / "step_00000001.jsonl", [rollout(HOSTILE, None)])
    lines(
        folder / "rollouts" / "step_00000003.jsonl",
        [
            rollout("4", "4", 3, chat),
            rollout(HOSTILE, "5", 3),
            rollout("4 but long", "4", 3),
        ],
    )
    return folder
