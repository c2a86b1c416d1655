"""A grader called apart hands back its grade, and touches nothing of the caller."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], Any]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    found: Callable[[Callable[[], Any]], Any] = importlib.import_module("scoreboard_apart").apart
    return found


def test_it_returns_what_the_call_returns(apart: Callable[..., Any]) -> None:
    assert apart(lambda: [1.0, None, "C"]) == [1.0, None, "C"]


def test_what_the_call_raises_is_raised(apart: Callable[..., Any]) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        apart(lambda: 1 / 0)


def test_an_exit_of_the_judged_code_does_not_go_on_in_the_caller(apart: Callable[..., Any]) -> None:
    with pytest.raises(RuntimeError, match="SystemExit"):
        apart(lambda: sys.exit(0))
    with pytest.raises(RuntimeError, match="ended without a grade"):
        apart(lambda: os._exit(0))


def test_it_holds_no_file_of_the_caller_and_stands_in_an_empty_folder(
    apart: Callable[..., Any],
) -> None:
    read, write = os.pipe()
    with pytest.raises(RuntimeError, match="Bad file descriptor"):
        apart(lambda: os.write(write, b"forged"))
    os.close(read)
    os.close(write)
    assert apart(lambda: os.listdir(".")) == []


def test_what_the_call_leaves_running_is_ended(apart: Callable[..., Any]) -> None:
    def leave() -> int:
        pid = os.fork()
        if pid == 0:
            time.sleep(600)
        return pid

    pid = apart(leave)
    for _ in range(1000):
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.01)
    pytest.fail("it still runs")
