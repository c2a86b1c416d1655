"""The terminal summary: the figures, and nothing that moves the cursor."""

from __future__ import annotations

from pathlib import Path

from rewardkit.report import load_run, summary


def row(text: str, label: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(label))
    return line.removeprefix(label).split()


def test_what_the_run_was(run_folder: Path) -> None:
    text = summary(load_run(run_folder))
    assert row(text, "model ") == ["models/tiny"]
    assert row(text, "data ") == ["100", "rows", "to", "learn", "from,", "20", "held", "out"]
    assert row(text, "steps ") == ["3"]
    assert row(text, "status ") == ["finished"]


def test_first_best_and_last_of_the_reward_and_every_part(run_folder: Path) -> None:
    text = summary(load_run(run_folder))
    assert row(text, "training ") == ["first", "best", "last"]
    assert row(text, "reward ") == ["+0.5", "+2.5", "+2"]
    assert row(text, "right ") == ["+0.5", "+2.5", "+2"]
    assert row(text, "right, correct ") == ["16.7%", "83.3%", "66.7%"]
    assert row(text, "brevity ") == ["-0.1", "-0.1", "-0.1"]


def test_held_out_before_and_after_greedy_and_sampled(run_folder: Path) -> None:
    text = summary(load_run(run_folder))
    assert row(text, "held out ") == ["step", "0", "step", "3"]
    assert row(text, "right, correct (greedy) ") == ["10.0%", "90.0%"]
    assert row(text, "right, correct (sampled) ") == ["5.0%", "45.0%"]
    assert row(text, "reward (greedy) ") == ["+0.3", "+2.7"]


def test_a_run_without_a_second_evaluation_says_so(run_folder: Path) -> None:
    metrics = run_folder / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:-1]))
    assert "not evaluated" in summary(load_run(run_folder))


def test_what_could_not_be_judged_is_counted(run_folder: Path) -> None:
    text = summary(load_run(run_folder))
    assert "unscorable  8.3% of completions, 25.0% at worst" in text
    assert "2 × fault of: dataset" in text


def test_examples_are_explained(run_folder: Path) -> None:
    text = summary(load_run(run_folder))
    assert "best, of step 3" in text
    assert "├─ right" in text
    assert "fault: dataset" in text


def test_no_text_of_a_model_can_move_the_cursor_or_forge_lines(run_folder: Path) -> None:
    text = summary(load_run(run_folder))
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "\\x1b[2J" in text
    text.encode("utf-8")


def test_the_command_prints_it_and_writes_the_page(run_folder: Path) -> None:
    from rewardkit.cli import main

    assert main(["report", str(run_folder)]) == 0
    assert (run_folder / "report.html").is_file()
    assert main(["report", str(run_folder), "--html", str(run_folder / "page.html")]) == 0
    assert (run_folder / "page.html").is_file()
    assert main(["report", str(run_folder), "--html", str(run_folder)]) == 2
    assert main(["report", str(run_folder / "gone")]) == 2
