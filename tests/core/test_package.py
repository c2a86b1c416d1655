"""Promise: importing is light, what is exported is what is said, and the wheel holds everything."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

HEAVY = ("torch", "peft", "trl", "transformers", "sympy", "datasets", "numpy", "rich")
LATER = (
    *(
        "pydantic",
        "pydantic_core",
        "annotated_types",
        "asyncio",
        "concurrent",
        "importlib.metadata",
    ),
    *("multiprocessing", "subprocess", "socket", "regex", "yaml", "mpmath", "logging"),
)
"""What costs more to import than a thousand verdicts cost, and only some programs need."""
TIERS = ("grammar", "lexer", "spelling", "units", "compare", "judging", "probing", "regions")


def loaded_by(statement: str, among: Iterable[str] = HEAVY) -> set[str]:
    """Which of some modules a statement brings into memory in a fresh interpreter."""
    code = (
        f"import sys; before = set(sys.modules); {statement}; "
        f"print(*(m for m in {tuple(among)!r} if m in sys.modules and m not in before))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "statement",
    [
        "import rewardkit",
        "import rewardkit.verifiers; rewardkit.verifiers.MathVerifier()",
        "import rewardkit.presets",
        "import rewardkit.cli",
        "import rewardkit.testing.plugin",
        "from rewardkit.trainers import GRPOConfig; GRPOConfig()",
    ],
)
def test_the_core_imports_nothing_heavy(statement: str) -> None:
    assert loaded_by(statement) == set()


VERIFY = (
    "from rewardkit import Sample; from rewardkit.verifiers import MathVerifier; "
    "said = MathVerifier().verify(Sample(completion={!r}, answer={!r})).status; "
    "assert said == 'correct', said"
)


@pytest.mark.parametrize(
    "statement",
    [
        "import rewardkit",
        "import rewardkit.verifiers",
        "from rewardkit import Sample, Verdict, Verifier",
        "from rewardkit.verifiers import MathVerifier; MathVerifier(form='any', tolerance=0.01)",
        VERIFY.format("#### 1,042", "1042"),
        VERIFY.format(r"\boxed{\frac{\sqrt{2}}{2}}", r"\frac{1}{\sqrt 2}"),
    ],
)
def test_a_verdict_on_mathematics_needs_little_besides_the_interpreter(statement: str) -> None:
    assert loaded_by(statement, LATER) == set()


def test_importing_the_package_is_next_to_nothing() -> None:
    assert loaded_by("import rewardkit", ("dataclasses", "inspect", "decimal", "json")) == set()


def test_the_grammar_and_the_tiers_wait_for_the_first_answer_that_is_no_plain_number() -> None:
    tiers = [f"rewardkit.verifiers.math.{name}" for name in TIERS]
    assert loaded_by(VERIFY.format("#### 42", "42.0"), tiers) == set()
    wrong = VERIFY.replace("'correct'", "'incorrect'")
    assert loaded_by(wrong.format(r"\boxed{42}", "43"), tiers) == set()
    assert loaded_by(VERIFY.format("The answer is $x > 2$.", "(2, \\infty)"), tiers) == set(tiers)


@pytest.mark.parametrize("module", ["rewardkit", "rewardkit.verifiers", "rewardkit.trainers",
                                    "rewardkit.sandbox", "rewardkit.testing", "rewardkit.presets"])  # fmt: skip
def test_every_exported_name_is_there_and_the_list_is_sorted(module: str) -> None:
    import importlib

    found = importlib.import_module(module)
    assert list(found.__all__) == sorted(found.__all__)
    for name in found.__all__:
        assert getattr(found, name) is not None


def test_the_package_list_is_complete(root: Path) -> None:
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    rooms = settings["package-dir"]
    there = {
        ".".join([name, *init.parent.relative_to(root / folder).parts])
        for name, folder in rooms.items()
        for init in (root / folder).rglob("__init__.py")
    }
    assert set(settings["packages"]) == there
    for name, folder in rooms.items():
        for file in (root / folder).rglob("*.py"):
            assert (file.parent / "__init__.py").exists(), f"{file} is in no package of {name}"


def imports(file: Path) -> set[str]:
    """Names of all modules that a file imports, also within functions; ``from a import b`` may mean
    the module ``a.b``, so it counts as one."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level < 2, f"{file} imports from outside of its folder, relatively"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


UPPER = ("cli", "testing", "report", "interop", "presets")
ROOMS = {
    "rewardkit/*.py": ("verifiers", "trainers", *UPPER),
    "sandbox/**/*.py": ("verifiers", "trainers", *UPPER),
    "verifiers/**/*.py": ("trainers", *UPPER),
    "trainers/**/*.py": ("verifiers", *UPPER),
}


@pytest.mark.parametrize("room", ROOMS)
def test_core_and_sandbox_import_nothing_from_the_floors_above(root: Path, room: str) -> None:
    files = [f for f in root.glob(room) if f.name != "__main__.py"]
    assert len(files) > 8
    for file in files:
        for name in imports(file):
            top = name.split(".")
            above = top[0] == "rewardkit" and len(top) > 1 and top[1] in ROOMS[room]
            assert not above, f"{file} imports {name}, from a floor above"


@pytest.mark.slow
def test_the_wheel_holds_every_module(root: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
         "-w", str(tmp_path), str(root)],
        check=True,
    )  # fmt: skip
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    assert "rewardkit/py.typed" in names
    for room in ("rewardkit", "verifiers", "sandbox", "trainers"):
        prefix = "rewardkit" if room == "rewardkit" else f"rewardkit/{room}"
        for file in (root / room).rglob("*.py"):
            assert f"{prefix}/{file.relative_to(root / room).as_posix()}" in names


def test_files_stay_readable(root: Path) -> None:
    for room in ("rewardkit", "verifiers", "sandbox", "trainers"):
        for file in (root / room).rglob("*.py"):
            assert len(file.read_text().splitlines()) <= 500, f"{file} is over 500 lines"


@pytest.mark.parametrize("use", ["t.GRPOTrainer", "t.make_trainer('m', None, [])", "t.warm_up"])
def test_a_missing_extra_names_the_command_that_mends_it(use: str) -> None:
    code = f"import sys; sys.modules['torch'] = None; import rewardkit.trainers as t; {use}"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'rewardkit[train]'" in done.stderr.splitlines()[-1]
