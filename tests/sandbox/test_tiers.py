"""A tier is chosen because it holds here, and what it rests on is told."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from typing import Any

import pytest

from rewardkit.errors import RewardKitWarning, UsageError
from rewardkit.sandbox import Isolation, Sandbox, SandboxUnavailable, limits, tiers, usable_cpus
from rewardkit.sandbox.probe import Findings, ProbeFailed
from rewardkit.sandbox.profiles import profile_of

PROMISES = {
    *("network", "reading", "writing", "processes", "environment", "privileges", "system_calls"),
    *("memory", "disk_total", "descendants"),
}


def test_the_report_says_what_holds_and_by_what(tier_box: Sandbox, tier: Isolation) -> None:
    report = tier_box.report()
    assert report.isolation == tier
    assert dict(report.holds) == dict.fromkeys(PROMISES, True)
    assert report.broken == ()
    assert report.means.keys() == PROMISES
    assert json.loads(json.dumps(report.as_dict()))["holds"]["network"] is True


def test_no_isolation_must_be_said_twice_and_is_warned_of() -> None:
    with pytest.raises(UsageError, match="accept_no_isolation=True"):
        Sandbox("none")
    with pytest.warns(RewardKitWarning, match="limits alone"):
        box = Sandbox("none", workers=1, accept_no_isolation=True)
    with box:
        assert box.run("print(1)").stdout == b"1\n"
        assert "network" in box.report().broken


@pytest.mark.parametrize("promise", ["network", "memory", "system_calls"])
def test_a_tier_of_which_anything_gets_through_is_refused(
    monkeypatch: pytest.MonkeyPatch, promise: str
) -> None:
    holds = {name: name != promise for name in PROMISES}
    monkeypatch.setattr(tiers, "probe", lambda lanes: Findings(holds, 7))
    monkeypatch.setattr(tiers, "_reports", {})
    with pytest.raises(SandboxUnavailable) as caught:
        Sandbox()
    message = str(caught.value)
    assert message.count(f"did not hold: {promise}") == 2  # of both tiers
    assert "Nothing was run" in message


def test_a_probe_that_does_not_come_through_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(lanes: object) -> Findings:
        raise ProbeFailed("it did not even print")

    monkeypatch.setattr(tiers, "probe", broken)
    monkeypatch.setattr(tiers, "_reports", {})
    with pytest.raises(SandboxUnavailable, match="it did not even print"):
        Sandbox("landlock")


def test_elsewhere_than_on_linux_the_refusal_is_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(SandboxUnavailable, match="on Linux only, and this is Darwin.*virtual"):
        Sandbox()


def test_on_a_machine_without_tables_the_refusal_is_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(SandboxUnavailable, match="x86_64 only so far, and this is aarch64"):
        Sandbox()


@pytest.mark.parametrize("isolation", ["", "docker", "process"])
def test_unknown_isolation_is_refused(isolation: Any) -> None:
    with pytest.raises(UsageError, match="namespaces"):
        Sandbox(isolation)


@pytest.mark.parametrize("workers", [0, -1])
def test_senseless_workers_are_refused(workers: int) -> None:
    with pytest.raises(UsageError, match="workers"):
        Sandbox(workers=workers)


@pytest.mark.parametrize(
    ("preload", "problem"),
    [
        ("scipy", '"stdlib", "numpy" or a list'),
        (["no_such_module_here"], "no_such_module_here"),
        ([""], "must name modules"),
        ([3], "must name modules"),
    ],
)
def test_senseless_preloads_are_refused(preload: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        profile_of(preload)


def test_what_is_preloaded_is_there_and_nothing_else(tier: Isolation) -> None:
    with Sandbox(tier, workers=1, preload=["yaml", "difflib"]) as box:
        result = box.run(
            "import yaml, difflib, sys\nprint(yaml.safe_load('[1, 2]'))\nimport pydantic"
        )
    assert result.stdout == b"[1, 2]\n"
    assert b"No module named 'pydantic'" in result.stderr


def cgroups(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    monkeypatch.setattr(limits, "_read", lambda path: files.get(path, ""))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, 16),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "max 100000\n"}, 16),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "350000 100000\n"}, 3),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/cpu.max": "200000 100000\n"}, 2),
        (
            {
                "/proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/job\n0::/\n",
                "/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "600000\n",
                "/sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
            },
            6,
        ),
        (
            {
                "/proc/self/cgroup": "4:cpu:/\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            16,
        ),
    ],
)
def test_usable_cpus_are_those_that_the_cgroups_allow(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cpus: int
) -> None:
    cgroups(monkeypatch, files)
    assert usable_cpus() == cpus


def test_a_sandbox_that_is_shared_is_one(
    sandbox_of: Callable[[Isolation], Sandbox],
) -> None:
    from rewardkit.sandbox import shared_sandbox

    sandbox_of("auto")
    assert shared_sandbox() is shared_sandbox()
    assert shared_sandbox().run("print(1)").stdout == b"1\n"
