"""The command line: ``rewardkit COMMAND``.

Exit codes: 0 done; 1 done, and fixtures failed, scores differ, an attack got through, a rubric has
a fault, golds cannot be judged, a run does not fit or nothing can be isolated; 2 a mistake of the
user's, told in one message; 130 interrupted; 141 the reader of our output went away.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from rewardkit._escape import safe_lines
from rewardkit.cli import (
    audit,
    check_data,
    diff,
    doctor,
    estimate,
    export,
    lint,
    noise,
    record,
    report,
    score,
    test,
    train,
    version,
)
from rewardkit.errors import RewardKitError

__all__ = ["main"]

COMMANDS = (
    check_data, score, diff, test, record, noise, lint, audit,
    estimate, train, export, report, doctor, version,
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; ``argv`` without the program's name (``None``: the process's own).

    Returns the exit code. Only what argparse itself refuses, and ``--help``, raise ``SystemExit``.
    """
    _make_printable()
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()  # here, where a closed pipe can still be told from a crash
        return code
    except BrokenPipeError:
        # What is left in the buffer would raise again when the interpreter flushes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("rewardkit: interrupted", file=sys.stderr)
        return 130
    except (RewardKitError, OSError) as error:
        return _refused(error, arguments.debug)


def _refused(error: RewardKitError | OSError, debug: bool) -> int:
    if isinstance(error, OSError) and not error.filename:
        raise error  # not about a file of the user's, so not their mistake
    if debug:
        traceback.print_exception(error)
    # A message may quote judged text.
    print(f"rewardkit: error: {safe_lines(str(error))}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rewardkit", description="Score with rubrics, test them, train with them."
    )
    parser.add_argument("--version", action="version", version=version.text())
    commands = parser.add_subparsers(metavar="command", required=True)
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2].replace("_", "-")
        sub = commands.add_parser(name, help=command.HELP, description=command.HELP)
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return parser


def _make_printable() -> None:
    """Output that its encoding cannot write (a C locale, half a surrogate pair) is escaped."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
