"""Promise: fixtures come from real completions, diverse, and count as passed once accepted."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardkit import DataError, Rubric, UsageError, Verdict, Verifier, reward
from rewardkit.testing import load_fixtures
from rewardkit.testing.accepting import accept, add_rows, update
from rewardkit.testing.check import Checker
from rewardkit.testing.judged import JudgedRow, read_judged
from rewardkit.testing.recording import content_of, record
from rewardkit.verifiers import NumberVerifier, TagFormat

RUBRIC = Rubric(
    format=TagFormat("<answer>...</answer>").reward(correct=0.5),
    answer=NumberVerifier(extract="answer").reward(correct=3.0, incorrect=-1.0),
    brevity=lambda completion: -len(completion) / 100,
).gate("answer", on="format")
OTHER = RUBRIC.with_parts(
    answer=NumberVerifier(extract="answer").reward(correct=2.0, incorrect=-1.0)
)


def completion(text: str, answer: str = "4", **columns: Any) -> dict[str, Any]:
    return {"prompt": "2+2", "completion": text, "answer": answer, **columns}


RIGHT = completion("<answer>4</answer>")
WRONG = completion("<answer>5</answer>")
NO_FORM = completion("4")
EMPTY = completion("<answer>dunno</answer>")
NO_GOLD = completion("<answer>4</answer>", answer="four-ish")


def rows_of(tmp_path: Path, *rows: dict[str, Any]) -> list[JudgedRow]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_judged(path)


def checker(path: Path, rubric: Rubric = RUBRIC) -> Checker:
    return Checker(load_fixtures(path), rubric)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A file with a row of each kind, unreviewed."""
    rows = record(rows_of(tmp_path, RIGHT, WRONG, NO_FORM, EMPTY, NO_GOLD), RUBRIC)
    path = tmp_path / "new.rewards.jsonl"
    add_rows(path, rows, {"rubric": "rubric.yaml"})
    return path


class TestPicking:
    def test_every_way_of_coming_out_is_there_however_rare(self, tmp_path: Path) -> None:
        many = [completion(f"<answer>4</answer>{' ' * n}.", level=n) for n in range(200)]
        rare = [WRONG, NO_GOLD, RIGHT, EMPTY]
        made = record(rows_of(tmp_path, *many, *rare), RUBRIC, count=5)
        came = {(json.dumps(row["expect"]["verdicts"], sort_keys=True)) for row in made}
        assert len(made) == len(came) == 5
        assert sum(row["expect"]["total"] is None for row in made) == 1

    def test_the_extremes_are_there(self, tmp_path: Path) -> None:
        long = completion("<answer>5</answer>" + " " * 300)
        lengths = [completion(f"<answer>4</answer>{'.' * n}") for n in range(20, 40)]
        made = record(rows_of(tmp_path, *lengths, long, RIGHT), RUBRIC, count=2)
        assert [row["expect"]["total"] for row in made] == [
            pytest.approx(3.5 - 0.18),
            pytest.approx(-1.0 + 0.5 - 3.18),
        ]
        assert made[0]["recorded"]["why"].startswith("greatest total")

    def test_what_differs_in_case_and_white_space_counts_once(self, tmp_path: Path) -> None:
        alike = [completion(text) for text in ("The  Answer", "the answer", "THE\nANSWER")]
        assert len(record(rows_of(tmp_path, *alike), RUBRIC)) == 1

    def test_prompts_that_were_not_seen_come_first(self, tmp_path: Path) -> None:
        same = [completion(f"no {n}") for n in range(30)]
        other = {**completion("no"), "prompt": "1+3"}
        made = record(rows_of(tmp_path, *same, other), RUBRIC, count=4)
        assert "1+3" in {row["prompt"] for row in made}

    def test_the_order_of_the_rows_does_not_matter(self, tmp_path: Path) -> None:
        rows = [completion(f"<answer>{n}</answer>") for n in range(50)]
        first = record(rows_of(tmp_path, *rows), RUBRIC, count=7)
        random.Random(1).shuffle(rows)
        assert record(rows_of(tmp_path, *rows), RUBRIC, count=7) == first

    def test_columns_keep_their_names_whatever_they_are(self, tmp_path: Path) -> None:
        row = {**RIGHT, "level": 2, "total": 9, "answers": ["4"], "id": "x", "completion_ids": [1]}
        (made,) = record(rows_of(tmp_path, row), RUBRIC)
        path = tmp_path / "new.rewards.jsonl"
        add_rows(path, [made], {"rubric": "rubric.yaml"})
        (fixture,) = load_fixtures(path).rows
        assert fixture.sample.columns == {"level": 2, "total": 9, "answers": ["4"], "id": "x"}


