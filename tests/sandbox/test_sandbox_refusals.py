"""What the sandbox says of itself, and what it refuses to do."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from rewardkit.errors import RewardKitWarning, UsageError
from rewardkit.sandbox import Isolation, Limits, Sandbox, SandboxUnavailable


def test_the_report_says_what_holds_and_by_what(tier_box: Sandbox, tier: Isolation) -> None:
    report = tier_box.report()
    assert report.isolation == tier
    assert report.broken == ()
    assert set(report.means) == set(report.holds)
    assert json.loads(json.dumps(report.as_dict()))["holds"]["network"] is True


def test_no_isolation_must_be_said_twice_and_is_warned_of() -> None:
    with pytest.raises(UsageError, match="accept_no_isolation=True"):
        Sandbox("none")
    with pytest.warns(RewardKitWarning, match="whatever its user can"):
        box = Sandbox("none", workers=1, accept_no_isolation=True)
    with box:
        assert box.report().isolation == "none"
        assert set(box.report().broken) >= {"network", "reading", "writing"}
        assert box.run("print(1)").stdout == b"1\n"


def test_where_no_namespace_can_be_made_auto_takes_the_other_tier(
    sandbox_of: Callable[[Isolation], Sandbox],
) -> None:
    """Forbidden by the kernel's own settings; ``test_denied.py`` has filters."""
    sandbox_of("landlock")
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", _WITHOUT_NAMESPACES, "sh", sys.executable],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "cannot be set" in done.stderr:
        pytest.skip("cannot forbid namespaces here")
    assert done.stdout.splitlines()[:2] == ["landlock", "REFUSED"], done
    assert "Nothing was run" in done.stdout
    assert "max_user_namespaces" in done.stdout


# In a user namespace of our own the number of further ones is ours to limit.
_WITHOUT_NAMESPACES = """
for kind in user mnt pid net ipc uts; do
    echo 0 > /proc/sys/user/max_${kind}_namespaces || { echo cannot be set >&2; exit; }
done
exec "$1" -c '
from rewardkit.sandbox import Sandbox, SandboxUnavailable
with Sandbox() as box:
    print(box.report().isolation)
try:
    Sandbox("namespaces")
except SandboxUnavailable as error:
    print("REFUSED")
    print(error)
'
"""


@pytest.mark.parametrize(
    ("where", "what", "says"),
    [
        (sys, "platform", "Linux only"),
        (platform, "machine", "so far, and this is"),
    ],
    ids=["platform", "machine"],
)
def test_elsewhere_the_refusal_is_clear(
    monkeypatch: pytest.MonkeyPatch, where: Any, what: str, says: str
) -> None:
    other = "other"
    monkeypatch.setattr(where, what, other if what == "platform" else lambda: other)
    with pytest.raises(SandboxUnavailable, match=says):
        Sandbox()


@pytest.mark.parametrize("isolation", ["process", "", "docker"])
def test_unknown_isolation_is_refused(isolation: Any) -> None:
    with pytest.raises(UsageError, match="namespaces"):
        Sandbox(isolation)


def test_senseless_workers_are_refused() -> None:
    with pytest.raises(UsageError, match="workers"):
        Sandbox(workers=0)


@pytest.mark.parametrize(
    "bad",
    [
        {"source": b"print(1)"},
        {"seed": -1},
        {"limits": 5},
        {"stdin": "text"},
        {"files": {"/etc/passwd": b""}},
        {"files": {"../up": b""}},
        {"files": {"a/../../up": b""}},
        {"files": {"": b""}},
        {"files": {"program.py": b""}},
        {"files": {"a": "text"}},
        {"files": {"a": b"", "a/b/c": b""}},
        {"files": {str(i): b"" for i in range(300)}, "limits": Limits(disk_mb=1)},
        {"files": {"a": bytes(2 << 20)}, "limits": Limits(disk_mb=1)},
    ],
)
def test_senseless_requests_are_refused(box: Sandbox, bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        box.run(**{"source": "print(1)", **bad})


@pytest.mark.parametrize(
    "bad",
    [
        {"cpu_s": 0},
        {"cpu_s": float("nan")},
        {"cpu_s": float("inf")},
        {"cpu_s": None},
        {"cpu_s": "1"},
        {"wall_s": -1},
        {"wall_s": True},
        {"memory_mb": 8},
        {"memory_mb": 100.5},
        {"processes": 0},
        {"disk_mb": 0},
        {"output_kb": 1 << 40},
    ],
    ids=repr,
)
def test_senseless_limits_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(bad))):
        Limits(**bad)


def test_the_wall_limit_follows_the_cpu_limit() -> None:
    assert Limits(cpu_s=10).wall_seconds == 35.0
    assert Limits(cpu_s=10, wall_s=1).wall_seconds == 1
