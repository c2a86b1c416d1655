"""``rewardkit export``: a trained model for serving."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

from rewardkit.errors import ConfigError, MissingExtraError

__all__ = ["HELP", "add_arguments", "run"]

HELP = "write a run's model for serving: full weights copied, adapters merged into their base"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to export, where to, and in which form."""
    parser.add_argument("source", type=Path, help="a run folder, or one of its checkpoints")
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument(
        "--checkpoint", type=int, metavar="STEP", help="of a run: this step, not the newest"
    )
    parser.add_argument(
        "--adapter", action="store_true", help="write the adapter alone, in peft's format"
    )
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), help="of the weights written"
    )


def run(arguments: argparse.Namespace) -> int:
    """0.

    Raises:
        ConfigError: if there is nothing to export.
        MissingExtraError: if the packages for training are not installed.
    """
    if not arguments.source.is_dir():
        raise ConfigError(f"there is no folder {arguments.source} (looked in {Path.cwd()})")
    found = _exporter().export_model(
        arguments.source,
        arguments.out,
        checkpoint=arguments.checkpoint,
        adapter=arguments.adapter,
        dtype=arguments.dtype,
    )
    print(f"{found} written to {arguments.out}")
    return 0


def _exporter() -> Any:
    try:
        return import_module("rewardkit.trainers.export")
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name in ("", "rewardkit"):
            raise
        raise MissingExtraError("rewardkit export", "train", name) from error
