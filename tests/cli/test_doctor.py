"""``rewardkit doctor`` tells what was found out, to people and to programs."""

from __future__ import annotations

import json
import platform

import pytest

from rewardkit.cli import main
from rewardkit.sandbox import Sandbox, SandboxUnavailable


@pytest.fixture(scope="module", autouse=True)
def _isolated() -> None:
    try:
        Sandbox(workers=1).close()
    except SandboxUnavailable as error:
        pytest.skip(str(error))


def test_it_says_what_holds_and_by_what(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "and is chosen" in said
    assert "system-call filter" in said
    assert "DOES NOT HOLD" not in said


def test_programs_can_read_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["isolation"] in found["tiers"]
    assert found["tiers"][found["isolation"]]["report"]["holds"]["network"] is True
    assert found["usable_cpus"] >= 1


def test_where_nothing_works_it_says_so_and_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert said.count("does not work") == 2
    assert "riscv64" in said
    assert "cannot be isolated here" in said
