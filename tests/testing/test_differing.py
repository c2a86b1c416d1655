"""Promise: what was scored can be scored by another rubric, and a diff says what flipped and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rewardkit import DataError, Rubric, Sample, UsageError, Verdict, Verifier
from rewardkit.errors import RewardKitWarning
from rewardkit.testing.differing import Diff, diff, rescored
from rewardkit.testing.judged import JudgedRow, read_judged, score_rows
from rewardkit.testing.scorefile import resumed, score_line
from rewardkit.verifiers import NumberVerifier, TagFormat

FORMAT = TagFormat("<answer>...</answer>").reward(correct=0.5)
OLD = Rubric(format=FORMAT, answer=NumberVerifier(extract="answer").reward(correct=3.0))


class Lax(Verifier):
    """As the other, and 5 will do where 4 is asked for."""

    def _verify(self, sample: Sample) -> Verdict:
        if sample.text == "<answer>5</answer>":
            return Verdict.correct("5 will do", rule="near enough")
        return NumberVerifier(extract="answer").verify(sample)


LAX = Rubric(format=FORMAT, answer=Lax().reward(correct=3.0))

ROWS: list[dict[str, Any]] = [
    {"prompt": "2+2", "completion": "<answer>4</answer>", "answer": "4", "level": 1},
    {"prompt": "2+2", "completion": "<answer>5</answer>", "answer": "4", "level": 1},
    {"prompt": "2+2", "completion": "<answer>4</answer> no, 9", "answer": "4", "level": 2},
    {"prompt": "2+2", "completion": "<answer>4</answer>", "answer": "four-ish", "level": 1},
]


def rows_of(tmp_path: Path, *rows: dict[str, Any]) -> list[JudgedRow]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows or ROWS))
    return read_judged(path)


def written(path: Path, rows: list[JudgedRow]) -> Path:
    lines = [score_line(n, row, row.score) for n, row in enumerate(rows) if row.score]
    path.write_text("".join(lines))
    return path


@pytest.fixture
def rows(tmp_path: Path) -> list[JudgedRow]:
    return rows_of(tmp_path)


@pytest.fixture
def old(rows: list[JudgedRow]) -> list[JudgedRow]:
    return rescored(rows, OLD)


def compared(old: list[JudgedRow], rubric: Rubric, **options: Any) -> Diff:
    return diff(old, rescored(old, rubric), **options)


class TestWhatFlips:
    def test_nothing_by_the_same_rubric(self, old: list[JudgedRow]) -> None:
        found = compared(old, OLD)
        assert (found.compared, found.changes) == (4, ())
        assert found.old.fingerprint == found.new.fingerprint

    def test_verdicts_with_both_explanations_and_rules(self, old: list[JudgedRow]) -> None:
        found = compared(old, LAX)
        (change,) = [c for c in found.changes if "verdict" in c.kinds]
        assert change.where == "row 1"
        assert (change.old.total, change.new.total) == (0.5, 3.5)
        (part,) = change.parts
        assert part.was.startswith("incorrect by last <answer>")
        assert part.now.startswith("correct")
        assert found.kinds == {"verdict": 1, "total": 1, "value": 1}

    def test_what_a_verdict_is_worth(self, old: list[JudgedRow]) -> None:
        found = compared(old, OLD.with_parts(format=FORMAT.with_weight(2.0)))
        assert found.kinds == {"total": 2}
        ((part, changes),) = found.groups
        assert (part.part, len(changes)) == ("format", 2)
        assert part.was.endswith("weight 1")
        assert part.now == "weight 2"
        worth = OLD.with_parts(answer=NumberVerifier(extract="answer").reward(correct=2.0))
        ((part, changes),) = compared(old, worth).groups
        assert part.was.endswith("worth 3")
        assert part.now.endswith("worth 2")

    def test_scorability(self, old: list[JudgedRow]) -> None:
        strict = OLD.with_parts(answer=NumberVerifier(extract="answer").reward(unscorable=0.0))
        found = compared(old, strict)
        assert [change.where for change in found.changes if "scorability" in change.kinds] == [
            "row 3"
        ]

    def test_parts_that_came_or_went_are_named_and_the_total_tells(
        self, old: list[JudgedRow]
    ) -> None:
        found = compared(old, OLD.with_parts(extra=lambda completion: 1.0))
        assert set(found.new.parts) - set(found.old.parts) == {"extra"}
        assert found.kinds == {"total": 3}
        assert all(change.parts == () for change in found.changes)

    def test_numbers_within_the_tolerance_are_the_same(self, old: list[JudgedRow]) -> None:
        near = OLD.with_parts(answer=NumberVerifier(extract="answer").reward(correct=3.001))
        assert compared(old, near, tolerance=0.01).changes == ()
        assert compared(old, near).changes

    def test_a_rubric_that_is_not_repeatable_is_told_by_its_fingerprint(
        self, rows: list[JudgedRow]
    ) -> None:
        values = iter(range(100))
        chance = Rubric(chance=lambda completion: float(next(values)))
        old = rescored(rows, chance)
        new = rescored(rows, chance)
        assert diff(old, new).changes


class TestWhatIsRefused:
    def test_other_data(self, tmp_path: Path, old: list[JudgedRow]) -> None:
        fixed = [*ROWS[:3], {**ROWS[3], "answer": "4"}]
        new = rescored(rows_of(tmp_path, *fixed), LAX)
        with pytest.raises(DataError, match="1 rows only in the old scores, 1 only in the new"):
            diff(old, new)
        assert diff(old, new, common=True).compared == 3

    def test_other_columns(self, tmp_path: Path, old: list[JudgedRow]) -> None:
        new = rescored(rows_of(tmp_path, *[{**row, "level": 7} for row in ROWS]), LAX)
        with pytest.raises(DataError, match="no row in common"):
            diff(old, new, common=True)

    def test_scores_of_several_rubrics(self, old: list[JudgedRow], rows: list[JudgedRow]) -> None:
        mixed = [*old[:2], *rescored(rows[2:], LAX)]
        with pytest.raises(DataError, match="the new scores are of several rubrics"):
            diff(old, mixed)

    def test_rows_without_scores(self, old: list[JudgedRow], rows: list[JudgedRow]) -> None:
        with pytest.raises(DataError, match="row 0 has no score; score the rows first"):
            diff(rows, old)

    def test_a_score_that_is_none(self, tmp_path: Path) -> None:
        path = tmp_path / "scores.jsonl"
        path.write_text('{"completion": "4", "columns": {}, "score": {"total": 1}}\n')
        with pytest.raises(DataError, match="row 0: the score in it cannot be read"):
            read_judged(path)


class TestMatching:
    def test_the_order_does_not_matter(self, old: list[JudgedRow]) -> None:
        assert diff(old, [*reversed(old)]).changes == ()

    def test_rows_that_occur_several_times_are_matched_one_by_one(self, tmp_path: Path) -> None:
        rows = rows_of(tmp_path, ROWS[0], ROWS[0], ROWS[1])
        old = rescored(rows, OLD)
        assert diff(old, rescored(rows, OLD)).compared == 3
        with pytest.raises(DataError, match="1 rows only in the old"):
            diff(old, old[1:])

    def test_what_json_has_no_form_for_is_matched_after_a_way_through_a_file(
        self, tmp_path: Path
    ) -> None:
        rows = rows_of(tmp_path, {**ROWS[0], "odd": float("inf"), "text": "\ud800\u2028"})
        old = rescored(rows, OLD)
        new = read_judged(written(tmp_path / "scores.jsonl", old))
        assert diff(old, new).changes == ()


class TestRunFolders:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Path:
        """A run's folder as the trainer writes it: by its own classes."""
        pytest.importorskip("torch")
        from rewardkit.trainers.rollout.batch import Completion
        from rewardkit.trainers.runfolder import RunFolder

        folder = RunFolder(tmp_path / "run")
        for step in (1, 2):
            made = []
            for index, row in enumerate(ROWS):
                columns = {"level": row["level"], "completion_ids": [5, 6]}
                sample = Sample(
                    prompt=row["prompt"], completion=row["completion"], answer=row["answer"],
                    columns=columns,
                )  # fmt: skip
                one = Completion(step, 0, index, [1], [5, 6], False, row["completion"], [0.0, 0.0])
                one.sample, one.score = sample, OLD.score(sample)
                made.append(one.record(step))
            folder.write_rollouts(step, made)
        return folder.path

    def test_all_rollouts_are_read_with_their_groups(self, run: Path) -> None:
        rows = read_judged(run)
        assert len(rows) == 8
        assert [row.group for row in rows] == ["1:1"] * 4 + ["2:2"] * 4
        assert rows[0].where.endswith("step_00000001.jsonl:1")
        assert rows[0].sample.columns == {"level": 1, "completion_ids": [5, 6]}

    def test_scored_again_they_are_as_they_were(self, run: Path) -> None:
        rows = read_judged(run)
        assert diff(rows, rescored(rows, OLD)).changes == ()
        assert [row.score.total for row in rows if row.score] == [
            score.total for score in score_rows(OLD, rows)
        ]

    def test_rewards_that_see_groups_get_those_of_the_run(self, run: Path) -> None:
        from rewardkit import reward

        @reward(form="group")
        def size(completions: list[str]) -> list[float]:
            return [float(len(completions))] * len(completions)

        rows = read_judged(run)
        assert [score.total for score in score_rows(Rubric(size), rows)] == [4.0] * 8

    def test_a_file_of_scores_of_a_run_can_stand_for_the_run(
        self, run: Path, tmp_path: Path
    ) -> None:
        rows = read_judged(run)
        again = read_judged(written(tmp_path / "scores.jsonl", rescored(rows, LAX)))
        assert [row.group for row in again] == [row.group for row in rows]
        assert [row.digest for row in again] == [row.digest for row in rows]
        assert again[0].sample.columns["completion_ids"] == [5, 6]
        assert len(diff(rows, again).changes) == 2

    def test_a_last_row_that_was_not_written_to_its_end_is_left_out_aloud(self, run: Path) -> None:
        last = run / "rollouts" / "step_00000002.jsonl"
        last.write_text(last.read_text()[:-40])
        with pytest.warns(RewardKitWarning, match="was not written to its end"):
            assert len(read_judged(run)) == 7

    def test_a_row_broken_elsewhere_is_refused(self, run: Path) -> None:
        first = run / "rollouts" / "step_00000001.jsonl"
        first.write_text("[1]\n" + first.read_text())
        with pytest.raises(DataError, match=r"step_00000001.jsonl:1: a rollout is an object"):
            read_judged(run)
        first.write_text("{\n")
        with pytest.raises(DataError, match=r"step_00000001.jsonl:1: not valid JSON"):
            read_judged(run)

    def test_a_folder_without_rollouts_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "empty" / "rollouts").mkdir(parents=True)
        with pytest.raises(DataError, match="there are no rollouts in"):
            read_judged(tmp_path / "empty")


