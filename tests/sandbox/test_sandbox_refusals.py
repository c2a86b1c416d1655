"""What the sandbox says of itself, and what it refuses to do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from rewardkit.errors import UsageError
from rewardkit.sandbox import (
    Limits,
    Sandbox,
    SandboxUnavailable,
)


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    try:
        made = Sandbox()
    except SandboxUnavailable as error:
        pytest.skip(f"no namespaces here: {error}")
    with made:
        yield made


def test_the_report_says_what_holds(box: Sandbox) -> None:
    report = box.report()
    assert report.isolation == "namespaces"
    assert not set(report.broken) - {"system_calls"}
    assert json.loads(json.dumps(report.as_dict()))["holds"]["network"] is True


def test_weak_isolation_must_be_said_twice() -> None:
    with pytest.raises(UsageError, match="accept_weak_isolation=True"):
        Sandbox("process")


def test_where_namespaces_do_not_work_auto_refuses(box: Sandbox) -> None:
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", _WITHOUT_NAMESPACES, "sh", sys.executable],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "cannot be set" in done.stderr:
        pytest.skip("cannot forbid namespaces here")
    assert "REFUSED" in done.stdout, done
    assert "Nothing was run" in done.stdout
    assert "max_user_namespaces" in done.stdout


# In a user namespace of our own the number of further ones is ours to limit.
_WITHOUT_NAMESPACES = """
for kind in user mnt pid net ipc uts; do
    echo 0 > /proc/sys/user/max_${kind}_namespaces || { echo cannot be set >&2; exit; }
done
exec "$1" -c '
from rewardkit.sandbox import Sandbox, SandboxUnavailable
try:
    Sandbox()
except SandboxUnavailable as error:
    print("REFUSED", error)
'
"""


def test_elsewhere_than_on_linux_the_refusal_is_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    from rewardkit.sandbox.probe import probe

    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxUnavailable, match="Linux only"):
        probe("namespaces")


@pytest.mark.parametrize("isolation", ["none", "", "docker"])
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
