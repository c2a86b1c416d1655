"""Right and wrong answers of a row, as plain text, before they are put into a form."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from rewardkit.rewards import VerifierReward
from rewardkit.rubric import Rubric
from rewardkit.sample import Sample
from rewardkit.verifiers.extraction import gold_text

__all__ = ["code_golds", "entry_of", "golds", "is_code_row", "wrong_answers", "wrong_programs"]

_REFERENCES = (
    "solution", "canonical_solution", "reference", "reference_solution", "code", "reference_code",
)  # fmt: skip
_GOLDS = ("solution", "ground_truth", "gold", "final_answer", "target", "label", "reference")
"""Where the gold is if the row has no ``answer``, as for TRL's ``accuracy_reward``."""
_ENTRIES = ("entry_point", "entry", "fn_name", "function_name", "method_name")
_TESTS = ("tests", "test", "test_list", "test_cases", "input_output", "inputs")
_NUMBER = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?")


def golds(sample: Sample) -> tuple[str, ...]:
    """Texts that may be the right answer, the likeliest first; none if the row has no gold."""
    named = (sample.columns[name] for name in _GOLDS if sample.columns.get(name) is not None)
    answer = next(named, None) if sample.answer is None else sample.answer
    if isinstance(answer, list | tuple) and answer:
        answer = answer[0]
    if answer is None or isinstance(answer, Mapping | list | tuple):
        return ()
    text = str(answer)
    found = (gold_text(text).strip("$"), gold_text(text), text.strip())
    return tuple(dict.fromkeys(t for t in found if t))


def wrong_answers(gold: str, others: Iterable[str], prompt: str = "") -> tuple[str, ...]:
    """Answers of the same kind that are not the gold: far, near, what other rows answer, and the
    numbers that the prompt ends and begins with."""
    found = _wrong(gold, others, prompt)
    return tuple(dict.fromkeys(w for w in found if w and w.strip() != gold.strip()))


def _wrong(gold: str, others: Iterable[str], prompt: str) -> Iterator[str]:
    bare = gold.replace(",", "").replace("$", "").strip()
    other = next((o for o in others if o.strip() != gold.strip()), None)
    if _NUMBER.fullmatch(bare):
        yield f"{abs(Decimal(bare)) * 2 + 13:f}"
        yield f"{Decimal(bare) + 1:f}"
        if other is not None and _NUMBER.fullmatch(other.replace(",", "")):
            yield other
        numbers = [n for n in _NUMBER.findall(prompt[-4000:]) if Decimal(n) != Decimal(bare)]
        yield from dict.fromkeys([*numbers[-1:], *numbers[:1]])
        return
    if re.fullmatch(r"\(?[A-Za-z]\)?", bare):
        letter = bare.strip("()")
        found = next(c for c in "ABCD" if c != letter.upper())
        yield found if letter.isupper() else found.lower()
        return
    if bare.lower() in _OPPOSITES:
        yield _OPPOSITES[bare.lower()]
        return
    if other is not None:
        yield other
    yield "13" if any(c.isdigit() or c == "\\" for c in bare) else "something else"


_OPPOSITES = {"yes": "no", "no": "yes", "true": "false", "false": "true"}


def is_code_row(rubric: Rubric, sample: Sample) -> bool:
    """True if the row asks for a program: by the rubric's verifier, or by what the row holds."""
    for part in rubric.parts.values():
        if isinstance(part, VerifierReward) and "Code" in type(part.verifier).__name__:
            return True
    has_tests = any(name in sample.columns for name in _TESTS)
    return bool(code_golds(sample)) and (has_tests or sample.answer is None)


def code_golds(sample: Sample) -> tuple[str, ...]:
    """Programs of the row that may be right: a reference solution, alone and after the prompt."""
    found: list[str] = []
    for name in _REFERENCES:
        text = sample.columns.get(name)
        if isinstance(text, str) and text.strip():
            found += [text, sample.prompt_text + text]
    if isinstance(sample.answer, str) and "def " in sample.answer:
        found.append(sample.answer)
    return tuple(text for text in dict.fromkeys(found) if _looks_like_code(text))


def entry_of(sample: Sample, rubric: Rubric, code: str) -> str | None:
    """The function that is asked for: named by the row, by the verifier, or last defined."""
    named = [sample.columns.get(name) for name in _ENTRIES]
    for part in rubric.parts.values():
        if isinstance(part, VerifierReward):
            named.append(getattr(part.verifier, "entry", None))
    for name in named:
        if isinstance(name, str) and name.isidentifier():
            return name
    defined = [n.name for n in _body(code) if isinstance(n, ast.FunctionDef)]
    return defined[-1] if defined else None


def wrong_programs(entry: str | None) -> tuple[str, ...]:
    """Programs that do the wrong thing honestly."""
    if entry is None:
        return ("print()", "print('something else')", "import sys\nprint(sys.stdin.read())")
    head = f"def {entry}(*arguments, **named):\n    "
    returned = ("None", "arguments[0] if arguments else 0", "'something else'")
    return tuple(f"{head}return {value}" for value in returned)


def _looks_like_code(text: str) -> bool:
    """True for a program; a number parses as one too."""
    return any(word in text for word in ("def ", "print(", "import ", "\n")) and bool(_body(text))


def _body(text: str) -> Sequence[Any]:
    try:
        return ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
