"""Hostile programs do nothing to the world outside, in either tier, whoever the caller is.

Each of them is first run where nothing holds it, as the same user, and must succeed there: what
fails for a reason of its own shows nothing. What they do is seen from outside (``effects.py``).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from effects import Case, Effect
    from world import World

FOLDER = Path(__file__).parent
ATTEMPTS = 3  # outside, where other processes of the machine may hide what is done


def load() -> list[dict[str, Any]]:
    """The rows of all tables."""
    return [
        row for path in sorted(FOLDER.glob("*.yaml")) for row in yaml.safe_load(path.read_text())
    ]


ROWS = load()
TIERS = ("namespaces", "landlock", "docker")  # the last: what is left in a container


def runs() -> list[Any]:
    """Every row in every tier and for every user.

    In the ordinary suite as a user, where a user will do, and in one tier, by turns; in both the
    first row of each effect. The long suite runs all.
    """
    found, effects = [], set()
    for number, row in enumerate(ROWS):
        users = row.get("users", ("root", "user"))
        is_first = row["effect"] not in effects
        effects.add(row["effect"])
        for user in users:
            for tier in TIERS:
                is_ordinary = is_first or tier == TIERS[number % 2]
                is_long = tier == "docker" or not is_ordinary or (user == "root" and len(users) > 1)
                marks = [pytest.mark.slow] if is_long else []
                name = f"{row['name']}-{tier}-{user}"
                found.append(pytest.param(row, tier, user, id=name, marks=marks))
    return found


class Bench:
    """Users, their worlds, their sandboxes, and which programs succeed outside."""

    def __init__(self, suite: Any, world_of: Any, caller_of: Any, docker: Any, user: int) -> None:
        self.suite, self._world_of, self._caller_of = suite, world_of, caller_of
        self._docker = docker
        self._users = {"root": 0, "user": user}
        self._callers: dict[tuple[str, str], tuple[Any, bytes]] = {}
        self._works: dict[tuple[str, str], bool] = {}

    def world(self, user: str) -> World:
        """Of root, or of the ordinary user."""
        if self._users[user] != os.geteuid() != 0:
            pytest.skip("only root can become another user")
        world: World = self._world_of(self._users[user])
        return world

    def caller(self, tier: str, user: str) -> tuple[Any, bytes]:
        """A process of that user that holds a sandbox of that tier, and what a run finds there."""
        if (tier, user) not in self._callers:
            world = self.world(user)
            made = self._caller_of(
                "auto" if tier == "docker" else tier,
                self._users[user],
                under=self._docker(self._users[user]) if tier == "docker" else (),
                env=world.environment,
                arguments=[world.token],
                pass_fds=world.inheritance,
            )
            self._callers[tier, user] = made, made.run(self.suite.HEALTH).stdout
        return self._callers[tier, user]

    def works_outside(self, case: Case, user: str) -> bool:
        """Whether the program succeeds where nothing holds it."""
        key = (case.name, user)
        if key not in self._works:
            # Another ordinary user than the sandbox's caller: some harm all that is the user's.
            world = self._world_of(self._users[user] and self._users[user] + 1)
            self._works[key] = any(self.suite.outside(case, world) for _ in range(ATTEMPTS))
        return self._works[key]


@pytest.fixture(scope="module")
def bench(suite: Any, world_of: Any, caller_of: Any, docker: Any, ordinary_user: int) -> Bench:
    return Bench(suite, world_of, caller_of, docker, ordinary_user)


@pytest.mark.parametrize(("row", "tier", "user"), runs())
def test_hostile_programs_get_nowhere(
    bench: Bench, row: dict[str, Any], tier: str, user: str
) -> None:
    case = bench.suite.Case(**row)
    world, (caller, healthy) = bench.world(user), bench.caller(tier, user)
    is_shown = not case.control or case.control == "in_process"
    if is_shown and not bench.works_outside(case, user):
        assert case.optional, "it does not succeed outside either: it shows nothing"
        pytest.skip(case.optional)
    counts_apart = tier == "namespaces" or user == "root"
    seen: list[bool] = []
    unseen = 0
    while not decided(seen, bench.suite.EFFECTS[case.effect]):
        done = bench.suite.inside(case, world, caller, counts_apart=counts_apart)
        unseen += not done.was_seen  # too short on a machine too busy
        assert unseen < 5, f"nobody ever saw it run: {done}"
        seen += [done.escaped] if done.was_seen else []
        health = caller.run(bench.suite.HEALTH)
        assert (health.status, health.stdout) == ("ok", healthy), health
        assert all(run.status != "infrastructure_error" for run in done.runs), done
    assert not seen[-1], f"it got out: {done}"


def decided(seen: list[bool], effect: type[Effect]) -> bool:
    """Whether enough was seen: twice the same where other processes of the machine could have had
    the effect, or, for some effects, could have hidden it."""
    if not seen:
        return False
    doubtful = effect.noisy if seen[-1] else effect.can_be_hidden
    return not doubtful or seen.count(seen[-1]) > 1
