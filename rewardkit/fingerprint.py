"""A fingerprint of all that a score depends on.

Covered: every part's full arguments (defaults included), weights, policies and gates; the version
of each verifier and of the distributions it stands on; the source of user functions, of the
functions and constants of their own modules that they use, their defaults and closures, and the
versions of the packages they call.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import sys
import types
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from rewardkit._verifier_spec import write_verifier
from rewardkit.function import FunctionReward
from rewardkit.rewards import Reward, VerifierReward
from rewardkit.verifier import Verifier

if TYPE_CHECKING:
    from rewardkit.rubric import Rubric

__all__ = ["describe", "fingerprint"]


def fingerprint(rubric: Rubric) -> str:
    """Sixteen hex digits of a SHA-256 over :func:`describe`."""
    text = json.dumps(describe(rubric), sort_keys=True, default=repr)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def describe(rubric: Rubric) -> dict[str, Any]:
    """Everything the fingerprint covers, as plain data: two of them can be compared."""
    return {
        "parts": [[name, _reward(reward)] for name, reward in rubric.parts.items()],
        "gates": [[g.on, g.gated, g.at_least, g.cap] for g in rubric.gates],
    }


def _reward(reward: Reward) -> dict[str, Any]:
    common = {"weight": reward.weight, "unscorable": reward.unscorable, "range": reward.range}
    if isinstance(reward, VerifierReward):
        pays = [reward.correct, reward.incorrect, reward.partial, dict(reward.values)]
        return {**common, "pays": pays, **_verifier(reward.verifier)}
    if isinstance(reward, FunctionReward):
        return {**common, "form": reward.signature.form, "function": _function(reward.fn)}
    own = {"class": _code(type(reward)), "args": _arguments(reward)}
    return {**common, **own}


def _verifier(verifier: Verifier) -> dict[str, Any]:
    """A verifier and every one inside it: each with its arguments and versions."""
    try:
        args = write_verifier(verifier, defaults=True)
    except ValueError:
        args = {"repr": repr(verifier)}
    return {"args": args, "stands": [_standing(v) for v in _nested(verifier)]}


def _standing(verifier: Verifier) -> dict[str, Any]:
    kind = type(verifier)
    ours = kind.__module__.partition(".")[0] == "rewardkit"
    return {
        "version": verifier.version,
        "on": {name: _version(name) for name in verifier.stands_on},
        # Ours state their version by hand; a user's class is identified by its source as well.
        "source": None if ours else _code(kind),
    }


def _nested(verifier: Verifier) -> Iterator[Verifier]:
    yield verifier
    for value in vars(verifier).values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, Verifier):
                yield from _nested(item)


def _arguments(reward: Reward) -> Any:
    return TypeAdapter(type(reward)).dump_python(reward, mode="json")


def _function(fn: Callable[..., Any], seen: set[int] | None = None) -> Any:
    """Source of a function, and of what it uses, without following into installed packages."""
    seen = set() if seen is None else seen
    if isinstance(fn, FunctionReward):
        return _function(fn.fn, seen)
    if isinstance(fn, functools.partial):
        return [
            "partial",
            _function(fn.func, seen),
            repr(fn.args),
            repr(sorted(fn.keywords.items())),
        ]
    if isinstance(fn, types.MethodType):
        return ["method", repr(fn.__self__), _function(fn.__func__, seen)]
    if not isinstance(fn, types.FunctionType):
        return ["object", _code(type(fn)), repr(fn)]
    if id(fn) in seen:
        return "seen"
    seen.add(id(fn))
    closure = [c.cell_contents for c in fn.__closure__ or () if _filled(c)]
    uses = {
        name: _used(fn.__globals__[name], seen) for name in _names(fn) if name in fn.__globals__
    }
    return [_code(fn), repr(fn.__defaults__), [_used(c, seen) for c in closure], uses]


def _filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _used(value: Any, seen: set[int]) -> Any:
    """What a global or closed-over value contributes."""
    if isinstance(value, types.ModuleType):
        return ["module", value.__name__, _module_version(value.__name__)]
    if isinstance(value, Verifier):
        return _verifier(value)
    if isinstance(
        value, types.FunctionType | types.MethodType | functools.partial | FunctionReward
    ):
        own = getattr(value, "__module__", "") or ""
        found = _module_version(own)
        return ["function", own, found] if found else _function(value, seen)
    if isinstance(value, type):
        return ["class", value.__qualname__, _module_version(value.__module__) or _code(value)]
    if isinstance(value, str | bytes | int | float | bool | tuple | frozenset | type(None)):
        return repr(value)
    if isinstance(value, list | dict | set):
        return repr(value)[:100_000]
    return ["value", type(value).__qualname__, _module_version(type(value).__module__)]


def _names(fn: types.FunctionType) -> list[str]:
    """Global names that a function and the functions nested in it read."""
    names: set[str] = set()
    codes = [fn.__code__]
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes.extend(c for c in code.co_consts if isinstance(c, types.CodeType))
    return sorted(names)


def _code(thing: Any) -> str:
    """Source text; where there is none (a notebook's past, a C function), the bytecode or name."""
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        code = getattr(thing, "__code__", None)
        name = f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', repr(thing))}"
        return name if code is None else f"{name} {code.co_code.hex()} {code.co_consts!r}"


@functools.cache
def _distributions() -> Any:
    return packages_distributions()


@functools.cache
def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _module_version(module: str) -> str | None:
    """Version of the distribution that a module belongs to, or ``None`` for the user's own code."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return f"python {sys.version_info.major}.{sys.version_info.minor}"
    for name in _distributions().get(top, ()):
        return f"{name} {_version(name)}"
    return None
