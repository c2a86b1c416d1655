"""The result of the math benchmark as a table beside what it should reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Row = tuple[str, str, str, str, bool]
"""(what, math-verify, ours, target, reached)."""


def table(result: Mapping[str, Any]) -> str:
    """One line for each measured figure, and the errors by kind."""
    rows = [row for part, make in _MAKERS.items() if part in result for row in make(result[part])]
    lines = [("what", "math-verify", "ours", "target", "")]
    lines += [(w, p, o, t, "reached" if yes else "MISSED") for w, p, o, t, yes in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    shown = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines]
    if "equivalence" in result:
        shown += ["", *_by_kind(result["equivalence"]["headline"])]
    return "\n".join(shown)


def _speed(name: str, right: float, wrong: float) -> Callable[[Any], Iterator[Row]]:
    def make(part: Any) -> Iterator[Row]:
        for label, least in (("right", right), ("wrong", wrong)):
            rates = part[label]["pairs per processor second"]
            ratio = part[label]["ratio"]
            shown = f"{rates['ours']['median']:.0f}/s, {_times(ratio)}"
            peer = f"{rates['math-verify']['median']:.0f}/s"
            reached = ratio["median"] >= least
            yield f"{name} pairs, {label}", peer, shown, f">= {least:.0f}x", reached
        errors = {who: f"{e['FN']} FN, {e['FP']} FP" for who, e in part["errors"].items()}
        none = part["errors"]["ours"]["FN"] + part["errors"]["ours"]["FP"] == 0
        yield f"{name} errors", errors["math-verify"], errors["ours"], "none", none
        ours, peer = (part["errors"][who]["p99 wall ms"] for who in ("ours", "math-verify"))
        yield f"{name} p99", f"{peer:.0f} ms", f"{ours:.1f} ms", "<= 100 ms", ours <= 100

    return make


def _times(ratio: Mapping[str, float]) -> str:
    return f"{ratio['median']:.1f}x ({ratio['min']:.1f} to {ratio['max']:.1f})"


def _import(part: Any) -> Iterator[Row]:
    ratio = part["ratio"]
    shown = f"{part['ours']['median']:.3f} s, {ratio['median']:.2f}x"
    peer = f"{part['math-verify']['median']:.3f} s"
    yield "cold import", peer, shown, "<= 0.2x", ratio["median"] <= 0.2


def _equivalence(part: Any) -> Iterator[Row]:
    yield from _share("hand-labelled: false negatives", part["headline"], "FN", "right", 0.06)
    yield from _share("hand-labelled: false positives", part["headline"], "FP", "wrong", 0.02)


def _heldout(part: Any) -> Iterator[Row]:
    for name, found in part.items():
        what = name.removeprefix("math_").replace("heldout", "held out ").strip()
        yield from _share(f"{what}: false negatives", found, "FN", "right", 0.06)
        yield from _share(f"{what}: false positives", found, "FP", "wrong", 0.02)


def _share(what: str, part: Any, bad: str, of: str, most: float) -> Iterator[Row]:
    ours, peer = part["ours"], part["math-verify"]
    shown = [f"{100 * e[bad] / e[of]:.1f} % ({e[bad]}/{e[of]})" for e in (peer, ours)]
    yield what, shown[0], shown[1], f"<= {100 * most:.0f} %", ours[bad] <= most * ours[of]


def _restated(part: Any) -> Iterator[Row]:
    peer = str(len(part["math-verify"]))
    for form, most in (("value", 6), ("simplified", 0)):
        count = len(part[form])
        target = "the six closed forms" if most else "0"
        yield f"restated, form {form}", peer, str(count), target, count <= most


def _rewrites(part: Any) -> Iterator[Row]:
    yield from _share("rewritten: false negatives", part, "FN", "right", 0.01)


def _changed(part: Any) -> Iterator[Row]:
    ours, peer = part["ours"], part["math-verify"]
    shown = [f"{e['FP']} of {e['wrong']}" for e in (peer, ours)]
    yield "one digit or sign changed: accepted", shown[0], shown[1], "<= 2", ours["FP"] <= 2
    times = [f"{e['p99 wall ms']:.1f} ms" for e in (peer, ours)]
    yield (
        "one digit or sign changed: p99",
        times[0],
        times[1],
        "<= 100 ms",
        (ours["p99 wall ms"] <= 100),
    )


def _reflexive(part: Any) -> Iterator[Row]:
    ours, peer = part["ours"], part["math-verify"]
    shown = [f"{e['FN']} of {e['right']}" for e in (peer, ours)]
    yield "an answer against itself: refused", shown[0], shown[1], "0", ours["FN"] == 0


def _hostile(part: Any) -> Iterator[Row]:
    ours, peer, thread = (part[k] for k in ("ours", "math-verify", "math-verify in a thread"))
    for unit in ("processor", "wall"):
        over, worst = f"over 1.2 s of {unit} time", f"worst {unit} seconds"
        shown = [f"{e[over]} of {e['n']}, worst {e[worst]:.2f} s" for e in (peer, ours)]
        yield f"hostile: over 1.2 s, {unit}", shown[0], shown[1], "0", ours[over] == 0
    late = [f"{e['4.9 s or more']} of {e['n']}" for e in (peer, ours)]
    yield "hostile: 4.9 s or more", late[0], late[1], "0", ours["4.9 s or more"] == 0
    stall = "worst stall of the main thread, seconds"
    stalls = [f"{e[stall]:.2f} s" for e in (thread, ours)]
    yield "hostile: main thread stalled", stalls[0], stalls[1], "<= 0.05 s", ours[stall] <= 0.05
    peaks = [f"{e['peak MiB']} MiB" for e in (peer, ours)]
    yield "hostile: worker memory", peaks[0], peaks[1], "<= 512 MiB", ours["peak MiB"] <= 512
    taken = [str(len(e["accepted"])) for e in (peer, ours)]
    yield "hostile: accepted", taken[0], taken[1], "see the list", True


def _by_kind(part: Any) -> list[str]:
    ours, peer = part["ours"]["kinds"], part["math-verify"]["kinds"]
    lines = [f"{'kind':<18}{'right':>6}{'wrong':>6}{'FN ours/peer':>16}{'FP ours/peer':>16}"]
    for kind, o in ours.items():
        p = peer[kind]
        misses, passes = f"{o['FN']} / {p['FN']}", f"{o['FP']} / {p['FP']}"
        lines.append(f"{kind:<18}{o['right']:>6}{o['wrong']:>6}{misses:>16}{passes:>16}")
    return lines


_MAKERS: dict[str, Callable[[Any], Iterator[Row]]] = {
    "gsm8k": _speed("GSM8K-type", 20, 20),
    "math": _speed("MATH-type", 30, 10),
    "import": _import,
    "equivalence": _equivalence,
    "heldout": _heldout,
    "restated": _restated,
    "rewrites": _rewrites,
    "changed": _changed,
    "reflexive": _reflexive,
    "hostile": _hostile,
}
