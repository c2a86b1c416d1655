"""The folder of checkpoints: each appears whole or not at all, is checked by its sums, and pruned.

```
checkpoints/step_00000100/     its files, and sums.json with the size and sha256 of each
checkpoints/damaged_step_...   one whose files are not what was written
checkpoints/left_step_...      one behind which a run went back, to go on from an earlier one
```
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from rewardkit.errors import ConfigError, RewardKitError

__all__ = ["choose", "damage", "flush", "latest", "leave_behind", "path_of", "set_aside", "write"]

_SUMS = "sums.json"
Fill = Callable[[Path], None]


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step is, or would be."""
    return folder / f"step_{step:08d}"


def write(folder: Path, step: int, fill: Fill, keep: int | None = None) -> Path:
    """Write the checkpoint of a step in one move, then prune all but the last ``keep``.

    Everything is written to a hidden folder beside it first and renamed when it is complete and on
    the disk, so that a full disk or a kill in between leaves no half checkpoint under a name that
    :func:`latest` finds. A step that has its checkpoint keeps it.

    Raises:
        RewardKitError: if it cannot be written; what was begun is removed, the others stand.
    """
    final = path_of(folder, step)
    if final.is_dir():
        return final  # replacing it would leave a moment without any
    _sweep(folder)
    temporary = folder / f".{final.name}.tmp"
    try:
        temporary.mkdir(parents=True)
        fill(temporary)
        (temporary / _SUMS).write_text(json.dumps(_sums(temporary), indent=1), encoding="utf-8")
        for path in [*temporary.rglob("*"), temporary]:
            flush(path)
        temporary.rename(final)
        flush(folder)
    except Exception as error:
        _sweep(folder)
        raise _not_written(folder, step, error) from error
    for old in _all(folder)[:-keep] if keep else []:
        shutil.rmtree(old, ignore_errors=True)
    return final


def latest(folder: Path) -> Path | None:
    """The newest checkpoint in a folder, unchecked, or ``None``."""
    found = _all(folder)
    return found[-1] if found else None


def choose(folder: Path, step: int | None = None) -> tuple[Path | None, list[str]]:
    """The checkpoint to go on from: the newest good one, or that of ``step``.

    Damaged ones that are passed over on the way to the newest good one are set aside.

    Returns:
        The checkpoint (``None``: there is none), and what was found damaged, in words.

    Raises:
        ConfigError: if that of ``step`` is not there or damaged, or if all there are are damaged;
            the message names the good ones.
    """
    if step is not None:
        return _asked_for(folder, step), []
    notes: list[str] = []
    bad: list[Path] = []
    for path in reversed(_all(folder)):
        problem = damage(path)
        if problem is None:
            for one in bad:
                set_aside(one, "damaged")
            return path, notes
        bad.append(path)
        notes.append(f"the checkpoint {path} is damaged: {problem}")
    if bad:
        raise ConfigError(
            "\n".join(notes) + "\nThere is no good one to go on from: begin a new run, or put a "
            "copy back"
        )
    return None, notes


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint, or ``None`` if every file is what was written."""
    try:
        sums = json.loads((path / _SUMS).read_text(encoding="utf-8"))
        for name, (size, digest) in sums.items():
            file = path / name
            if file.stat().st_size != size:
                return f"{name} has {file.stat().st_size} bytes instead of {size}"
            if _digest(file) != digest:
                return f"the bytes of {name} are not those that were written"
    except (OSError, ValueError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def set_aside(path: Path, why: str) -> Path:
    """Rename a checkpoint so that no run goes on from it by itself; gives its new place."""
    there = path.with_name(f"{why}_{path.name}")
    number = 1
    while there.exists():
        number += 1
        there = path.with_name(f"{why}_{number}_{path.name}")
    path.rename(there)
    return there


def leave_behind(folder: Path, step: int) -> list[Path]:
    """Set aside the checkpoints after a step, the newest first, so that a kill in between leaves
    none that is newer than one set aside; gives their new places."""
    later = [path for path in _all(folder) if path > path_of(folder, step)]
    return [set_aside(path, "left") for path in reversed(later)]


def flush(path: Path) -> None:
    """To the disk, not only to the cache: a rename may outlive the bytes it names otherwise."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _asked_for(folder: Path, step: int) -> Path:
    path = path_of(folder, step)
    there = [p for p in _all(folder) if p != path]
    problem = damage(path) if path.is_dir() else "there is none"
    if problem is not None:
        good = ", ".join(str(int(p.name[5:])) for p in there if damage(p) is None) or "none"
        raise ConfigError(
            f"the checkpoint of step {step} in {folder} cannot be used: {problem}. Steps with a "
            f"good one: {good}"
        )
    return path


def _all(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step_*") if path.is_dir())


def _sums(folder: Path) -> dict[str, tuple[int, str]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(f.relative_to(folder)): (f.stat().st_size, _digest(f)) for f in files}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sweep(folder: Path) -> None:
    """Remove what a run left that was killed while it saved, or that found no room."""
    for left in folder.glob(".step_*.tmp"):
        shutil.rmtree(left, ignore_errors=True)


def _not_written(folder: Path, step: int, error: Exception) -> RewardKitError:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):  # torch tells of its archive only
        cause = cause.__cause__ or cause.__context__
    room = ""
    with contextlib.suppress(OSError):
        room = f" ({shutil.disk_usage(folder).free / 2**20:.0f} MiB are free there)"
    before = latest(folder)
    stands = "There is none before it" if before is None else f"The last good one is {before}"
    return RewardKitError(
        f"the checkpoint of step {step} cannot be written to {folder}: {cause or error}{room}. "
        f"{stands}. Make room, then go on with: rewardkit train --resume {folder.parent}"
    )
