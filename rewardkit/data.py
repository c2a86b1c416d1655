"""Rows in: from a file, from a folder that ``datasets`` saved, or from the hub by name."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

from pydantic import Field, field_validator

from rewardkit._datasets import from_hub, parquet_file, saved_folder
from rewardkit._rows import read_csv, read_json, read_jsonl
from rewardkit._strict import Strict
from rewardkit.errors import DataError, MissingColumnError

__all__ = ["DataConfig", "Row", "load_rows"]

Row = dict[str, Any]
"""One row: ``prompt`` (text or chat messages), ``answer``, and every other column by its name."""

_READERS = {".jsonl": read_jsonl, ".json": read_json, ".csv": read_csv}
_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


class DataConfig(Strict):
    """Where rows come from and how they become prompts.

    Attributes:
        path: a ``.jsonl``, ``.json``, ``.csv`` or ``.parquet`` file; a folder that
            ``datasets.save_to_disk`` wrote or that holds data files; or a data set's name on the
            hub ("openai/gsm8k").
        name: the configuration of a hub data set ("main").
        split: the split to take; ``None``: the only one, or ``train`` among several.
        columns: our name of a column -> its name in the data: ``{"prompt": "question"}``. Columns
            that are not named keep their names.
        system_prompt: put before every prompt, which thereby becomes a chat.
        prompt_template: makes the prompt from columns (ours, after renaming): ``"Q: {prompt}"``.
            Plain names in braces; ``{{`` and ``}}`` are the braces themselves.
        answer_after: the gold answer is what follows the last occurrence of this ("####").
        limit: at most so many rows, taken after shuffling.
        shuffle_seed: shuffle by this seed; ``None``: the data's own order.

    Raises:
        ConfigError: for unknown keys, and for a template that is more than text and names.
    """

    path: str = Field(min_length=1)
    name: str | None = None
    split: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    system_prompt: str | None = None
    prompt_template: str | None = None
    answer_after: str | None = Field(default=None, min_length=1)
    limit: int | None = Field(default=None, ge=1)
    shuffle_seed: int | None = None

    @field_validator("prompt_template")
    @classmethod
    def _plain(cls, template: str | None) -> str | None:
        if template is not None:
            _pieces(template)
        return template


def load_rows(
    source: DataConfig | str | Path, *, require: Sequence[str] = (), folder: Path | None = None
) -> list[Row]:
    """The rows of a source, renamed, shuffled, limited and with their prompts made.

    Args:
        source: a configuration, or the path or hub name alone.
        require: columns that every row must have in the end.
        folder: where a relative path starts; ``None``: the current folder.

    Raises:
        DataError: if the data is not there, is empty, or holds a row that is malformed.
        MissingColumnError: for a column that is mapped, required or used by the template and is
            not there; the message lists the columns there are.
        MissingExtraError: if the source needs the package ``datasets``.
    """
    config = source if isinstance(source, DataConfig) else DataConfig(path=str(source))
    found = _read(config, folder or Path())
    if not len(found):
        raise DataError(f"{config.path} is empty: there is not one row in it")
    order = list(range(len(found)))
    if config.shuffle_seed is not None:
        random.Random(config.shuffle_seed).shuffle(order)
    rows = []
    for index in order[: config.limit]:
        where, raw = found[index]
        row = _shaped(raw, config, where)
        for column in require:
            if row.get(column) is None:
                raise MissingColumnError(column, row, where)
        rows.append(row)
    return rows


def _read(config: DataConfig, folder: Path) -> Sequence[tuple[str, Row]]:
    """Rows with a name for messages; those of ``datasets`` are read one at a time."""
    path = folder / Path(config.path).expanduser()
    reader = _READERS.get(path.suffix.lower())
    if path.is_dir():
        return saved_folder(path, config.split)
    if reader is not None:
        return [(f"{path}:{number}", row) for number, row in reader(path)]
    if path.suffix.lower() == ".parquet":
        return parquet_file(path)
    if path.is_file():
        raise DataError(f"{path}: data files end in {', '.join(_READERS)} or .parquet")
    if _HUB_NAME.fullmatch(config.path) is None:
        raise DataError(f"there is no file or folder {path} (looked in {Path.cwd()})")
    return from_hub(config.path, config.name, config.split, path)


def _shaped(raw: Row, config: DataConfig, where: str) -> Row:
    """One row as rewards and trainers see it."""
    row = _renamed(raw, config.columns, where)
    if config.answer_after is not None:
        row["answer"] = _answer(row, config.answer_after, where)
    if config.prompt_template is not None:
        row["prompt"] = _filled(config.prompt_template, row, where)
    if config.system_prompt is not None:
        row["prompt"] = _with_system(row, config.system_prompt, where)
    if row.get("prompt") is not None:
        _check_prompt(row["prompt"], where)
    return row


def _renamed(raw: Row, columns: Mapping[str, str], where: str) -> Row:
    for ours, theirs in columns.items():
        if theirs not in raw:
            raise MissingColumnError(theirs, raw, f"{where}: the mapping {ours}={theirs}")
    kept = {name: value for name, value in raw.items() if name not in columns.values()}
    return {**kept, **{ours: raw[theirs] for ours, theirs in columns.items()}}


def _answer(row: Row, marker: str, where: str) -> str:
    if "answer" not in row:
        raise MissingColumnError("answer", row, f"{where}: answer_after")
    text = row["answer"]
    if not isinstance(text, str) or marker not in text:
        raise DataError(
            f"{where}: answer_after expects {marker!r} in the answer, got {text!r:.120}. "
            f"Mend the row, or leave answer_after out if golds stand alone"
        )
    return text.rpartition(marker)[2].strip()


def _filled(template: str, row: Row, where: str) -> str:
    made = []
    for text, column in _pieces(template):
        made.append(text)
        if column is None:
            continue
        if column not in row:
            raise MissingColumnError(column, row, f"{where}: prompt_template")
        if isinstance(row[column], list | dict):
            raise DataError(
                f"{where}: prompt_template puts text together, and {column!r} is a "
                f"{type(row[column]).__name__} (a chat?): leave the template out, or map text"
            )
        made.append(str(row[column]))
    return "".join(made)


def _pieces(template: str) -> Iterable[tuple[str, str | None]]:
    """Text and the column after it. ``str.format`` itself would follow ``{x.__class__}`` into
    objects and ``{0:>999999999}`` into memory, so only plain names are let through."""
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{error}: write {{{{ and }}}} for braces that are text") from None
    for _, name, spec, conversion in pieces:
        if name is not None and (spec or conversion or not re.fullmatch(r"[^.\[\]{}]+", name)):
            raise ValueError(
                f"only plain column names may stand in braces, got {name!r}"
                f"{f' with {(conversion or spec)!r}' if conversion or spec else ''}; "
                f"write {{{{ and }}}} for braces that are text"
            )
    return [(text, name) for text, name, _, _ in pieces]


def _with_system(row: Row, system: str, where: str) -> list[Row]:
    prompt = row.get("prompt")
    first = {"role": "system", "content": system}
    if prompt is None:
        raise MissingColumnError("prompt", row, f"{where}: system_prompt")
    if isinstance(prompt, str):
        return [first, {"role": "user", "content": prompt}]
    _check_prompt(prompt, where)
    if prompt and prompt[0]["role"] == "system":
        raise DataError(
            f"{where}: the chat has a system message already, so system_prompt cannot be added: "
            f"leave it out of the configuration, or out of the data"
        )
    return [first, *prompt]


def _check_prompt(prompt: Any, where: str) -> None:
    if isinstance(prompt, str):
        return
    chat = isinstance(prompt, list) and prompt
    if chat and all(isinstance(m, Mapping) and isinstance(m.get("role"), str) for m in prompt):
        return
    raise DataError(
        f"{where}: a prompt is text or a list of messages like "
        f'{{"role": "user", "content": "..."}}, got {type(prompt).__name__}: {prompt!r:.80}'
    )