@reward(form="group", bounds=(0.0, 1.0))
def shortest(completions: list[str]) -> list[float]:
    least = min(map(len, completions))
    return [float(len(text) == least) for text in completions]


class TestOfGroups:
    """Parts that see all completions of a prompt: a completion brings its group along."""

    RUBRIC = Rubric(answer=NumberVerifier().reward(3.0), shortest=shortest)
    GROUPS = ("a", "a", "a", "b", "b", "c", "c")
    ROWS = (
        completion("It is 4."), completion("It is 4."), completion("5"),
        completion("4", prompt2="b"), completion("Perhaps 44"),
        completion("4 or 5"), completion("none"),
    )  # fmt: skip

    def made(self, tmp_path: Path, count: int = 24, known: Any = ()) -> list[dict[str, Any]]:
        return record(rows_of(tmp_path, *self.ROWS), self.RUBRIC, count, known, self.GROUPS)

    def test_whole_groups_are_recorded_and_come_out_the_same(self, tmp_path: Path) -> None:
        made = self.made(tmp_path)
        assert len(made) == len(self.ROWS)
        assert len({row["group"] for row in made}) == 3
        assert len({row["id"] for row in made}) == len(made)
        path = tmp_path / "new.rewards.jsonl"
        add_rows(path, made, {"rubric": "rubric.yaml"})
        assert accept(checker(path, self.RUBRIC)).refused == ()
        report = checker(path, self.RUBRIC).report()
        assert report.ok
        assert len(report.passed) == len(made)

    def test_a_group_is_not_cut_in_two_nor_recorded_twice(self, tmp_path: Path) -> None:
        few = self.made(tmp_path, count=1)
        sizes = {"a": 3, "b": 2, "c": 2}
        assert len(few) in sizes.values()
        assert len({row["group"] for row in few}) == 1
        assert "greatest total" in "".join(row["recorded"]["why"] for row in few)
        known = {content_of(row.sample) for row in rows_of(tmp_path, *self.ROWS)}
        assert self.made(tmp_path, known=known) == []

    def test_another_rank_in_the_group_is_seen(self, tmp_path: Path) -> None:
        path = tmp_path / "new.rewards.jsonl"
        add_rows(path, self.made(tmp_path), {"rubric": "rubric.yaml"})
        accept(checker(path, self.RUBRIC))
        lines = path.read_text().splitlines()
        cut = [line for line in lines if json.loads(line).get("completion") != "5"]
        assert len(cut) == len(lines) - 1
        path.write_text("\n".join(cut))
        failed = checker(path, self.RUBRIC).report().failures
        assert len(failed) == 2  # what was longer than the one that is gone is now the shortest

    def test_rows_that_do_not_say_what_belongs_together_are_refused(self, tmp_path: Path) -> None:
        rows = rows_of(tmp_path, RIGHT)
        with pytest.raises(UsageError, match="'shortest' sees all .* row 0 .*--group-by COLUMN"):
            record(rows, self.RUBRIC)


@given(texts=st.lists(st.text(), min_size=1, max_size=4), part=st.text(min_size=1, max_size=9))
@settings(max_examples=50)
def test_whatever_was_written_is_recorded_accepted_and_passes(texts: list[str], part: str) -> None:
    """Half surrogate pairs, separators of lines, control characters; in names of parts as well."""
    rubric = Rubric.from_parts([(part, NumberVerifier()), (part + "2", lambda completion: 1.0)])
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_of(Path(folder), *[completion(text, prompt2=text) for text in texts])
        path = Path(folder) / "new.rewards.jsonl"
        made = record(rows, rubric)
        add_rows(path, made, {"rubric": "rubric.yaml"})
        assert len(checker(path, rubric).report().unreviewed) == len(made)
        accept(checker(path, rubric))
        report = checker(path, rubric).report()
        assert report.ok
        assert len(report.passed) == len(made)
        assert "\x1b" not in str(report)


