"""A call in a fork that shares no open file with the caller and dies with it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


def apart(call: Callable[[], Any]) -> Any:
    """What the call returns, as JSON has it, from a fork in an empty folder.

    The fork holds none of this process's files and pipes: what judged code writes to every open
    descriptor then hits those of its grader alone. What it leaves running is ended.

    Raises:
        RuntimeError: if the call raises, or ends its process.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as place:
        path = Path(place) / "returned"
        if (pid := os.fork()) == 0:
            _in_the_fork(call, folder, path)
        os.waitpid(pid, 0)
        with contextlib.suppress(ProcessLookupError):  # nothing of its session is left
            os.killpg(pid, signal.SIGKILL)
        if not path.exists():
            raise RuntimeError("the grader's process ended without a grade")
        found = json.loads(path.read_text())
    if "raised" in found:
        raise RuntimeError(found["raised"])
    return found["returned"]


def _in_the_fork(call: Callable[[], Any], folder: str, path: Path) -> None:
    try:
        # The caller may be killed while it waits; what never ends would go on without it.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        os.closerange(3, 4096)
        os.chdir(folder)
        path.write_text(json.dumps({"returned": call()}))
    except BaseException as error:  # a SystemExit too must not go on in the caller's frames
        path.write_text(json.dumps({"raised": repr(error)}))
    finally:
        os._exit(0)
