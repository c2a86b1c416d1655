"""Rows that the package ``datasets`` reads: saved folders, Parquet files, the hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from rewardkit.errors import DataError, MissingExtraError

__all__ = ["Lazy", "from_hub", "parquet_file", "saved_folder"]


class Lazy(Sequence[tuple[str, dict[str, Any]]]):
    """A data set as rows, each with a name for messages; ten rows of a million read ten."""

    def __init__(self, dataset: Any, where: str) -> None:
        self._dataset, self._where = dataset, where

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: Any) -> Any:
        return f"{self._where}: row {index}", dict(self._dataset[index])


def saved_folder(path: Path, split: str | None) -> Lazy:
    """A folder that ``save_to_disk`` wrote, or one that holds data files. Raises ``DataError``."""
    datasets = _datasets()
    saved = any((path / name).is_file() for name in ("state.json", "dataset_dict.json"))
    try:
        found = datasets.load_from_disk(str(path)) if saved else datasets.load_dataset(str(path))
    except Exception as error:
        raise DataError(
            f"cannot read the folder {path}: it must be one that datasets.save_to_disk wrote, or "
            f"hold data files. {_brief(error)}"
        ) from error
    return _one_split(found, split, str(path))


def parquet_file(path: Path) -> Lazy:
    """A Parquet file. Raises ``DataError``."""
    if not path.is_file():
        raise DataError(f"there is no file {path} (looked in {Path.cwd()})")
    datasets = _datasets()
    try:
        # Read by itself: Dataset.from_parquet would leave a copy in the user's cache folder.
        table = import_module("pyarrow.parquet").read_table(str(path))
        return Lazy(datasets.Dataset(table), str(path))
    except Exception as error:
        raise DataError(f"cannot read {path}: {_brief(error)}") from error


def from_hub(path: str, name: str | None, split: str | None, local: Path) -> Lazy:
    """A data set of the hub; ``local`` is where it was looked for first. Raises ``DataError``."""
    datasets = _datasets()
    try:
        found = datasets.load_dataset(path, name, split=split)
    except Exception as error:
        tried = f"load_dataset({path!r}, {name!r}, split={split!r})"
        raise DataError(
            f"no data at {path!r}: there is no file or folder {local.absolute()}, and from the "
            f"hub, datasets.{tried} failed. {_brief(error)}"
        ) from error
    return _one_split(found, split, path)


def _datasets() -> Any:
    try:
        import datasets
    except ImportError:
        raise MissingExtraError("reading this data", "train", "datasets") from None
    return datasets


def _one_split(found: Any, split: str | None, where: str) -> Lazy:
    """One split of what ``datasets`` gave, which may be one already."""
    if not isinstance(found, Mapping):
        return Lazy(found, where)
    wanted = split or (next(iter(found)) if len(found) == 1 else "train")
    if wanted not in found:
        raise DataError(f"{where} has no split {wanted!r}; set split to one of: {', '.join(found)}")
    return Lazy(found[wanted], where)


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:400]}"