class TestReview:
    def test_unreviewed_rows_are_neither_passed_nor_failed(self, recorded: Path) -> None:
        report = checker(recorded).report()
        assert (report.passed, report.failures, len(report.unreviewed)) == ((), (), 5)
        assert not report.ok
        assert str(report).endswith("0 passed, 0 failed, 5 unreviewed")
        assert "rewardkit record --accept" in str(report)

    def test_accepted_rows_pass(self, recorded: Path) -> None:
        ids = [row.id for row in load_fixtures(recorded).rows]
        assert accept(checker(recorded), ids[:2]).accepted == tuple(ids[:2])
        report = checker(recorded).report()
        assert (len(report.passed), len(report.unreviewed)) == (2, 3)
        assert accept(checker(recorded)).accepted == tuple(ids[2:])
        assert checker(recorded).report().ok

    def test_a_row_that_fails_cannot_be_accepted(self, recorded: Path) -> None:
        done = accept(checker(recorded, OTHER))
        assert len(done.refused) == 1
        assert len(done.accepted) == 4
        assert "format, answer" not in done.refused[0]

    def test_an_unknown_id_is_told(self, recorded: Path) -> None:
        with pytest.raises(DataError, match="no recorded row 'gone'"):
            accept(checker(recorded), ["gone"])

    def test_only_the_lines_of_accepted_rows_are_written_anew(self, recorded: Path) -> None:
        by_hand = '{"id": "by hand",  "completion": "x", "expect": {"total":  {"max": 9}}}'
        recorded.write_text(recorded.read_text() + "\n" + by_hand + "\n")
        before = recorded.read_text().split("\n")
        (row,) = [row for row in load_fixtures(recorded).rows if row.id.startswith("unscorable")]
        accept(checker(recorded), [row.id])
        after = recorded.read_text().split("\n")
        changed = [n for n, (a, b) in enumerate(zip(before, after, strict=True), 1) if a != b]
        assert changed == [row.line]

    def test_an_updated_row_shows_old_and_new_and_waits_again(self, recorded: Path) -> None:
        accept(checker(recorded))
        assert len(checker(recorded, OTHER).report().failures) == 1
        (change,) = update(checker(recorded, OTHER))
        assert change.was["total"] == pytest.approx(3.32)
        assert change.score.total == pytest.approx(2.32)
        report = checker(recorded, OTHER).report()
        assert (len(report.passed), len(report.failures), len(report.unreviewed)) == (4, 0, 1)
        assert "total 2.32" in report.unreviewed[0].message
        assert "(was total 3.32" in report.unreviewed[0].message
        accept(checker(recorded, OTHER))
        assert checker(recorded, OTHER).report().ok

    def test_what_was_accepted_is_remembered_over_several_updates(self, recorded: Path) -> None:
        accept(checker(recorded))
        third = RUBRIC.weighted(answer=0.5)
        update(checker(recorded, OTHER))
        update(checker(recorded, third))
        row = next(r for r in load_fixtures(recorded).rows if r.id.startswith("answer-correct"))
        assert row.recorded is not None
        assert row.recorded.was is not None
        assert row.recorded.was["total"] == pytest.approx(3.32)

    def test_rows_written_by_hand_are_never_updated(self, recorded: Path) -> None:
        by_hand = {"id": "by hand", **RIGHT, "expect": {"total": 99}}
        recorded.write_text(recorded.read_text() + json.dumps(by_hand) + "\n")
        assert update(checker(recorded)) == ()
        assert [f.id for f in checker(recorded).report().failures] == ["by hand"]

    def test_what_a_person_added_to_a_recorded_row_stays(self, recorded: Path) -> None:
        lines = recorded.read_text().splitlines()
        row = json.loads(lines[1])
        row["expect"]["reason"] = {"brevity": ""}
        recorded.write_text("\n".join([lines[0], json.dumps(row), *lines[2:]]) + "\n")
        update(checker(recorded, OTHER))
        assert load_fixtures(recorded).rows[0].expect.reason == {"brevity": ""}

    def test_rows_accepted_under_another_rubric_are_flagged(self, recorded: Path) -> None:
        accept(checker(recorded))
        wider = RUBRIC.with_parts(extra=lambda completion: 0.0).metrics("extra")
        report = checker(recorded, wider).report()
        assert report.ok
        assert len(report.stale) == 5
        assert "accepted under another rubric" in str(report)
        accept(checker(recorded, wider))
        assert checker(recorded, wider).report().stale == ()

    def test_yaml_is_not_written(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="YAML would lose its comments"):
            add_rows(tmp_path / "a.rewards.yaml", [], {})

    def test_a_snapshot_pins_total_verdict_text_and_plain_numbers(self, recorded: Path) -> None:
        class Odd(Verifier):
            def _verify(self, sample: Any) -> Verdict:
                return Verdict.correct("because", text="odd")

        odd = RUBRIC.with_parts(answer=Odd().reward(correct=3.0))
        subjects = {
            problem.subject
            for failure in checker(recorded, odd).report().failures
            for problem in failure.problems
        }
        assert "text of 'answer'" in subjects
        longer = RUBRIC.with_parts(brevity=lambda completion: -len(completion) / 99)
        subjects = {
            problem.subject
            for failure in checker(recorded, longer).report().failures
            for problem in failure.problems
        }
        assert subjects == {"total", "part 'brevity'"}
