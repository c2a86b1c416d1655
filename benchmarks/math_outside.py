"""The math verifier on math-verify's own tests, read from its source distribution.

    pip download --no-deps --no-binary :all: math-verify==0.9.0
    python benchmarks/math_outside.py math_verify-0.9.0.tar.gz     # or the unpacked folder

The test modules are imported as they are, with the functions of math-verify that they call replaced
by ones that only note what was asked: gold, prediction, label, where the answer is looked for, and
a number of decimals where the test states one. Nothing of them is kept here.

The gold goes to ``answer`` and the prediction to ``completion`` unchanged, so that our own readers
take off what is written around them. Tests of LaTeX alone look in boxes, phrases and formulas, all
others with ``extract="auto"``; stated decimals become the tolerance; all else is as by default. A
triple counts once, however often it is written down. Needs ``pip install "rewardkit[bench-math]"``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _record import record

from rewardkit import Sample, Verdict

FORMS = ("value", "any")
"""The default answer form, and equality alone: some tests ask whether ``9 + 1`` equals 10."""
PLACES = {"latex": ("boxed", "phrase", "latex"), "auto": "auto"}
"""Where the answer is looked for: a test of LaTeX alone takes no number of the prose."""


@dataclass(frozen=True)
class Triple:
    """What one row of a test asks; ``decimals`` where the test states how many count."""

    gold: str
    prediction: str
    right: bool
    place: str = "auto"
    decimals: int | None = None


class _Asked(Exception):  # noqa: N818 - carries what a test asked out of it; nothing failed
    """Raised by the stand-ins for math-verify's functions."""


def triples(folder: Path) -> dict[Triple, str]:
    """Every triple of the tests below this folder, and the name of the test that asks it first."""
    sys.path.insert(0, str(folder))
    found: dict[Triple, str] = {}
    for path in sorted(folder.glob("tests/test_*.py")):
        module = importlib.import_module(f"tests.{path.stem}")
        _stand_in(module)
        for name, test in list(vars(module).items()):
            if name.startswith("test_") and callable(test):
                for triple in _asked(test):
                    found.setdefault(triple, name)
    return found


def _stand_in(module: Any) -> None:
    """Replace what compares by what only notes the question."""

    def ask(gold: Any, prediction: Any, **options: Any) -> None:
        raise _Asked(gold, prediction, options)

    if hasattr(module, "compare_strings"):
        module.compare_strings = ask
    elif hasattr(module, "verify"):
        module.verify, module.parse = ask, lambda text, *_, **__: text


def _asked(test: Callable[..., None]) -> Iterator[Triple]:
    for mark in getattr(test, "pytestmark", []):
        names = [n.strip() for n in mark.args[0].split(",")] if mark.name == "parametrize" else []
        for values in mark.args[1] if names else []:
            arguments = dict(zip(names, values, strict=True))
            label = arguments.get("expected", arguments.get("result"))
            for gold, prediction, options in _question(test, arguments):
                place = "latex" if options.get("match_types") == ["latex"] else "auto"
                decimals = options.get("precision")
                # f(x) taken for f(y) at strict=False is a policy that we do not offer.
                if options.get("strict") is not False:
                    yield Triple(gold, prediction, bool(label), place, decimals)


