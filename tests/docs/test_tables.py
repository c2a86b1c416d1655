"""Promise: the tables of the pages are true.

Two kinds of paragraph announce a table that is checked:

- ``With `MathVerifier()`:`` - every row is judged by that verifier, rubric or `extract` rule; the
  columns `verdict`, `label`, `credit`, `reason`, `tier`, `total` and `taken` are what comes out,
  `why` is prose, and every other column is one of the row's.
- ``Keys of `module.Class`:`` - the rows are the fields of that class, all of them, in order, and
  the column `default` is their default.

Cells are text in backticks, `⏎` for a line break and `\\|` for a bar; a number, list, object or
`null` outside of backticks is JSON.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import rewardkit
import rewardkit.presets
import rewardkit.verifiers
from rewardkit import Column, Rubric, Sample, Verifier
from rewardkit.sandbox import SandboxUnavailable
from rewardkit.verifiers import extract

DOCS = Path(__file__).parents[2] / "docs"
OUTCOMES = ("verdict", "label", "credit", "reason", "tier", "total", "taken", "why")

Row = dict[str, str]


class Table(NamedTuple):
    """A table: where it stands, what announces it, and its rows by the names of the columns."""

    where: str
    subject: str
    rows: list[Row]


_TABLE = re.compile(
    r"^(?P<kind>With|Keys of) (?:[^`\n]*\()?`(?P<subject>[^`]+)`\)?:\n\n(?P<table>(?:\|.*\|\n)+)",
    re.MULTILINE,
)


_BAR = re.compile(r"(?<!\\)\|")


def _tables(kind: str) -> list[Table]:
    found = []
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for match in _TABLE.finditer(text):
            if match["kind"] == kind:
                line = text.count("\n", 0, match.start()) + 1
                found.append(Table(f"{page.name}:{line}", match["subject"], _rows(match["table"])))
    return found


def _rows(table: str) -> list[Row]:
    lines = [
        [cell.strip().replace("\\|", "|") for cell in _BAR.split(line[1:-1])]
        for line in table.splitlines()
    ]
    head, rule, *rows = lines
    assert all(set(cell) <= set("-: ") for cell in rule), table
    assert all(len(row) == len(head) for row in rows), table
    return [dict(zip(head, row, strict=True)) for row in rows]


def _value(cell: str) -> Any:
    if cell.startswith("`"):
        assert cell.endswith("`"), cell
        return cell.strip("`").strip().replace("⏎", "\n")
    return json.loads(cell)


def _label(table: Table) -> str:
    return f"{table.where}-{table.subject[:40]}"


EXAMPLES, KEYS = _tables("With"), _tables("Keys of")


@pytest.mark.parametrize("table", EXAMPLES, ids=_label)
def test_examples_come_out_as_the_page_says(table: Table) -> None:
    names = {
        **{name: getattr(rewardkit.verifiers, name) for name in rewardkit.verifiers.__all__},
        **{name: getattr(rewardkit.presets, name) for name in rewardkit.presets.__all__},
        "Column": Column,
    }
    judge = eval(table.subject, names)
    for row in table.rows:
        try:
            _check(judge, row, f"{table.where}: {row}")
        except SandboxUnavailable as error:
            pytest.skip(f"no sandbox here: {error}")


def _check(judge: Any, row: Row, where: str) -> None:
    given = {name: _value(cell) for name, cell in row.items() if name not in OUTCOMES}
    expected = {n: _value(cell) for n, cell in row.items() if n in OUTCOMES and n != "why" and cell}
    assert expected, f"{where}: nothing is expected"
    got = _outcome(judge, given)
    for name, wanted in expected.items():
        if name == "reason":
            assert wanted in got[name], f"{where}: {got}"
        elif isinstance(wanted, float):
            assert got[name] == pytest.approx(wanted, abs=0.005), f"{where}: {got}"
        else:
            assert got[name] == wanted, f"{where}: {got}"


def _outcome(judge: Any, given: Mapping[str, Any]) -> Mapping[str, Any]:
    if judge is extract:
        found = extract(given["completion"], given["how"])
        return {"taken": found.text, "reason": found.reason}
    sample = Sample.from_row(given)
    if isinstance(judge, Rubric):
        return {"total": judge.score(sample).total}
    assert isinstance(judge, Verifier)
    verdict = judge.verify(sample)
    return {
        "verdict": verdict.status,
        "label": verdict.label,
        "credit": verdict.credit,
        "reason": verdict.reason,
        "tier": (verdict.evidence.details or {}).get("tier"),
    }


@pytest.mark.parametrize(
    "row",
    [
        {"completion": "`4`", "answer": "`5`", "verdict": "`correct`"},
        {"completion": "`5`", "answer": "`5`", "verdict": "`correct`", "reason": "`not`"},
        {"completion": "`5`", "answer": "`5`", "why": "nothing is expected"},
    ],
)
def test_a_row_that_is_not_true_is_noticed(row: Row) -> None:
    with pytest.raises(AssertionError, match="here"):
        _check(rewardkit.verifiers.NumberVerifier(), row, "here")


@pytest.mark.parametrize("table", KEYS, ids=_label)
def test_key_tables_name_every_key_and_its_default(table: Table) -> None:
    module, _, name = table.subject.rpartition(".")
    defaults = _defaults(getattr(import_module(module), name))
    assert [_value(next(iter(row.values()))) for row in table.rows] == list(defaults), table.where
    for row in table.rows:
        if "default" in row:
            key = _value(next(iter(row.values())))
            assert row["default"] == _shown(defaults[key]), f"{table.where}: {key}"


def _defaults(cls: Any) -> dict[str, Any]:
    """Default by key; ``...`` where there is none."""
    if issubclass(cls, BaseModel):
        return {
            name: ... if field.is_required() else field.get_default(call_default_factory=True)
            for name, field in cls.model_fields.items()
        }
    missing = (dataclasses.MISSING, PydanticUndefined)
    found = {}
    for field in dataclasses.fields(cls):
        made = field.default_factory
        default = made() if made is not dataclasses.MISSING else field.default
        found[field.name] = ... if default in missing else default
    return found


def _shown(default: Any) -> str:
    """A default as the pages write it: as JSON, in backticks; required ones in words."""
    if default is ...:
        return "required"
    if isinstance(default, BaseModel):
        return "its own defaults"
    if dataclasses.is_dataclass(default):
        return f"`{default!r}`"
    if isinstance(default, float):
        return f"`{default:g}`"
    return f"`{json.dumps(default)}`" if not isinstance(default, str) else f"`{default}`"


def _headings(page: str) -> set[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return {
        word for line in re.findall(r"^#+ (.+)$", text, re.M) for word in re.findall(r"\w+", line)
    }


def test_every_verifier_has_its_section_and_a_table_that_is_checked() -> None:
    named = {name: getattr(rewardkit.verifiers, name) for name in rewardkit.verifiers.__all__}
    classes = {n for n, v in named.items() if isinstance(v, type) and issubclass(v, Verifier)}
    assert len(classes) > 10
    assert not classes - _headings("verifiers.md")
    judged = {re.split(r"\W", table.subject)[0] for table in EXAMPLES}
    assert not classes - judged


def test_every_verifier_that_the_page_of_mathematics_names_can_be_made() -> None:
    text = (DOCS / "math.md").read_text(encoding="utf-8")
    calls = set(re.findall(r"`(MathVerifier\([^`]+\))", text))
    assert len(calls) > 8
    for call in calls:
        eval(call, {"MathVerifier": rewardkit.verifiers.MathVerifier})


def test_every_name_that_the_grammar_of_mathematics_knows_is_on_its_page() -> None:
    from rewardkit.verifiers.math import lexer, units, words

    text = (DOCS / "math.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`([^`]+)`", text[text.index("### Names it knows") :]))
    commands = {f"\\{name}" for name in {*lexer._COMMANDS, *lexer._GREEK}}
    known = {*lexer._FUNCTIONS, *lexer._WORDS, *units.UNIT_NAMES, *words.SCALES} - lexer._GREEK
    assert len(commands) > 100
    assert (commands | known) - listed == set()


def test_every_preset_has_its_section_and_a_table_that_is_checked() -> None:
    presets = set(rewardkit.presets.__all__)
    assert not presets - _headings("presets.md")
    assert not presets - {re.split(r"\W", table.subject)[0] for table in EXAMPLES}


FARMABLE = [
    name for name in rewardkit.presets.__all__
    if "Farmable" in getattr(rewardkit.presets, name).__doc__ and name != "email"
]  # fmt: skip
"""Those of which the page shows in tables what mends them; that of ``email`` is a function."""


@pytest.mark.parametrize("name", FARMABLE)
def test_what_is_farmable_is_shown_with_what_mends_it(name: str) -> None:
    """The first table of the preset holds its exploits, the others what they earn once mended."""
    plain, *mended = [
        {_value(row["completion"]): _value(row["total"]) for row in table.rows}
        for table in EXAMPLES
        if table.where.startswith("presets.md") and table.subject.startswith(f"{name}(")
    ]
    assert mended
    shown: set[str] = set()
    for table in mended:
        right, *exploits = table  # the first row is a right answer
        assert exploits
        assert set(table) <= set(plain)
        for exploit in exploits:
            worth = (table[exploit] - min(0.0, *table.values())) / table[right]
            before = (plain[exploit] - min(0.0, *plain.values())) / plain[right]
            assert worth < before or plain[exploit] == min(plain.values()), exploit
        shown |= set(exploits)
    assert shown


@pytest.mark.parametrize(
    "subject",
    [
        "rewardkit.trainers.GRPOConfig",
        "rewardkit.trainers.LoraSettings",
        "rewardkit.trainers.RunConfig",
        "rewardkit.trainers.WarmupConfig",
        "rewardkit.data.DataConfig",
        "rewardkit.spec.RubricSpec",
        "rewardkit.spec.PartSpec",
        "rewardkit.spec.GateSpec",
        "rewardkit.testing.Expect",
        "rewardkit.sandbox.Limits",
        "rewardkit.verifiers.MathVerifier",
    ],
)
def test_every_configuration_has_its_table(subject: str) -> None:
    assert subject in {table.subject for table in KEYS}


def test_every_command_and_option_is_on_some_page(capsys: pytest.CaptureFixture[str]) -> None:
    from rewardkit.cli import COMMANDS, main

    pages = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2].replace("_", "-")
        assert f"rewardkit {name}" in pages
        with pytest.raises(SystemExit):
            main([name, "--help"])
        options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
        assert {option for option in options if option not in pages} == set()


def test_every_path_on_the_plan_of_the_house_is_there() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    paths = [p for p in re.findall(r"`([a-z][\w./]*/[\w./]*|[\w/]+\.py)`", text) if "..." not in p]
    assert len(paths) > 20
    for path in paths:
        assert (DOCS.parent / path).exists(), path
