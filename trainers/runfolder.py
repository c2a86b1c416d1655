"""The run folder, version 1: everything a run leaves behind, in plain files.

```
config.yaml        what was asked for
manifest.json      versions, rubric fingerprint, model, backend, status
rubric.yaml        the rubric, where it can be written (functions by name)
metrics.jsonl      one object per line: {"step": ..., "kind": "train" | "eval" | "warmup", ...}
rollouts/          step_00000001.jsonl: every completion, with ids, log-probabilities and score
checkpoints/       step_00000100/
failed/            step_00000117/: where loss or gradient was not finite, all that went into it
```
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rewardkit._yaml import dump_yaml
from rewardkit.errors import ConfigError, RewardKitError, SpecError
from rewardkit.rubric import Rubric
from rewardkit.trainers.checkpoints import flush

__all__ = ["RunFolder"]

_PACKAGES = ("rewardkit", "torch", "transformers", "trl", "peft", "accelerate", "sympy", "regex")


class RunFolder:
    """Writes one run's folder.

    Args:
        path: where; made if it is not there.
        resume: go on in a folder that holds a run; otherwise one that does is refused.

    Raises:
        ConfigError: if the folder already holds a run and ``resume`` is not set.
    """

    def __init__(self, path: str | Path, *, resume: bool = False) -> None:
        self.path = Path(path)
        if not resume and (self.path / "manifest.json").exists():
            raise ConfigError(
                f"{self.path} already holds a run: choose another output folder, or go on with "
                f"rewardkit train --resume {self.path}"
            )
        (self.path / "rollouts").mkdir(parents=True, exist_ok=True)
        (self.path / "checkpoints").mkdir(exist_ok=True)

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def failed(self) -> Path:
        """Folder of steps that came to no finite number, each as a checkpoint from before it."""
        return self.path / "failed"

    def begin(self, config: Mapping[str, Any], rubric: Rubric, **facts: Any) -> None:
        """Write what is known at the start."""
        self.write_config(config)
        try:
            rubric.save(self.path / "rubric.yaml")
        except SpecError as error:
            facts["rubric_not_saved"] = str(error)
        self.update(
            run_folder=1,
            started=_now(),
            status="running",
            fingerprint=rubric.fingerprint,
            parts=list(rubric.parts),
            python=sys.version.split()[0],
            platform=platform.platform(),
            cpus=os.cpu_count(),
            environment={n: e for n, r in rubric.parts.items() if (e := r.environment())},
            versions={name: found for name in _PACKAGES if (found := _version(name))},
            **facts,
        )

    def check_rubric(self, rubric: Rubric) -> None:
        """Raises ``ConfigError`` if the run was begun with another rubric: half a run learned from
        one reward and half from another is the result of neither."""
        began = self.manifest().get("fingerprint")
        if began != rubric.fingerprint:
            raise ConfigError(
                f"the rubric (fingerprint {rubric.fingerprint}) is not the one that this run began "
                f"with ({began}): it, its code or a version it stands on has changed. Put it "
                f"back (see rubric.yaml and manifest.json in {self.path}), or begin a new run from "
                f"the checkpoint"
            )

    def check_data(self, digest: str, rows: int, *, new_data: bool) -> None:
        """Note the data that the run goes on with. Raises ``ConfigError`` if they are not those it
        had and nobody said that they may be others: the rest would be no repetition of it."""
        known = self.manifest()
        if known.get("data") == digest:
            return
        if not new_data:
            raise ConfigError(
                f"the data are not those that this run had ({known.get('rows')} rows then, {rows} "
                f"now, or other ones): put them back, or go on with these by new_data=True "
                f"(rewardkit train --resume {self.path} --data FILE)"
            )
        self.update(data=digest, rows=rows)

    def changed_versions(self) -> list[str]:
        """What else than the run itself has changed since it began, in words."""
        before = self.manifest().get("versions", {})
        pairs = [(name, before.get(name), _version(name)) for name in _PACKAGES]
        changed = [f"{name} {then} -> {now}" for name, then, now in pairs if then != now]
        if not changed:
            return []
        return [f"versions have changed ({', '.join(changed)}): the last digits may differ"]

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write ``config.yaml``, in one move."""
        _replace(self.path / "config.yaml", dump_yaml(dict(config)))

    def flush(self) -> None:
        """What was logged, to the disk: a checkpoint must not outlive the lines before it."""
        for name in ("metrics.jsonl", "rollouts"):
            if (self.path / name).exists():
                flush(self.path / name)

    def manifest(self) -> dict[str, Any]:
        """The facts in the manifest; none if there is none."""
        path = self.path / "manifest.json"
        found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        return found

    def update(self, **facts: Any) -> None:
        """Change facts in the manifest."""
        text = json.dumps({**self.manifest(), **facts}, indent=2) + "\n"
        _replace(self.path / "manifest.json", text)

    def finish(self, status: str, **facts: Any) -> None:
        """Note how the run ended: ``"finished"``, ``"stopped"`` or ``"failed"``."""
        self.update(status=status, ended=_now(), **facts)

    def log(self, step: int, kind: str, metrics: Mapping[str, Any]) -> None:
        """Add one line to ``metrics.jsonl``."""
        row = {"step": step, "kind": kind, **metrics}
        path = self.path / "metrics.jsonl"
        with self._telling(path), path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row, default=str) + "\n")

    def write_rollouts(self, step: int, records: Iterable[Mapping[str, Any]]) -> None:
        """Write all completions of one generation."""
        path = self.path / "rollouts" / f"step_{step:08d}.jsonl"
        with self._telling(path), path.open("w", encoding="utf-8") as out:
            for record in records:
                # Judged text may hold lone surrogates, which UTF-8 has no bytes for; ASCII does.
                out.write(json.dumps(record, default=repr) + "\n")

    @contextmanager
    def _telling(self, path: Path) -> Iterator[None]:
        """Around writing a file: raises ``RewardKitError`` saying what to do where it fails."""
        try:
            yield
        except OSError as error:
            raise RewardKitError(
                f"{path} cannot be written: {error}. Make room, then go on from the last "
                f"checkpoint with: rewardkit train --resume {self.path}"
            ) from error

    def lines(self) -> list[dict[str, Any]]:
        """What has been logged so far."""
        path = self.path / "metrics.jsonl"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def rewind(self, step: int) -> None:
        """Drop what was logged after ``step``: a resumed run writes it again."""
        path = self.path / "metrics.jsonl"
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            _replace(path, "".join(line for line in lines if _step_of(line) <= step))
        for rollout in (self.path / "rollouts").glob("step_*.jsonl"):
            if int(rollout.stem.removeprefix("step_")) > step:
                rollout.unlink()


def _replace(path: Path, text: str) -> None:
    """Write a file so that it is there, the old or the new, at every moment."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError):  # the last line of a run that was killed while writing
        return float("inf")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
