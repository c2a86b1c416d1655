"""Fixtures that many tests share; heavy imports only where they are asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples at every run, so that a change is never blamed for what chance found; to look
# for more: HYPOTHESIS_PROFILE=explore pytest ...
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A randomly initialised model of 20,000 parameters, saved as any checkpoint is."""
    from rewardkit.trainers import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("model"), hidden_size=32, layers=2, heads=2)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).parent.parent
