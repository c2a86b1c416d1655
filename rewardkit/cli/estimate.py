"""``rewardkit estimate``: what a run will take of memory, before anything is downloaded."""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path
from typing import Any

from rewardkit.errors import ConfigError, MissingExtraError

__all__ = ["HELP", "add_arguments", "run"]

HELP = "tell what a run will take of memory, by cause, before anything is downloaded or allocated"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run's configuration, what it does not say, and the card to fit."""
    parser.add_argument("config", type=Path, help="the run's configuration, YAML or JSON")
    parser.add_argument("--model", metavar="NAME", help="another model, or a shape: llama3-8B")
    parser.add_argument(
        "--prompt-length", type=int, metavar="N",
        help="tokens of the longest prompt; left out: read from the data if that is here, else 512",
    )  # fmt: skip
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), help="left out: cuda if it is there or --card is given"
    )
    parser.add_argument(
        "--card", type=float, metavar="GIB", help="tell also what fits a card of this size"
    )
    parser.add_argument(
        "--family",
        metavar="NAME",
        help="with --card: the largest model of it: llama3, qwen2.5, ...",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """0; 1 if a card is given and the run does not fit it.

    Raises:
        ConfigError: for a configuration or a model that cannot be read.
        MissingExtraError: if the packages for training are not installed.
    """
    if not arguments.config.is_file():
        raise ConfigError(f"there is no file {arguments.config} (looked in {Path.cwd()})")
    if arguments.family is not None and arguments.card is None:
        raise ConfigError("--family asks which of its models fits: give --card too")
    if arguments.card is not None and not arguments.card > 0:
        raise ConfigError(f"--card is a size in GiB, got {arguments.card:g}")
    if arguments.prompt_length is not None and arguments.prompt_length < 1:
        raise ConfigError(f"--prompt-length is a number of tokens, got {arguments.prompt_length}")
    found: dict[str, Any] = _estimator().estimate_command(
        arguments.config,
        model=arguments.model,
        prompt=arguments.prompt_length,
        device=arguments.device,
        card=arguments.card,
        family=arguments.family,
    )
    print(json.dumps(found, indent=2) if arguments.json else "\n".join(_lines(found)))
    return 0 if found.get("fits", True) else 1


def _lines(found: dict[str, Any]) -> list[str]:
    phases = found["phases"]
    lines = [
        f"{found['model']}, prompts of {found['prompt_tokens']} tokens ({found['prompt_from']}), "
        f"completions of {found['completion_tokens']}, on {found['device']}",
        f"{phases['train']['tokens']} tokens in the largest micro-batch",
        "",
        f"{'GiB':<18}" + "".join(f"{name:>10}" for name in phases),
    ]
    causes = dict.fromkeys(c for phase in phases.values() for c in phase["device_gib"])
    for cause in causes:
        values = [phase["device_gib"].get(cause, 0.0) for phase in phases.values()]
        lines.append(f"{cause:<18}" + "".join(f"{value:>10.3f}" for value in values))
    lines.append(f"{'total':<18}" + "".join(f"{p['total_gib']:>10.3f}" for p in phases.values()))
    lines += ["", f"peak of the run: {found['peak_gib']:.2f} GiB"]
    if found["host_gib"]:
        lines.append(f"in host memory: {found['host_gib']:.2f} GiB more")
    return [*lines, *_card_lines(found)]


def _card_lines(found: dict[str, Any]) -> list[str]:
    if "card_gib" not in found:
        return []
    verdict = "fits" if found["fits"] else "does not fit"
    context = found["largest_context"]
    lines = [
        "",
        f"a card of {found['card_gib']:g} GiB: this run {verdict}",
        f"  largest context (prompt and completion): {context or 'none'}"
        + (" tokens" if context else ""),
    ]
    if "family" in found:
        lines.append(f"  largest of {found['family']}: {found['largest_model'] or 'none'}")
    return lines


def _estimator() -> Any:
    try:
        return import_module("rewardkit.trainers.estimate_command")
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name in ("", "rewardkit"):
            raise
        raise MissingExtraError("rewardkit estimate", "train", name) from error
