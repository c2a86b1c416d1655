"""Lints that need data: what a rubric does on given completions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rewardkit.gate import is_open
from rewardkit.lint import LINTS, Lint
from rewardkit.rubric import Rubric
from rewardkit.sample import Sample
from rewardkit.score import PartScore, Score
from rewardkit.testing.audit.bench import REFUSAL, set_up
from rewardkit.testing.audit.earning import LIMIT_S

__all__ = ["honest_samples", "lint_scores"]


def lint_scores(rubric: Rubric, scores: Sequence[Score]) -> tuple[Lint, ...]:
    """What is wrong with a rubric, seen from the scores of at least two completions.

    Raises:
        ValueError: for fewer than two scores, of which nothing can be said.
    """
    if len(scores) < 2:
        raise ValueError(f"at least two scores are needed to see what varies, got {len(scores)}")
    return tuple(
        Lint(name, LINTS[name][0], message)
        for name, message in _found(rubric, scores)
        if name not in rubric.silenced
    )


def honest_samples(rubric: Rubric, rows: Sequence[Mapping[str, object]]) -> list[Sample]:
    """Completions to try where the rows have none: right, wrong and refusing, in the rubric's form.

    Raises:
        DataError: if no row can be used.
    """
    bench = set_up(rubric, list(enumerate(rows)), LIMIT_S)
    found: list[Sample] = []
    for case in bench.cases:
        texts = [case.wrong[0], REFUSAL, *([case.right[0]] if case.right else [])]
        sample = case.target.sample
        found += [Sample(completion=text, prompt=sample.prompt, answer=sample.answer,
                         columns=sample.columns) for text in texts]  # fmt: skip
    return found


def _found(rubric: Rubric, scores: Sequence[Score]) -> Iterator[tuple[str, str]]:
    totals = {score.total for score in scores}
    if totals == {None}:
        why = next((score.notes[0] for score in scores if score.notes), "")
        yield "no-total", f"none of {len(scores)} completions has a total: {why}"
    elif len(totals) == 1:
        yield "same-total", f"all {len(scores)} completions have the total {scores[0].total:g}"
    for name, part in rubric.parts.items():
        yield from _of_part(name, [score[name] for score in scores], bool(part.weight))
    for gate in rubric.gates:
        if not any(is_open(gate, score[gate.on]) for score in scores):
            yield "gate-never-opened", f"the gate on {gate.on!r} was closed on every row"


def _of_part(name: str, parts: Sequence[PartScore], counts: bool) -> Iterator[tuple[str, str]]:
    run = [part for part in parts if part.state != "gated"]
    if not run:
        if not counts:
            yield "metric-never-logged", f"the metric {name!r} was behind a closed gate every time"
        return
    values = {part.value for part in run}
    if values == {None}:
        kind = "never-judged" if counts else "metric-never-logged"
        yield kind, f"{name!r} could not be judged: {run[0].why}"
    elif len(values) == 1 and counts and len(run) > 1:
        yield "constant-on-data", f"{name!r} earned {run[0].value:g} every time"
