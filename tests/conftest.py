"""Fixtures that many tests share; heavy imports only where they are asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
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


Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def rewardkit_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """Runs ``rewardkit`` with arguments, in the current folder and in a process of its own.

    Called as ``rewardkit_command(*arguments, env=None)``; the processes are forks of one that has
    imported torch (``warm_process.py``), of which each command would else need some seconds.
    """
    folder = tmp_path_factory.mktemp("commands")
    script = Path(__file__).with_name("warm_process.py")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    warm = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
        cwd=folder,
    )
    stdin, stdout = warm.stdin, warm.stdout
    assert stdin is not None
    assert stdout is not None
    count = 0

    def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        nonlocal count
        count += 1
        out, err = folder / f"{count}.out", folder / f"{count}.err"
        request = {
            "arguments": list(arguments),
            "cwd": os.getcwd(),
            "env": {**os.environ, **(env or {})},
            "out": str(out),
            "err": str(err),
        }
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        answer = stdout.readline()
        assert answer, "the process that runs commands has ended"
        said = [path.read_text("utf-8") for path in (out, err)]
        return subprocess.CompletedProcess(list(arguments), json.loads(answer), *said)

    yield run
    stdin.close()
    warm.wait(60)
