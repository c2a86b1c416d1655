"""``rewardkit version``: what is installed."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

from rewardkit import __version__

__all__ = ["HELP", "add_arguments", "run", "text"]

HELP = "show the versions of rewardkit and of what it stands on"

_STANDS_ON = ("pydantic", "regex", "sympy", "torch", "transformers", "peft", "datasets", "trl")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(arguments: argparse.Namespace) -> int:
    """Print every version; nothing of it is imported."""
    print(text())
    print(f"python {platform.python_version()}")
    for name in _STANDS_ON:
        print(f"{name} {_version(name)}")
    return 0


def text() -> str:
    """Name and version of rewardkit."""
    return f"rewardkit {__version__}"


def _version(name: str) -> str:
    try:
        return installed(name)
    except PackageNotFoundError:
        return "not installed"
