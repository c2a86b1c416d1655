"""Fixture files: completions with what is expected of their score.

```jsonl
{"rubric": "rubric.yaml"}
{"id": "right", "completion": "<answer>4</answer>", "answer": "4", "expect": {"total": 3.0}}
{"id": "wrong", "completion": "<answer>5</answer>", "answer": "4", "expect": {"below": "right"}}
```

The first row names the rubric: ``{"rubric": path}`` (from the fixture file's folder) or
``{"preset": name, "args": {...}}``. In a row, ``id``, ``expect``, ``approx`` (tolerance of
numbers), ``group`` (rows of one prompt, for parts that see whole groups), ``truth`` (how it really
is, for the noise budget) and ``recorded`` (of rows that ``rewardkit record`` wrote) are the
fixture's; everything else is the sample's. A column whose name is nearly one of these is taken for
a slip; ``columns: {...}`` holds columns of any name. A ``.yaml`` file holds the same rows as a
list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rewardkit._arguments import explain_validation
from rewardkit._near import meant
from rewardkit._rows import Numbered, read_jsonl, read_text
from rewardkit._yaml import StrictLoader
from rewardkit.errors import DataError, SpecError
from rewardkit.rubric import Rubric
from rewardkit.testing.row import Fixture, read_fixture

__all__ = ["Fixtures", "load_fixtures", "problems_between"]


@dataclass(frozen=True)
class Fixtures:
    """A fixture file, read and checked, not yet scored.

    Attributes:
        path: the file.
        header: the first row, which names the rubric; ``None`` if the file has none.
        rows: the fixtures, in order.
    """

    path: Path
    header: Mapping[str, Any] | None
    rows: tuple[Fixture, ...]

    @cached_property
    def by_id(self) -> Mapping[str, Fixture]:
        """The rows by their names."""
        return {row.id: row for row in self.rows}

    def rubric(self, *, allow_code: bool = False) -> Rubric:
        """The rubric that the file names.

        Raises:
            DataError: if it names none.
            SpecError: if the rubric cannot be read, or asks for code that is not allowed.
        """
        if self.header is None:
            raise DataError(
                f"{self.path}: the first row must name the rubric, as in "
                f'{{"rubric": "rubric.yaml"}} or {{"preset": "..."}} (or pass one: --rubric)'
            )
        folder = self.path.parent
        try:
            if "preset" in self.header:
                return Rubric.from_spec(self.header, allow_code=folder if allow_code else False)
            return Rubric.load(folder / self.header["rubric"], allow_code=allow_code)
        except SpecError as error:
            raise SpecError(f"{self.path}: the rubric that it names: {error}") from error


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid")
    rubric: str | None = Field(None, min_length=1)
    preset: str | None = Field(None, min_length=1)
    args: dict[str, Any] = Field(default_factory=dict)


def load_fixtures(path: str | Path) -> Fixtures:
    """Read a fixture file.

    Raises:
        DataError: naming the line: for what is not JSON or YAML, unknown keys, ids given twice, a
            row that expects nothing, an order against a row that is not there, no rows at all.
    """
    path = Path(path)
    numbered = _read_yaml(path) if path.suffix in (".yaml", ".yml") else read_jsonl(path)
    header = None
    if numbered and not {"completion", "expect", "id"} & numbered[0][1].keys():
        line, first = numbered.pop(0)
        header = _header(first, f"{path}:{line}")
    if not numbered:
        raise DataError(f"{path} is empty: there is no fixture in it")
    rows = tuple(read_fixture(row, line, f"{path}:{line}") for line, row in numbered)
    for line, problem in problems_between(rows):
        raise DataError(f"{path}:{line}: {problem}")
    return Fixtures(path, header, rows)


def _header(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    try:
        header = _Header(**row)
    except ValidationError as error:
        unknown = [str(e["loc"][-1]) for e in error.errors() if e["type"] == "extra_forbidden"]
        hint = "".join(meant(key, _Header.model_fields) for key in unknown[:1])
        raise DataError(f"{where}: {explain_validation(error, 'first row')}{hint}") from None
    if (header.rubric is None) == (header.preset is None):
        raise DataError(f"{where}: the first row must name either a rubric or a preset")
    if header.rubric is not None and header.args:
        raise DataError(f"{where}: args are a preset's; a rubric file has none")
    return header.model_dump(exclude_none=True)


def problems_between(rows: Sequence[Fixture]) -> Iterator[tuple[int, str]]:
    """What is wrong between rows, with the line: ids given twice, orders that point nowhere."""
    first: dict[str, int] = {}
    for row in rows:
        if row.id in first:
            on = f" (first on line {first[row.id]})" if first[row.id] else ""
            yield row.line, f"the id {row.id!r} is given twice{on}"
        first.setdefault(row.id, row.line)
    for row in rows:
        for other in (*row.expect.above, *row.expect.below):
            if other == row.id:
                yield row.line, f"{row.id!r} is ordered against itself"
            if other not in first:
                told = f"{row.id!r} is ordered against {other!r}, which is no row's id"
                yield row.line, told + meant(other, first)


def _read_yaml(path: Path) -> list[Numbered]:
    """The rows of a YAML list, with the lines they begin on."""
    text = read_text(path)
    try:
        loader = StrictLoader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.SequenceNode):
            got = "nothing" if node is None else type(node).__name__.removesuffix("Node").lower()
            raise DataError(
                f"{path} must hold a list of rows, the first of which names the rubric; got {got}"
            )
        # Item by item, because only the nodes know their lines.
        rows = [(n.start_mark.line + 1, loader.construct_document(n)) for n in node.value]
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path} is not valid YAML: {error}") from None
    for line, row in rows:
        if not (isinstance(row, dict) and all(isinstance(key, str) for key in row)):
            raise DataError(
                f"{path}:{line}: a row must be a mapping with text keys, got {row!r:.80}"
            )
    return rows
