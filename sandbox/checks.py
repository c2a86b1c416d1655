"""What a caller asks for, checked before anything runs. Judged text itself is never a mistake."""

from __future__ import annotations

import marshal
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

from rewardkit.errors import UsageError
from rewardkit.sandbox.execution import CallsRequest, Request
from rewardkit.sandbox.inside.wire import PROGRAM
from rewardkit.sandbox.limits import Limits
from rewardkit.sandbox.program import Job

__all__ = ["calls_request", "program_request"]

_PAGE = 4096
_LARGEST_SEED = (1 << 63) - 1
_MOST_REPLY_KB = 1 << 18
_FOREVER_S = 1e18


def program_request(job: Job) -> Request:
    """A job that makes sense, as a request. Raises ``UsageError``."""
    if not isinstance(job.source, str):
        raise UsageError(f"source must be str, got {type(job.source).__name__}")
    if not isinstance(job.stdin, bytes):
        raise UsageError(f"stdin must be bytes, got {type(job.stdin).__name__}")
    if not isinstance(job.limits, Limits):
        raise UsageError(f"limits must be Limits, got {type(job.limits).__name__}")
    _check_whole("seed", job.seed, 0, _LARGEST_SEED)
    _check_files(job.files, job.limits)
    # A model may write lone surrogates: they must fail there (as a syntax error), not here.
    source = job.source.encode("utf-8", "surrogatepass")
    return Request(source, job.stdin, job.files, job.limits, job.seed)


def calls_request(
    job: Job, driver: str, arguments: Sequence[bytes], reply_kb: int, budget_s: float | None
) -> CallsRequest:
    """The same for calls. Raises ``UsageError``."""
    request = program_request(job)
    if not isinstance(driver, str):
        raise UsageError(f"driver must be str, got {type(driver).__name__}")
    for number, argument in enumerate(arguments):
        if not isinstance(argument, bytes):
            raise UsageError(f"arguments[{number}] must be bytes, got {type(argument).__name__}")
    _check_whole("reply_kb", reply_kb, 1, _MOST_REPLY_KB)
    if budget_s is not None and not (math.isfinite(budget_s) and budget_s > 0):
        raise UsageError(f"budget_s must be a positive number of seconds, got {budget_s!r}")
    return CallsRequest(
        request.source,
        _compiled(driver),
        arguments,
        request.files,
        request.limits,
        request.seed,
        reply_kb,
        budget_s if budget_s is not None else _FOREVER_S,
    )


@lru_cache(maxsize=16)
def _compiled(driver: str) -> bytes:
    """As the lane's interpreter, which is this one, will load it: compiling it there would be for
    each source anew."""
    try:
        code = compile(driver, "driver.py", "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"driver must be Python text: {error}") from None
    return marshal.dumps(code)


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not least <= value <= most:  # type: ignore[operator]
        raise UsageError(f"{name} must be a whole number from {least} to {most}, got {value!r}")


def _check_files(files: Mapping[str, bytes], limits: Limits) -> None:
    room = 0
    for name, data in files.items():
        _check_file(name, data)
        parents = PurePosixPath(name).parents
        if any(str(parent) in files for parent in parents):
            raise UsageError(f"files[{name!r}] lies in a folder that is itself among the files")
        room += len(data) + _PAGE * (1 + len(parents))
    if room > limits.disk_mb << 20:
        raise UsageError(
            f"the files take {room} bytes, more than disk_mb={limits.disk_mb} allows; "
            "raise that limit"
        )


def _check_file(name: str, data: bytes) -> None:
    if not isinstance(data, bytes):
        raise UsageError(f"files[{name!r}] must be bytes, got {type(data).__name__}")
    parts = name.split("/")
    if name == PROGRAM or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise UsageError(
            f"files must have plain relative paths inside the folder, other than {PROGRAM!r}; "
            f"got {name!r}"
        )
