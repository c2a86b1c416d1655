"""The command line as a whole: exit codes, clear messages, and a light start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rewardkit
from rewardkit.cli import main, score
from rewardkit.errors import DataError

Cli = Callable[..., Any]

HEAVY = ("torch", "peft", "trl", "transformers", "sympy", "datasets", "rich", "numpy")


def test_starting_imports_nothing_heavy() -> None:
    code = (
        "import sys, rewardkit.cli\n"
        "try: rewardkit.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print(sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stderr.strip() == "[]"
    commands = (
        *("check-data", "score", "diff", "test", "record", "noise"),
        *("train", "export", "report", "doctor", "version"),
    )
    for command in commands:
        assert command in done.stdout


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("score",), ("train", "--backend", "x")])
def test_what_argparse_refuses_exits_with_2(process: Cli, arguments: tuple[str, ...]) -> None:
    done = process(*arguments)
    assert done.code == 2
    assert "usage: rewardkit" in done.err
    assert "Traceback" not in done.err


def test_version(process: Cli) -> None:
    assert process("--version").out == f"rewardkit {rewardkit.__version__}\n"
    told = process("version").out
    assert told.startswith(f"rewardkit {rewardkit.__version__}\npython 3.")
    assert "\npydantic " in told


def test_a_mistake_is_one_message_on_stderr_and_exit_2(process: Cli) -> None:
    done = process("score", "gone.jsonl", "--rubric", "gone.yaml")
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("rewardkit: error: cannot read gone.yaml")
    assert "Traceback" not in done.err


def test_debug_shows_the_traceback_too(cli: Cli) -> None:
    done = cli("score", "rows.jsonl", "--rubric", "gone.yaml", "--debug")
    assert done.code == 2
    assert "Traceback" in done.err
    assert "rewardkit: error: cannot read gone.yaml" in done.err


def test_a_message_that_quotes_judged_text_cannot_move_the_cursor(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(arguments: Any) -> int:
        raise DataError("quoted: \x1b[2J\u202e\r\nsecond line")

    monkeypatch.setattr(score, "run", fail)
    err = cli("score", "rows.jsonl", "--rubric", "rubric.yaml").err
    assert err == "rewardkit: error: quoted: \\x1b[2J\\u202e\\r\nsecond line\n"


def test_interrupting_exits_with_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(arguments: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(score, "run", interrupt)
    done = cli("score", "rows.jsonl", "--rubric", "rubric.yaml")
    assert (done.code, done.err) == (130, "rewardkit: interrupted\n")


def test_a_bug_of_ours_is_not_dressed_up_as_a_mistake(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(arguments: Any) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(score, "run", bug)
    with pytest.raises(ZeroDivisionError):
        main(["score", "rows.jsonl", "--rubric", "rubric.yaml"])


def test_a_reader_that_goes_away_is_no_crash(folder: Path) -> None:
    code = "from rewardkit.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", code, "score", "rows.jsonl", "--rubric", "rubric.yaml"]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*command, "--allow-code", "--columns", "answer=gold", "--explain"],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    finally:
        os.close(writer)
    assert done.returncode == 141
    assert done.stderr == ""


def test_an_output_that_is_ascii_only_gets_escapes(process: Cli) -> None:
    options = ("--rubric", "rubric.yaml", "--allow-code", "--columns", "answer=gold", "--explain")
    done = process("score", "rows.jsonl", *options, env={"PYTHONIOENCODING": "ascii"})
    assert done.code == 0, done.err
    assert "\\u251c" in done.out


class TestTrain:
    def test_without_a_configuration(self, cli: Cli) -> None:
        done = cli("train")
        assert done.code == 2
        assert "say what to train" in done.err

    @pytest.mark.parametrize("arguments", [("gone.yaml",), ("--resume", "gone")])
    def test_what_is_not_there(self, cli: Cli, arguments: tuple[str, ...]) -> None:
        done = cli("train", *arguments)
        assert done.code == 2
        assert f"{arguments[-1]} (looked in" in done.err

    def test_everything_is_handed_to_the_trainer(
        self, cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given: dict[str, Any] = {}

        class Trainer:
            @staticmethod
            def train_command(**arguments: Any) -> int:
                given.update(arguments)
                return 7

        monkeypatch.setitem(sys.modules, "rewardkit.trainers.run", Trainer)
        (folder / "config.yaml").write_text("{}")
        options = ("--backend", "trl", "--output-dir", "out", "--allow-code", "--max-steps", "9")
        assert cli("train", "config.yaml", *options).code == 7
        assert given == {
            "config_path": Path("config.yaml"),
            "backend": "trl",
            "resume": None,
            "output_dir": Path("out"),
            "allow_code": True,
            "checkpoint": None,
            "data": None,
            "max_steps": 9,
        }

    def test_without_the_packages_the_message_is_the_command_that_mends_it(
        self, cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def missing(name: str) -> Any:
            raise ModuleNotFoundError("No module named 'torch'", name="torch.nn")

        monkeypatch.setattr("rewardkit.cli.train.import_module", missing)
        (folder / "config.yaml").write_text("{}")
        done = cli("train", "config.yaml")
        assert done.code == 2
        assert "pip install 'rewardkit[train]'" in done.err
