"""Where the kernel, or a container around us, forbids what isolation is made of.

The system calls are really forbidden, by filters as containers have them; each test runs as root
and as an ordinary user.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NAMESPACES = (155, 165, 166, 272, 308, 428, 429, 430, 431, 432, 442)  # pivot_root ... mount_setattr
LANDLOCK = (444, 445, 446)

_CLONE_3 = (435,)
USERS = ("root", "user")


@pytest.fixture(params=USERS)
def user(request: pytest.FixtureRequest, ordinary_user: int) -> int:
    """Root, then an ordinary user."""
    if os.geteuid() != 0:
        if request.param == "root":
            pytest.skip("not root")
        return os.geteuid()
    return 0 if request.param == "root" else ordinary_user


def holds(caller: Any) -> bool:
    """Whether it runs programs, and every promise is kept."""
    run = caller.run("print(6 * 7)")
    assert (run.status, run.stdout) == ("ok", b"42\n"), run
    return all(held for name, held in caller.report["holds"].items() if name not in _MAY_LACK)


_MAY_LACK = ("disk_total",)


def test_without_namespaces_the_other_tier_is_chosen(
    caller_of: Callable[..., Any], forbidding: Callable[..., list[str]], user: int
) -> None:
    under = forbidding(NAMESPACES, _CLONE_3, user=user)
    caller = caller_of("auto", user, under=under)
    assert caller.report["isolation"] == "landlock"
    assert holds(caller)


def test_without_landlock_namespaces_hold_alone(
    caller_of: Callable[..., Any], forbidding: Callable[..., list[str]], user: int
) -> None:
    caller = caller_of("auto", user, under=forbidding(absent=LANDLOCK, user=user))
    assert caller.report["isolation"] == "namespaces"
    assert holds(caller)


def test_under_dockers_own_profile_programs_run(
    caller_of: Callable[..., Any], docker: Callable[[int], list[str]], user: int
) -> None:
    caller = caller_of("auto", user, under=docker(user))
    assert caller.report["isolation"] == "landlock"
    assert holds(caller)


_TRY = r"""
import sys
from rewardkit.sandbox import Sandbox, SandboxUnavailable
for isolation in ("auto", "namespaces", "landlock"):
    try:
        Sandbox(isolation).run(f"open({sys.argv[1]!r}, 'w').write('ran')")
    except SandboxUnavailable as error:
        print("REFUSED", isolation, str(error).replace("\n", " "))
"""


def test_without_both_nothing_runs(
    forbidding: Callable[..., list[str]],
    room_of: Callable[[int], dict[str, str]],
    as_user: Callable[[int], dict[str, Any]],
    python_of: Callable[[int], str],
    user: int,
    open_folder: Path,
) -> None:
    marker = open_folder / "ran"
    under = forbidding(NAMESPACES, (*LANDLOCK, *_CLONE_3), user=user)
    done = subprocess.run(
        [*under, python_of(user), "-c", _TRY, str(marker)],
        capture_output=True,
        text=True,
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONSAFEPATH": "1", **room_of(user)},
        timeout=120,
        check=True,
        **as_user(user),
    )
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["REFUSED", isolation] for isolation in ("auto", "namespaces", "landlock")
    ]
    assert "othing was run" in lines[0]
    assert not marker.exists()
