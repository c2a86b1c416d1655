"""The world outside that hostile programs are told about, made once per user."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from world import World

# The modules beside this file are this folder's own; tests import nothing from each other.
sys.path.insert(0, str(Path(__file__).parent))
try:
    import runs
    import world as _world
finally:
    sys.path.pop(0)


@pytest.fixture(scope="session")
def world_of(python_of: Callable[[int], str]) -> Iterator[Callable[[int], World]]:
    """The world of a user, made once."""
    made: dict[int, World] = {}

    def of(user: int) -> World:
        if user not in made:
            made[user] = _world.World(user, python_of(user))
        return made[user]

    yield of
    for world in made.values():
        world.close()


@pytest.fixture(scope="session")
def suite() -> Any:
    """The module that runs programs, outside and in a sandbox."""
    return runs
