"""``rewardkit train``: train a model with a rubric."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

from rewardkit.errors import ConfigError, MissingExtraError

__all__ = ["HELP", "add_arguments", "run"]

HELP = "train a model with a rubric, by the built-in GRPO trainer or by TRL"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The configuration or the run to go on with, and what overrides them."""
    parser.add_argument(
        "config", nargs="?", type=Path, help="the run's configuration, YAML or JSON"
    )
    parser.add_argument("--backend", choices=("builtin", "trl"), help="who trains")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with this run folder")
    parser.add_argument(
        "--checkpoint", type=int, metavar="STEP", help="with --resume: go back to this step"
    )
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help="other rows, also to go on with in a run"
    )
    parser.add_argument("--max-steps", type=int, metavar="N", help="optimizer steps to end at")
    parser.add_argument("--output-dir", type=Path, help="the new run's folder")
    parser.add_argument(
        "--allow-code", action="store_true", help="let the rubric name functions in Python files"
    )


def run(arguments: argparse.Namespace) -> int:
    """The trainer's own exit code.

    Raises:
        ConfigError: without a configuration and without a run, or for one that is not there.
        MissingExtraError: if the packages for training are not installed.
    """
    if arguments.config is None and arguments.resume is None:
        raise ConfigError("say what to train: rewardkit train config.yaml, or --resume RUN")
    if arguments.config is not None and not arguments.config.is_file():
        raise ConfigError(f"there is no file {arguments.config} (looked in {Path.cwd()})")
    if arguments.resume is not None and not arguments.resume.is_dir():
        raise ConfigError(f"there is no run folder {arguments.resume} (looked in {Path.cwd()})")
    if arguments.data is not None and not arguments.data.exists():
        raise ConfigError(f"there is no file {arguments.data} (looked in {Path.cwd()})")
    code: int = _trainer().train_command(
        config_path=arguments.config,
        backend=arguments.backend,
        resume=arguments.resume,
        output_dir=arguments.output_dir,
        allow_code=arguments.allow_code,
        checkpoint=arguments.checkpoint,
        data=arguments.data,
        max_steps=arguments.max_steps,
    )
    return code


def _trainer() -> Any:
    try:
        return import_module("rewardkit.trainers.run")
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name in ("", "rewardkit"):
            raise
        raise MissingExtraError("rewardkit train", "train", name) from error
