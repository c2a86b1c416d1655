"""The package exports what it names, and importing it stays light."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

import rewardkit.verifiers
from rewardkit import Reward, Rubric, Verifier

HEAVY = ("sympy", "torch", "transformers", "peft", "trl", "datasets", "numpy")


@pytest.mark.parametrize("name", rewardkit.verifiers.__all__)
def test_everything_exported_is_there(name: str) -> None:
    assert getattr(rewardkit.verifiers, name).__doc__ or name == "Extract"
    assert name in dir(rewardkit.verifiers)


def test_what_is_not_there_says_so() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = rewardkit.verifiers.Nonsense


@pytest.mark.parametrize(
    "statement",
    [
        "import rewardkit.verifiers",
        "import rewardkit.presets",
        "from rewardkit.verifiers import MathVerifier, NumberVerifier, TagFormat, Contains",
    ],
)
def test_importing_pulls_in_nothing_heavy(statement: str) -> None:
    code = f"{statement}\nimport sys\nfound = [m for m in {HEAVY} if m in sys.modules]\n"
    subprocess.run([sys.executable, "-c", code + "assert not found, found"], check=True, timeout=60)


@pytest.mark.parametrize("group", ["verifiers", "rewards", "presets"])
def test_registered_names_lead_to_the_defining_module(group: str) -> None:
    ours = [p for p in entry_points(group=f"rewardkit.{group}") if p.value.startswith("rewardkit.")]
    assert ours
    for point in ours:
        target = point.load()
        assert point.value == f"{target.__module__}:{target.__qualname__}"
        if group == "verifiers":
            assert issubclass(target, Verifier)
        elif group == "rewards":
            assert issubclass(target, Reward)
        else:
            assert isinstance(target(), Rubric)


def test_every_verifier_of_the_package_has_a_registered_name() -> None:
    names = {p.value for p in entry_points(group="rewardkit.verifiers")}
    for name in rewardkit.verifiers.__all__:
        found = getattr(rewardkit.verifiers, name)
        if isinstance(found, type) and issubclass(found, Verifier):
            assert f"{found.__module__}:{found.__qualname__}" in names, name


def test_documented_examples_hold() -> None:
    import doctest

    from rewardkit import Sample

    verifiers = ("choice", "extraction", "format", "number", "math.verifier", "shaping", "text")
    presets = ("calculation", "mail", "markers", "nearness", "word_problems")
    modules = [f"rewardkit.verifiers.{m}" for m in verifiers]
    for module in modules + [f"rewardkit.presets.{m}" for m in presets]:
        loaded = importlib.import_module(module)
        result = doctest.testmod(loaded, globs={**vars(loaded), "Sample": Sample})
        assert result.attempted > 0, module
        assert result.failed == 0, module
