"""Promise: error rates are counted honestly, and what they do to GRPO is exact."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardkit import DataError, Rubric, UsageError
from rewardkit.cli import main
from rewardkit.testing import fixture
from rewardkit.testing.check import made_of
from rewardkit.testing.noise import Effect, Rate, effect, measure, wilson
from rewardkit.testing.noise.show import budget, data, html, text
from rewardkit.verifiers import ExactText, NumberVerifier, TagFormat

share = st.floats(0.0, 1.0)
RUBRIC = Rubric(answer=NumberVerifier(extract="whole"))


class TestWilson:
    @pytest.mark.parametrize(
        ("errors", "of", "low", "high"),
        # Worked out from the definition to four digits.
        [(8, 10, 0.4902, 0.9433), (0, 50, 0.0, 0.0714), (50, 50, 0.9286, 1.0), (1, 1, 0.2065, 1.0)],
    )
    def test_known_values(self, errors: int, of: int, low: float, high: float) -> None:
        assert wilson(errors, of) == pytest.approx((low, high), abs=1e-4)

    @given(of=st.integers(1, 10_000), part=share)
    def test_its_ends_are_where_the_normal_test_just_does_not_reject(
        self, of: int, part: float
    ) -> None:
        errors = round(part * of)
        z = 1.959963984540054
        for end in wilson(errors, of):
            if 0.0 < end < 1.0:
                off = abs(errors / of - end)
                assert off == pytest.approx(z * math.sqrt(end * (1 - end) / of), rel=1e-6)

    def test_of_nothing_nothing_is_known(self) -> None:
        assert wilson(0, 0) == (0.0, 1.0)
        assert Rate(0, 0).value is None

    def test_more_errors_than_rows_are_refused(self) -> None:
        with pytest.raises(ValueError, match="3 errors of 2 rows"):
            wilson(3, 2)


class TestEffect:
    @given(p=share, fp=share, fn=share, n=st.integers(1, 9))
    @settings(max_examples=60)
    def test_shares_agree_with_their_closed_forms(
        self, p: float, fp: float, fn: float, n: int
    ) -> None:
        found = effect(p, n, fp, fn)
        missed, passed = p * fn, (1 - p) * fp
        neither = (1 - missed - passed) ** n
        flipped = 1 - (1 - missed) ** n - (1 - passed) ** n + neither
        assert found.touched == pytest.approx(1 - neither, abs=1e-9)
        assert found.flipped == pytest.approx(flipped, abs=1e-9)

    @given(p=share, n=st.integers(1, 12))
    def test_a_verifier_without_errors_changes_nothing(self, p: float, n: int) -> None:
        found = effect(p, n, 0.0, 0.0)
        assert (found.touched, found.flipped, found.error) == (0.0, 0.0, 0.0)
        assert (found.lost, found.invented) == (0.0, 0.0)
        assert found.kept is None or found.kept == pytest.approx(1.0)

    def test_a_verifier_that_is_always_wrong_teaches_the_opposite(self) -> None:
        found = effect(0.5, 8, 1.0, 1.0)
        assert found.kept == pytest.approx(-1.0)
        assert found.error == pytest.approx(2 * found.size)

    def test_a_coin_teaches_nothing(self) -> None:
        assert effect(0.3, 8, 0.5, 0.5).kept == pytest.approx(0.0, abs=1e-12)

    @given(p=st.floats(0.05, 0.95), fp=st.floats(0, 0.4), fn=st.floats(0, 0.4), n=st.integers(2, 8))
    @settings(max_examples=40)
    def test_correct_and_wrong_are_mirror_images(
        self, p: float, fp: float, fn: float, n: int
    ) -> None:
        here, there = effect(p, n, fp, fn), effect(1 - p, n, fn, fp)
        for name in ("touched", "flipped", "error", "size", "kept", "lost", "invented"):
            assert getattr(here, name) == pytest.approx(getattr(there, name), abs=1e-9)

    def test_groups_that_can_have_no_signal_keep_none(self) -> None:
        assert effect(0.0, 8, 0.1, 0.1).kept is None
        assert effect(0.5, 1, 0.1, 0.1).kept is None
        assert effect(1.0, 8, 0.1, 0.1).invented > 0.4

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ((1.5, 8, 0.1, 0.1), "pass_rate is a share"),
            ((0.5, 8, -0.1, 0.1), "false_positive is a share"),
            ((0.5, 8, 0.1, math.nan), "false_negative is a share"),
            ((0.5, 0, 0.1, 0.1), "group_size is at least 1"),
        ],
    )
    def test_what_is_no_rate_is_refused(self, arguments: tuple[Any, ...], told: str) -> None:
        with pytest.raises(UsageError, match=told):
            effect(*arguments)

    @pytest.mark.parametrize(
        ("p", "n", "fp", "fn"), [(0.5, 8, 0.1, 0.1), (0.15, 8, 0.04, 0.2), (0.9, 5, 0.3, 0.02)]
    )
    def test_it_is_what_a_simulation_by_the_trainers_own_advantages_finds(
        self, p: float, n: int, fp: float, fn: float
    ) -> None:
        torch = pytest.importorskip("torch")
        from rewardkit.trainers.advantage import advantages

        groups = 4000
        chance = torch.Generator().manual_seed(0)
        draw = torch.rand(2, groups, n, generator=chance, dtype=torch.float64)
        true = draw[0] < p
        seen = torch.where(true, draw[1] >= fn, draw[1] < fp)
        ids = [g for g in range(groups) for _ in range(n)]
        right = advantages(true.double().flatten().tolist(), ids).reshape(groups, n)
        got = advantages(seen.double().flatten().tolist(), ids).reshape(groups, n)
        found = effect(p, n, fp, fn)

        def agree(exact: float, values: Any) -> None:
            spread = float(values.std()) / math.sqrt(groups)
            assert abs(float(values.mean()) - exact) <= 4.5 * spread + 1e-12

        agree(found.error, (got - right).abs().mean(1))
        agree(found.size, right.abs().mean(1))
        flips = ((true & ~seen).any(1) & (~true & seen).any(1)).double()
        agree(found.flipped, flips)
        agree(found.touched, (true != seen).any(1).double())
        mixed, told = true.any(1) & ~true.all(1), seen.any(1) & ~seen.all(1)
        agree(found.lost, (mixed & ~told).double())
        agree(found.invented, (told & ~mixed).double())
        assert found.kept is not None
        agree(0.0, (got * right).mean(1) - found.kept * (right * right).mean(1))


def rows_of(*rows: tuple[str, str | None, str]) -> Any:
    """Completion, gold and truth; a gold of ``None`` cannot be judged."""
    made = [
        fixture(f"r{n}", completion=text, answer=gold, truth=truth)
        for n, (text, gold, truth) in enumerate(rows)
    ]
    return made_of(made)


class TestMeasuring:
    def test_counts_by_truth(self) -> None:
        rows = [("4", "4", "correct")] * 3 + [("5", "4", "correct")] + [("4", "4", "incorrect")] * 2
        (noise,) = measure(rows_of(*rows), RUBRIC)
        assert (noise.false_negative.errors, noise.false_negative.of) == (1, 4)
        assert (noise.false_positive.errors, noise.false_positive.of) == (2, 2)
        assert noise.false_negative.ids == ("r3",)
        assert noise.false_positive.ids == ("r4", "r5")

    def test_unscorable_rows_are_counted_apart_and_never_as_wrong(self) -> None:
        clean = [("4", "4", "correct"), ("5", "4", "incorrect")]
        lost = [("4", "four-ish", "correct"), ("4", "four-ish", "incorrect")] * 5
        (before,) = measure(rows_of(*clean), RUBRIC)
        (after,) = measure(rows_of(*clean, *lost), RUBRIC)
        assert after.unscorable == {"dataset": 10}
        assert after.false_positive == before.false_positive
        assert after.false_negative == before.false_negative

    def test_a_part_behind_a_closed_gate_was_not_asked(self) -> None:
        rubric = Rubric(
            format=TagFormat("<answer>...</answer>"), answer=NumberVerifier(extract="answer")
        ).gate("answer", on="format")
        rows = made_of([fixture("a", completion="4", answer="4", truth={"answer": "correct"})])
        (noise,) = measure(rows, rubric)
        assert (noise.part, noise.gated, noise.false_negative.of) == ("answer", 1, 0)

    def test_truths_about_several_parts(self) -> None:
        rubric = Rubric(text=ExactText(), number=NumberVerifier(extract="whole"))
        row = fixture(
            "a", completion="4.0", answer="4", truth={"text": "correct", "number": "correct"}
        )
        text_noise, number = measure(made_of([row]), rubric)
        assert (text_noise.part, text_noise.false_negative.errors) == ("text", 1)
        assert (number.part, number.false_negative.errors) == ("number", 0)

    @pytest.mark.parametrize(
        ("truth", "told"),
        [
            ("correct", "a truth about which part"),
            ({"nubmer": "correct"}, "did you mean 'number'"),
            (
                {"plain": "correct"},
                "no part 'plain' gives verdicts; those that do are: text, number",
            ),
        ],
    )
    def test_a_truth_about_no_part_that_judges_is_refused(self, truth: Any, told: str) -> None:
        rubric = Rubric(text=ExactText(), number=NumberVerifier(), plain=lambda completion: 1.0)
        with pytest.raises(DataError, match=told):
            measure(made_of([fixture("a", completion="4", answer="4", truth=truth)]), rubric)

    def test_rows_without_a_truth_are_told(self) -> None:
        rows = made_of([fixture("a", completion="4", answer="4", expect={"total": 1})])
        with pytest.raises(DataError, match="no row of .* says how it really is"):
            measure(rows, RUBRIC)

    def test_a_truth_is_no_expectation(self) -> None:
        row = fixture("a", completion="4", answer="4", truth="incorrect", expect={"total": 1.0})
        from rewardkit.testing import check_rows

        assert check_rows([row], RUBRIC).ok


Write = Callable[..., Path]


class TestShowing:
    ROWS = (
        *[("4", "4", "correct")] * 19, ("5", "4", "correct"),
        *[("5", "4", "incorrect")] * 9, ("4", "4", "incorrect"), ("4", "?", "correct"),
    )  # fmt: skip

    @pytest.fixture
    def labelled(self, tmp_path: Path) -> Path:
        (tmp_path / "rubric.yaml").write_text("parts: {answer: {verifier: number}}")
        rows = [
            {"id": f"r{n}", "completion": c, "answer": a, "truth": t}
            for n, (c, a, t) in enumerate(self.ROWS)
        ]
        path = tmp_path / "labelled.rewards.jsonl"
        lines = [{"rubric": "rubric.yaml"}, *rows]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def test_the_table(self, labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["noise", str(labelled), "--group-size", "4", "--pass-rate", "0.5"]) == 0
        out = capsys.readouterr().out
        assert "false positives  10.0%  (1 of 10 rows that are incorrect; 95% interval 1.8%" in out
        assert "false negatives  5.0%  (1 of 20 rows that are correct" in out
        assert "unscorable       1 (1 by the dataset): not counted above" in out
        exact = effect(0.5, 4, 0.1, 0.05)
        (row,) = [line for line in out.splitlines() if line.split()[:1] == ["50%"]]
        assert f"{100 * exact.flipped:.3g}% (" in row
        assert f"{exact.error:.3g} (" in row

    def test_json(self, labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["noise", str(labelled), "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)
        assert found["false_positive"]["ids"] == ["r29"]
        assert len(found["effects"]) == len(found["effects_at_upper_ends"]) == 5
        assert Effect(**found["effects"][2]) == effect(0.5, 8, 0.1, 0.05)

    def test_the_page_stands_alone_and_draws_both(
        self, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        page = tmp_path / "noise.html"
        assert main(["noise", str(labelled), "--html", str(page)]) == 0
        found = page.read_text()
        assert found.count("<svg") == 6
        assert "at pass rate % 50" in found
        assert "upper ends" in found
        for outside in ("<script", "http:", "https:", "src="):
            assert outside not in found
        assert "default-src 'none'" in found

    def test_rates_that_were_not_measured_are_said_to_be_unknown(self) -> None:
        (noise,) = measure(rows_of(("4", "4", "correct")), RUBRIC)
        made = budget(noise, 8)
        assert made.measured is None
        assert "unknown: no row that is incorrect was judged" in text([made])
        assert data([made])[0]["effects"] is None
        assert "<svg" in html("<b>.jsonl", [made])
        assert "<b>.jsonl" not in html("<b>.jsonl", [made])

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (("--group-size", "0"), "group_size is at least 1"),
            (("--pass-rate", "2"), "pass_rate is a share"),
            (("--part", "nope"), "no part 'nope' gives verdicts"),
        ],
    )
    def test_mistakes_exit_with_2(
        self, labelled: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...],
        told: str,
    ) -> None:  # fmt: skip
        assert main(["noise", str(labelled), *arguments]) == 2
        assert told in capsys.readouterr().err