class TestResuming:
    def test_goes_on_where_it_broke_off(self, tmp_path: Path, rows: list[JudgedRow]) -> None:
        path = written(tmp_path / "scores.jsonl", rescored(rows, OLD))
        whole = path.read_text()
        lines = whole.splitlines(keepends=True)
        path.write_text("".join(lines[:2]) + lines[2][:30])  # the third was being written

        scores = list(resumed(path, rows, OLD))
        assert [score.total for score in scores] == [
            row.score.total for row in rescored(rows, OLD) if row.score
        ]
        assert [row.digest for row in read_judged(path)] == [row.digest for row in rows]
        assert path.read_text().splitlines()[:2] == whole.splitlines()[:2]

    def test_nothing_is_scored_twice(self, tmp_path: Path, rows: list[JudgedRow]) -> None:
        calls: list[str] = []

        def counted(completion: str) -> float:
            calls.append(completion)
            return 1.0

        rubric = Rubric(counted)
        path = tmp_path / "scores.jsonl"
        assert len(list(resumed(path, rows, rubric))) == 4
        assert len(list(resumed(path, rows, rubric))) == 4
        assert len(calls) == 4

    def test_scores_of_another_rubric_are_refused(
        self, tmp_path: Path, rows: list[JudgedRow], old: list[JudgedRow]
    ) -> None:
        path = written(tmp_path / "scores.jsonl", old[:2])
        before = path.read_bytes()
        with pytest.raises(DataError, match=f"was scored by rubric {OLD.fingerprint}, not"):
            list(resumed(path, rows, LAX))
        assert path.read_bytes() == before

    def test_scores_of_other_rows_are_refused(
        self, tmp_path: Path, rows: list[JudgedRow], old: list[JudgedRow]
    ) -> None:
        path = written(tmp_path / "scores.jsonl", old[:2])
        with pytest.raises(DataError, match="the scores are of other data"):
            list(resumed(path, rows[1:], OLD))
        written(path, [*old, *old])
        with pytest.raises(DataError, match="holds 8 scores, and there are 4 rows"):
            list(resumed(path, rows, OLD))

    def test_groups_are_not_cut_in_two(self, tmp_path: Path, rows: list[JudgedRow]) -> None:
        from rewardkit import reward

        @reward(form="group")
        def size(completions: list[str]) -> list[float]:
            return [0.0] * len(completions)

        with pytest.raises(UsageError, match="scores all rows at once"):
            list(resumed(tmp_path / "scores.jsonl", rows, Rubric(size)))


def test_a_column_that_a_new_rubric_asks_for_is_told_with_the_row(rows: list[JudgedRow]) -> None:
    needs = Rubric(x=lambda completion, difficulty: 1.0)
    with pytest.raises(DataError, match="row 0: .*'difficulty'"):
        list(score_rows(needs, rows))