def _question(
    test: Callable[..., None], arguments: Mapping[str, Any]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What a row asks; nothing for a test of math-verify's parser alone."""
    try:
        test(**arguments)
    except _Asked as asked:
        gold, prediction, options = asked.args
        if isinstance(gold, str) and isinstance(prediction, str):
            yield gold, prediction, options
    except (AssertionError, AttributeError, TypeError) as error:
        print(f"left out: {test.__name__}: {error!r}"[:120], file=sys.stderr)


def judged(triple: Triple, form: str) -> Verdict:
    """Our verdict on a triple."""
    from rewardkit.verifiers import MathVerifier

    tolerance = 10.0**-triple.decimals if triple.decimals else 0.0
    extract: Any = PLACES[triple.place]
    verifier = MathVerifier(extract=extract, form=form, tolerance=tolerance)  # type: ignore[arg-type]
    return verifier.verify(Sample(completion=triple.prediction, answer=triple.gold))


def against_mathematics(verdict: Verdict) -> str:
    """Why a row labelled right is not, or ``""``: it states what is false, or differs in value.

    Told from the verdict: two values of which the exact tiers prove that they differ, or an
    equation in the prediction that does not hold.
    """
    if "does not hold" in verdict.reason or "does not round so" in verdict.reason:
        return "the prediction states a false equation"
    details = verdict.evidence.details or {}
    if verdict.status == "incorrect" and details.get("tier") in ("rational", "digits"):
        return "other value" if "not worked out" not in verdict.reason else ""
    return ""


def measured(todo: Mapping[Triple, str], form: str) -> dict[str, Any]:
    """Right ones lost and wrong ones paid."""
    verdicts = {triple: judged(triple, form) for triple in todo}
    lost = [t for t, v in verdicts.items() if t.right and v.status != "correct"]
    paid = [t for t, v in verdicts.items() if not t.right and v.status == "correct"]
    false = [t for t in lost if against_mathematics(verdicts[t])]
    return {
        "right ones lost": len(lost),
        "of these, labelled right against mathematics": len(false),
        "of these, the gold cannot be read": sum(verdicts[t].status == "unscorable" for t in lost),
        "of these, not worked out": sum("equal, but" in verdicts[t].reason for t in lost),
        "wrong ones paid": len(paid),
        "lost by test": _by_test(lost, todo),
        "paid by test": _by_test(paid, todo),
        "rows": [_shown(t, verdicts[t]) for t in (*lost, *paid)],
    }


def _by_test(found: Sequence[Triple], names: Mapping[Triple, str]) -> dict[str, int]:
    tests = [names[t] for t in found]
    return {test: tests.count(test) for test in dict.fromkeys(tests)}


def _shown(triple: Triple, verdict: Verdict) -> dict[str, Any]:
    """A row for the screen; the recorded result has no text of the tests."""
    return {
        "right": triple.right,
        "gold": triple.gold[-200:],
        "prediction": triple.prediction[-200:],
        "why": verdict.reason,
        "against mathematics": against_mathematics(verdict) if triple.right else "",
    }


def unpacked(source: Path, into: Path) -> Path:
    """The folder that holds ``tests``, of a source distribution or of its unpacked folder."""
    if source.is_file():
        with tarfile.open(source) as archive:
            archive.extractall(into, filter="data")
        source = next((path.parent for path in into.glob("*/tests")), source)
    if not list(source.glob("tests/test_*.py")):
        raise SystemExit(f"{source} has no tests/test_*.py: give math-verify's sdist or its folder")
    return source


def main() -> None:
    """Measure, print and record; ``--rows`` shows what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="math-verify's sdist (.tar.gz) or its folder")
    parser.add_argument("--rows", action="store_true", help="print the rows that went wrong")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        todo = triples(unpacked(arguments.source.resolve(), Path(scratch)))
        counts = {label: sum(t.right is label for t in todo) for label in (True, False)}
        result: dict[str, Any] = {"right": counts[True], "wrong": counts[False]}
        result["with stated decimals"] = sum(t.decimals is not None for t in todo)
        for form in FORMS:
            result[form] = measured(todo, form)
            for row in result[form].pop("rows") if arguments.rows else []:
                print(form, json.dumps(row, ensure_ascii=False))
            result[form].pop("rows", None)
    print(json.dumps(result, indent=2))
    packages = ["rewardkit", "math-verify", "sympy"]
    command = "python benchmarks/math_outside.py math_verify-0.9.0.tar.gz"
    print(f"written to {record('math_outside', command, packages, result)}")


if __name__ == "__main__":
    main()
