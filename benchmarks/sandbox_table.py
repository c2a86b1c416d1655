"""The result of the sandbox's benchmark as a table beside what it should reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Row = tuple[str, str, str, bool]
"""(what, ours, target, reached)."""

_RATES = {
    ("stdlib", "quiet"): 5,
    ("stdlib", "busy"): 12,
    ("numpy", "quiet"): 25,
    ("numpy", "busy"): 60,
}
_COSTS = {"stdlib": 5, "numpy": 25}
_PROTECTION = {"namespaces": 0.25, "landlock": 0.15}
_OURS = ("namespaces", "landlock")


def table(result: Mapping[str, Any]) -> str:
    """One line for each measured figure."""
    lines = [("what", "ours", "target", "")]
    for part, make in _MAKERS.items():
        for what, ours, target, reached in make(result[part]) if part in result else ():
            lines.append((what, ours, target, "reached" if reached else "MISSED"))
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(x, widths, strict=True)) for x in lines)


def _spread(values: Mapping[str, float], unit: str) -> str:
    return f"{values['median']:.3g}{unit} ({values['min']:.3g} to {values['max']:.3g})"


def _speed(program: str) -> Callable[[Any], Iterator[Row]]:
    def make(part: Any) -> Iterator[Row]:
        for when, found in part.items():
            for name, one in found.items():
                rate, wall = one["per second"]["median"], one["wall ms"]
                shown = f"{rate:.0f}/s, {_spread(one['ratio of rates'], 'x')}"
                shown += f", p50 {wall['p50']:.1f} p99 {wall['p99']:.1f} ms"
                least = _RATES[program, when]
                is_ours = name in _OURS
                reached = not is_ours or one["ratio of rates"]["median"] >= least
                yield (
                    f"{program}, {when}: {name}",
                    shown,
                    f">= {least}x" if is_ours else "",
                    reached,
                )
        for name in _OURS:
            if name in part["quiet"]:
                yield from _costs(program, name, part["quiet"])

    return make


def _costs(program: str, name: str, found: Any) -> Iterator[Row]:
    most = _COSTS[program]
    share = found[name]["ratio of processor time"]
    less = {"median": 1 / share["median"], "min": 1 / share["max"], "max": 1 / share["min"]}
    shown = f"{found[name]['processor ms']['median']:.2f} ms, 1/{_spread(less, '')}"
    yield f"{program}: processor time, {name}", shown, f"<= 1/{most}", less["median"] >= most
    if "bare fork" in found:
        bare = found["bare fork"]["processor ms"]["median"]
        added = found[name]["processor ms"]["median"] / bare - 1
        allowed = _PROTECTION[name]
        shown = f"{100 * added:+.0f} % over {bare:.2f} ms"
        yield (
            f"{program}: protection, {name}",
            shown,
            f"<= +{100 * allowed:.0f} %",
            added <= allowed,
        )


def _calls(part: Any) -> Iterator[Row]:
    for when, found in part.items():
        for name, one in found.items():
            shown = f"{one['per second']['median']:.1f}/s, {_spread(one['ratio of rates'], 'x')}"
            shown += f", p50 {one['wall ms']['p50']:.1f} ms"
            is_target = name == "namespaces"
            reached = not is_target or one["ratio of rates"]["median"] >= 15
            yield f"20 calls, {when}: {name}", shown, ">= 15x" if is_target else "", reached


def _start(part: Any) -> Iterator[Row]:
    for tier, found in part.items():
        parts = ", ".join(f"{name} {one['median']:.3f}" for name, one in found.items())
        yield f"start: {tier}", f"{parts} s", "<= 0.6 s", found["together"]["median"] <= 0.6


def _memory(part: Any) -> Iterator[Row]:
    for name, mib in part.items():
        is_target = name.endswith("stdlib")
        yield (
            f"lane: {name}",
            f"{mib:.1f} MiB",
            "<= 15" if is_target else "",
            mib <= 15 or not is_target,
        )


def _overshoot(part: Any) -> Iterator[Row]:
    for name, one in part.items():
        shown = f"p50 {one['p50']:.1f}, p99 {one['p99']:.1f}, max {one['max']:.1f} ms of {one['n']}"
        yield f"overshoot: {name}", shown, "p99 <= 50 ms", one["p99"] <= 50


def _kill(part: Any) -> Iterator[Row]:
    for tier, one in part.items():
        yield f"caller killed: {tier}", _spread(one, " s"), "<= 1 s", one["max"] <= 1


def _failures(part: Any) -> Iterator[Row]:
    for name, one in part.items():
        is_target = name.endswith("processor limit")
        reached = not is_target or one["failed"] == 0
        yield (
            f"honest jobs: {name}",
            f"{one['failed']} of {one['of']} fail",
            "0" * is_target,
            reached,
        )


_MAKERS: dict[str, Callable[[Any], Iterator[Row]]] = {
    "stdlib": _speed("stdlib"),
    "numpy": _speed("numpy"),
    "calls": _calls,
    "start": _start,
    "memory": _memory,
    "overshoot": _overshoot,
    "kill": _kill,
    "false failures": _failures,
}
