"""The sandbox harms no honest program: what is right outside is right inside, in every tier."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rewardkit.sandbox import Isolation, Limits, Sandbox, SandboxUnavailable

ROWS = yaml.safe_load((Path(__file__).parent / "honest.yaml").read_text())
LIMITS = Limits(cpu_s=10.0, wall_s=60.0)


@pytest.fixture(scope="module")
def fitted() -> Iterator[Callable[[Isolation, str], Sandbox]]:
    """A sandbox of a tier that has what a program needs."""
    made: dict[tuple[str, str], Sandbox] = {}

    def of(tier: Isolation, need: str) -> Sandbox:
        if (tier, need) not in made:
            arguments: dict[str, Any] = {"preload": "numpy"} if need == "numpy" else {}
            if need == "scratch":
                arguments["scratch"] = True
            try:
                made[tier, need] = Sandbox(tier, workers=1, **arguments)
            except SandboxUnavailable as error:
                pytest.skip(f"{tier}: {error}")
        return made[tier, need]

    yield of
    for box in made.values():
        box.close()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_right_programs_come_out_right(
    fitted: Callable[[Isolation, str], Sandbox], tier: Isolation, row: dict[str, Any]
) -> None:
    need = row.get("needs", "")
    if need == "processes" and tier == "landlock":
        pytest.skip("one process per run in this tier")
    if need == "numpy" and importlib.util.find_spec("numpy") is None:
        pytest.skip("numpy is not installed")
    stdin = row.get("stdin", "") + _repeated(row, "stdin")
    expected = row.get("stdout", "") + _repeated(row, "stdout")
    files = {name: text.encode() for name, text in row.get("files", {}).items()}
    result = fitted(tier, need).run(row["source"], stdin=stdin.encode(), files=files, limits=LIMITS)
    assert (result.status, result.stdout.decode()) == ("ok", expected), result


def _repeated(row: dict[str, Any], name: str) -> str:
    text, times = row.get(f"{name}_times", ["", 0])
    return str(text) * int(times)


def test_the_corpus_is_large() -> None:
    assert len({row["name"] for row in ROWS}) == len(ROWS) >= 40
