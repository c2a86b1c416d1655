"""Runs the command line in processes that need not import torch anew, for the tests.

A request is a line of JSON with ``arguments``, ``cwd``, ``env``, ``out`` and ``err`` (files); the
answer is a line with the exit status. Each command runs in a fork of this process, which has done
nothing but import: as a user's process, but some seconds of processor time cheaper.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback

PRELOADED = ("transformers.models.llama.modeling_llama", "peft", "rewardkit.trainers.loop")


def serve() -> None:
    """Answer requests until there are no more."""
    for name in PRELOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(**request)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps(status), flush=True)


def _run(arguments: list[str], cwd: str, env: dict[str, str], out: str, err: str) -> None:
    """The command, in this process, which it ends."""
    code = 70
    try:
        for descriptor, path in ((0, os.devnull), (1, out), (2, err)):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = ["rewardkit", *arguments]
        from rewardkit.cli import main

        code = main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
