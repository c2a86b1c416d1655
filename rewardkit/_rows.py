"""Rows out of files: JSON lines, a JSON list, CSV; each with the line it stands on."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rewardkit.errors import DataError

__all__ = [
    "Numbered",
    "json_line",
    "parse_json",
    "read_csv",
    "read_json",
    "read_jsonl",
    "read_text",
]

Numbered = tuple[int, dict[str, Any]]
"""A row with its line number (in a JSON list: its position), counted from 1."""


def read_jsonl(path: Path) -> list[Numbered]:
    """The rows of a file with one JSON object per line; blank lines are passed over.

    Raises:
        DataError: naming the line that is no JSON object or gives a key twice.
    """
    return list(_jsonl(path))


def read_json(path: Path) -> list[Numbered]:
    """The rows of a file that holds one JSON list of objects. Raises ``DataError``."""
    rows = parse_json(read_text(path), str(path))
    if not isinstance(rows, list):
        raise DataError(
            f"{path} must hold a JSON list of objects, got {type(rows).__name__}. "
            f"If it has one object per line, call it .jsonl"
        )
    return [(n, _object(row, f"{path}: item {n}")) for n, row in enumerate(rows, 1)]


def read_csv(path: Path) -> list[Numbered]:
    """The rows of a CSV file whose first line names the columns; all values are text.

    Raises:
        DataError: for a column named twice, or a row with more or fewer fields than the header.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        names = list(reader.fieldnames or [])
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise DataError(f"{path}: the header names {sorted(twice)[0]!r} twice")
        rows: list[Numbered] = []
        for row in reader:
            # DictReader notes fields too many under None, and gives None for fields too few.
            if None in row or None in row.values():
                raise DataError(
                    f"{path}:{reader.line_num}: the row does not have the "
                    f"{len(names)} fields of the header"
                )
            rows.append((reader.line_num, dict(row)))
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not valid CSV: {error}") from None
    return rows


def read_text(path: Path) -> str:
    """The text of a file. Raises ``DataError`` if it is not there, unreadable or not UTF-8."""
    try:
        # newline="": a CSV field keeps its own line breaks. -sig: spreadsheets write a mark first.
        with path.open(encoding="utf-8-sig", newline="") as file:
            return file.read()
    except FileNotFoundError:
        raise DataError(f"there is no file {path} (looked in {Path.cwd()})") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"cannot read {path}: {error}") from None


def json_line(value: Mapping[str, Any]) -> str:
    """One line of JSON for any row; what JSON has no form for is written as its ``repr``.

    ASCII only: judged text may hold half a surrogate pair, which no encoding can write, and line
    separators that some readers of JSON lines take for the end of the row.
    """
    return json.dumps(value, ensure_ascii=True, default=repr)


def _jsonl(path: Path) -> Iterator[Numbered]:
    # Only \n ends a row: str.splitlines would also split at U+2028, legal inside a JSON text.
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            where = f"{path}:{number}"
            yield number, _object(parse_json(line, where), where)


def parse_json(text: str, where: str) -> Any:
    """The data in a JSON text. Raises ``DataError`` (also for a key given twice)."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise DataError(f"{where}: the JSON is nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{where}: not valid JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key given twice is an error instead of the last one winning."""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is given twice")
    return made


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(
            f"{where}: a row must be an object with columns by name, "
            f"got {type(value).__name__}: {value!r:.80}"
        )
    return value
