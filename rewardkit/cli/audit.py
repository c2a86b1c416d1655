"""``rewardkit audit``: attack a reward on one's own rows."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path

from rewardkit._files import whole_file
from rewardkit._rows import json_line
from rewardkit.cli._columns import add_columns, columns_of
from rewardkit.data import DataConfig, load_rows
from rewardkit.errors import UsageError

__all__ = ["HELP", "add_arguments", "run"]

HELP = "attack a reward with your own rows; exit 1 if an attack earns what it should not"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The reward, the rows, and what to make of them."""
    parser.add_argument(
        "subject", nargs="?",
        help="a rubric file, the name of a verifier, module:function or file.py:function",
    )  # fmt: skip
    parser.add_argument("--data", help="rows with prompt and answer: .jsonl, .json, .csv, ...")
    add_columns(parser)
    parser.add_argument(
        "--allow-code", action="store_true", help="let the subject name Python functions"
    )
    parser.add_argument("--rows", type=int, help="attack at most N rows (default: 8)", metavar="N")
    parser.add_argument(
        "--right", action="append", default=[], metavar="TEMPLATE",
        help="the form of a right completion, with {answer}; learned if not given",
    )  # fmt: skip
    parser.add_argument(
        "--family", action="append", default=[], metavar="NAME", help="only attacks of this family"
    )
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="NAME",
        help="an attack, family or kind that raises no alarm",
    )  # fmt: skip
    parser.add_argument("--margin", type=float, help="by what share an attack must win (0.1)")
    parser.add_argument(
        "--limit", type=float, metavar="SECONDS", help="for functions without their own (5)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained page")
    parser.add_argument("--show", type=int, default=20, metavar="N", help="at most N alarms (20)")
    parser.add_argument("--list", action="store_true", help="list the attacks, and do no more")


def run(arguments: argparse.Namespace) -> int:
    """0 if no attack got through, else 1.

    Raises:
        UsageError: for a subject or option that makes no sense.
        DataError: for rows that cannot be used.
    """
    from rewardkit.testing.audit.earning import LIMIT_S
    from rewardkit.testing.audit.page import html
    from rewardkit.testing.audit.running import MARGIN, ROWS, audit
    from rewardkit.testing.audit.text import print_report

    if arguments.list:
        return _listed()
    if arguments.subject is None or arguments.data is None:
        raise UsageError("say what is audited, and with which rows: rewardkit audit rubric.yaml "
                         "--data rows.jsonl")  # fmt: skip
    config = DataConfig(path=arguments.data, columns=columns_of(arguments.columns))
    # Opened before the audit, so that a page which cannot be written is told at once.
    with whole_file(arguments.html) if arguments.html is not None else nullcontext() as page:
        report = audit(
            arguments.subject,
            load_rows(config),
            rows=ROWS if arguments.rows is None else arguments.rows,
            families=arguments.family,
            ignore=arguments.ignore,
            templates=[template.replace("\\n", "\n") for template in arguments.right],
            margin=MARGIN if arguments.margin is None else arguments.margin,
            limit_s=LIMIT_S if arguments.limit is None else arguments.limit,
            allow_code=arguments.allow_code,
        )
        if page is not None:
            page.write(html(report))
    if arguments.json:
        print(json_line(report.to_dict()))
    else:
        print_report(report, max(0, arguments.show))
        if arguments.html is not None:
            print(f"written to {arguments.html}")
    return 0 if report.ok else 1


def _listed() -> int:
    from rewardkit.testing.audit.attack import all_attacks

    for attack in all_attacks():
        print(f"{attack.family:<9} {attack.name:<24} {attack.about}")
    return 0
