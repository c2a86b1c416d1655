"""Reading a run folder; what is missing or broken in it is said, not raised."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from rewardkit.errors import DataError
from rewardkit.report.examples import Example, find_examples
from rewardkit.report.series import Series, collect

__all__ = ["Run", "load_run"]


@dataclass(frozen=True)
class Run:
    """A run folder, as far as it could be read.

    Attributes:
        folder: where it is.
        manifest: what is known of the run: versions, model, status.
        config: what was asked for.
        metrics: the lines of ``metrics.jsonl``.
        examples: completions worth seeing.
        problems: what is missing or broken, in plain words.
    """

    folder: Path
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    metrics: tuple[Mapping[str, Any], ...]
    examples: tuple[Example, ...] = ()
    problems: tuple[str, ...] = field(default=())

    @cached_property
    def train(self) -> Mapping[str, Series]:
        """Metrics of training steps, by name."""
        return collect(self.metrics, "train")

    @cached_property
    def eval(self) -> Mapping[str, Series]:
        """Metrics of held-out evaluations, by name."""
        return collect(self.metrics, "eval")

    @cached_property
    def warmup(self) -> Mapping[str, Series]:
        """Metrics of the supervised warm-up, by name."""
        return collect(self.metrics, "warmup")

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """Names of the rubric's parts, in its order where the manifest tells it."""
        named = self.manifest.get("parts")
        told = [str(name) for name in named] if isinstance(named, list) else []
        seen = [n[6:-5] for n in self.train if n.startswith("parts/") and n.endswith("/mean")]
        return tuple(dict.fromkeys([*told, *seen]))

    @property
    def last_step(self) -> int:
        """The last training step that was logged; 0 if none was."""
        steps = [_step(row) for row in self.metrics if row.get("kind") == "train"]
        return max(steps, default=0)


def load_run(folder: str | Path) -> Run:
    """Read a run folder.

    Raises:
        DataError: if there is no such folder, or nothing of a run in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"there is no run folder {folder} (looked in {Path.cwd()})")
    if not any((folder / name).exists() for name in ("manifest.json", "metrics.jsonl")):
        raise DataError(f"{folder} is not a run folder: it has no manifest.json or metrics.jsonl")
    problems: list[str] = []
    manifest = _mapping(folder / "manifest.json", problems)
    config = _mapping(folder / "config.yaml", problems)
    metrics = _metrics(folder / "metrics.jsonl", problems)
    examples = find_examples(folder / "rollouts", problems)
    return Run(folder, manifest, config, metrics, examples, tuple(problems))


def _mapping(path: Path, problems: list[str]) -> dict[str, Any]:
    """The mapping in a JSON or YAML file; empty, with a word on it, if there is none."""
    text = _text(path, problems)
    if text is None:
        return {}
    try:
        data = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError):
        problems.append(f"{path.name} cannot be read: it is not complete")
        return {}
    if not isinstance(data, dict):
        problems.append(f"{path.name} does not hold a mapping")
        return {}
    return data


def _metrics(path: Path, problems: list[str]) -> tuple[dict[str, Any], ...]:
    rows: list[dict[str, Any]] = []
    broken: list[int] = []
    # Only \n ends a line: str.splitlines would also split inside a reason that quotes U+2028.
    for number, line in enumerate((_text(path, problems) or "").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
        else:
            broken.append(number)
    if broken:
        lines = ", ".join(map(str, broken[:5])) + (", ..." if len(broken) > 5 else "")
        problems.append(f"{path.name}: {len(broken)} unreadable (line {lines}), left out")
    if not rows:
        problems.append("no step was logged: the run ended before its first one")
    return tuple(rows)


def _text(path: Path, problems: list[str]) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        problems.append(f"{path.name} is not there")
    except OSError as error:
        problems.append(f"{path.name} cannot be read: {error.strerror}")
    return None


def _step(row: Mapping[str, Any]) -> int:
    return int(row["step"])
