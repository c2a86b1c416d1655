"""Fixtures that many tests share; heavy imports only where they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A randomly initialised model of 20,000 parameters, saved as any checkpoint is."""
    from rewardkit.trainers import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("model"), hidden_size=32, layers=2, heads=2)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).parent.parent
