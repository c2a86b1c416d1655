"""The examples, copied, so that nothing is written into the repository."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def examples(root: Path, tmp_path: Path) -> Path:
    """A copy of the folder."""
    leave_out = shutil.ignore_patterns("runs", "model", "__pycache__")
    return Path(shutil.copytree(root / "examples", tmp_path / "examples", ignore=leave_out))


@pytest.fixture
def load(examples: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports an example, as a module named after its file."""

    def load(name: str) -> ModuleType:
        path = examples / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"example_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        spec.loader.exec_module(module)
        return module

    return load
