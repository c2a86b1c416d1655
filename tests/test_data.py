"""Rows in: every source gives the same rows, and every mistake one clear message."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit._rows import json_line
from rewardkit.data import DataConfig, load_rows
from rewardkit.errors import ConfigError, DataError, MissingColumnError, MissingExtraError

ROWS = [
    {"question": "2 + 2", "solution": "so #### 3 or #### 4", "level": 1},
    {"question": "2 + 3", "solution": "#### 5 ", "level": 2},
    {"question": "2 + 4", "solution": "####6", "level": 3},
]


def write_jsonl(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "rows.jsonl", ROWS)


class TestSources:
    def test_jsonl_passes_over_blank_lines(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_text('{"prompt": "a"}\n\n  \r\n{"prompt": "b"}\r\n')
        assert load_rows(path) == [{"prompt": "a"}, {"prompt": "b"}]

    def test_a_line_separator_inside_a_text_ends_no_row(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_text('{"prompt": "a\u2028b\u0085c"}\n', encoding="utf-8")
        assert load_rows(path) == [{"prompt": "a\u2028b\u0085c"}]

    def test_json_list(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.json"
        path.write_text(json.dumps(ROWS))
        assert load_rows(path) == ROWS

    def test_csv_with_a_byte_order_mark_and_line_breaks_in_a_field(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.csv"
        path.write_bytes('\ufeffprompt,answer\r\n"two\r\nlines",4\r\n'.encode())
        assert load_rows(path) == [{"prompt": "two\r\nlines", "answer": "4"}]

    def test_a_folder_that_datasets_saved(self, tmp_path: Path) -> None:
        datasets = pytest.importorskip("datasets")
        datasets.Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "saved"))
        assert load_rows(tmp_path / "saved") == ROWS

    def test_a_saved_folder_of_splits_takes_the_one_asked_for(self, tmp_path: Path) -> None:
        datasets = pytest.importorskip("datasets")
        splits = {"train": ROWS[:2], "test": ROWS[2:]}
        made = {name: datasets.Dataset.from_list(rows) for name, rows in splits.items()}
        datasets.DatasetDict(made).save_to_disk(str(tmp_path / "saved"))
        path = str(tmp_path / "saved")
        assert load_rows(path) == ROWS[:2]
        assert load_rows(DataConfig(path=path, split="test")) == ROWS[2:]
        with pytest.raises(DataError, match="no split 'dev'; set split to one of: train, test"):
            load_rows(DataConfig(path=path, split="dev"))

    def test_a_folder_of_data_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        datasets = pytest.importorskip("datasets")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        (tmp_path / "data").mkdir()
        write_jsonl(tmp_path / "data" / "train.jsonl", ROWS)
        assert load_rows(tmp_path / "data") == ROWS
        assert (tmp_path / "cache").is_dir(), "the user's cache was written to"

    def test_parquet(self, tmp_path: Path) -> None:
        datasets = pytest.importorskip("datasets")
        path = tmp_path / "rows.parquet"
        datasets.Dataset.from_list(ROWS).to_parquet(str(path))
        assert load_rows(path) == ROWS

    def test_the_hub_is_asked_for_name_configuration_and_split(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        datasets = pytest.importorskip("datasets")
        asked: list[Any] = []

        def load_dataset(*args: Any, **options: Any) -> Any:
            asked.append((args, options))
            return datasets.Dataset.from_list(ROWS)

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        config = DataConfig(path="openai/gsm8k", name="main", split="train", limit=1)
        assert load_rows(config) == ROWS[:1]
        assert asked == [(("openai/gsm8k", "main"), {"split": "train"})]

    def test_a_hub_that_fails_is_told_with_what_was_tried(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        datasets = pytest.importorskip("datasets")

        def load_dataset(*args: Any, **options: Any) -> Any:
            raise ConnectionError("no route to host")

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        with pytest.raises(DataError) as caught:
            load_rows(DataConfig(path="nobody/nothing", split="train"))
        for told in ("'nobody/nothing'", "no file or folder", "split='train'", "no route to host"):
            assert told in str(caught.value)

    def test_without_datasets_the_message_is_the_command_that_mends_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "datasets", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'rewardkit\[train\]'"):
            load_rows("nobody/nothing")

    def test_a_relative_path_starts_at_the_folder_given(self, jsonl: Path) -> None:
        assert load_rows("rows.jsonl", folder=jsonl.parent) == ROWS


class TestBadSources:
    @pytest.mark.parametrize(
        "path", ["gone.jsonl", "gone.json", "gone.csv", "gone.parquet", "./gone", "/gone/for/good"]
    )
    def test_a_path_that_is_not_there(self, tmp_path: Path, path: str) -> None:
        with pytest.raises(DataError, match="there is no file"):
            load_rows(path, folder=tmp_path)

    def test_a_file_of_an_unknown_kind(self, tmp_path: Path) -> None:
        (tmp_path / "rows.xlsx").write_bytes(b"PK")
        with pytest.raises(DataError, match=r"data files end in \.jsonl"):
            load_rows(tmp_path / "rows.xlsx")

    @pytest.mark.parametrize(("name", "text"), [("a.jsonl", "\n"), ("a.json", "[]"), ("a.csv", "")])
    def test_empty(self, tmp_path: Path, name: str, text: str) -> None:
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match="is empty"):
            load_rows(tmp_path / name)

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ('{"a": 1}\n{"a": \n', r":2: not valid JSON"),
            ('{"a": 1}\n\n[1, 2]\n', r":3: a row must be an object .* got list"),
            ('{"a": 1, "a": 2}\n', r":1: .*'a' is given twice"),
            ("[" * 100_000, r":1: .*(nested too deeply|not valid JSON)"),
        ],
    )
    def test_a_bad_line_is_named_by_its_number(self, tmp_path: Path, text: str, told: str) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_text(text)
        with pytest.raises(DataError, match=told):
            load_rows(path)

    def test_json_that_is_no_list(self, tmp_path: Path) -> None:
        (tmp_path / "rows.json").write_text('{"a": 1}')
        with pytest.raises(DataError, match="must hold a JSON list"):
            load_rows(tmp_path / "rows.json")

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("a,b\n1,2\n3\n", r":3: the row does not have the 2 fields"),
            ("a,b\n1,2,3\n", r":2: the row does not have the 2 fields"),
            ("a,a\n1,2\n", "names 'a' twice"),
            ('a\n"open\n', "not valid CSV"),
        ],
    )
    def test_bad_csv(self, tmp_path: Path, text: str, told: str) -> None:
        (tmp_path / "rows.csv").write_text(text)
        with pytest.raises(DataError, match=told):
            load_rows(tmp_path / "rows.csv")

    def test_bytes_that_are_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "rows.jsonl").write_bytes(b'{"a": "\xff\xfe"}')
        with pytest.raises(DataError, match="cannot read"):
            load_rows(tmp_path / "rows.jsonl")

    def test_a_folder_of_nothing_readable(self, tmp_path: Path) -> None:
        pytest.importorskip("datasets")
        (tmp_path / "dataset_dict.json").write_text("{")
        with pytest.raises(DataError, match="cannot read the folder"):
            load_rows(tmp_path)


class TestColumns:
    def test_mapped_columns_are_renamed_and_the_others_kept(self, jsonl: Path) -> None:
        config = DataConfig(path=str(jsonl), columns={"prompt": "question", "answer": "solution"})
        first = {"prompt": "2 + 2", "answer": "so #### 3 or #### 4", "level": 1}
        assert load_rows(config)[0] == first

    def test_one_column_may_serve_twice(self, jsonl: Path) -> None:
        config = DataConfig(path=str(jsonl), columns={"prompt": "question", "question": "question"})
        row = load_rows(config)[0]
        assert row["prompt"] == row["question"] == "2 + 2"

    def test_a_mapped_column_that_is_missing_lists_those_there_are(self, jsonl: Path) -> None:
        config = DataConfig(path=str(jsonl), columns={"prompt": "quest"})
        with pytest.raises(MissingColumnError, match="level, question, solution") as caught:
            load_rows(config)
        assert caught.value.column == "quest"
        assert "rows.jsonl:1" in str(caught.value)

    def test_a_required_column_that_is_missing_or_null(self, tmp_path: Path) -> None:
        path = write_jsonl(tmp_path / "rows.jsonl", [{"a": 1, "b": 1}, {"a": 1, "b": None}])
        assert load_rows(path, require=("a",))
        with pytest.raises(MissingColumnError, match=r"rows\.jsonl:2 needs the column 'b'"):
            load_rows(path, require=("b",))

    def test_the_gold_is_what_follows_the_last_marker(self, jsonl: Path) -> None:
        config = DataConfig(path=str(jsonl), columns={"answer": "solution"}, answer_after="####")
        assert [row["answer"] for row in load_rows(config)] == ["4", "5", "6"]

    @pytest.mark.parametrize("answer", ["no marker", 4, None])
    def test_a_gold_without_the_marker_is_an_error(self, tmp_path: Path, answer: Any) -> None:
        path = write_jsonl(tmp_path / "rows.jsonl", [{"answer": "#### 4"}, {"answer": answer}])
        with pytest.raises(DataError, match=r"rows\.jsonl:2: answer_after expects '####'"):
            load_rows(DataConfig(path=str(path), answer_after="####"))


class TestPrompts:
    def test_a_template_is_filled_from_columns(self, jsonl: Path) -> None:
        template = "{{level}} {level}: {prompt}"
        config = DataConfig(
            path=str(jsonl), columns={"prompt": "question"}, prompt_template=template
        )
        assert load_rows(config)[0]["prompt"] == "{level} 1: 2 + 2"

    def test_braces_in_a_column_are_text(self, tmp_path: Path) -> None:
        path = write_jsonl(tmp_path / "rows.jsonl", [{"q": "{q.__class__} {}"}])
        rows = load_rows(DataConfig(path=str(path), prompt_template="Q: {q}"))
        assert rows[0]["prompt"] == "Q: {q.__class__} {}"

    @pytest.mark.parametrize(
        "template",
        ["{a.__class__}", "{a[0]}", "{a!r}", "{a:>999999999}", "{}", "{a", "a}", "{a:{b}}"],
    )
    def test_a_template_of_more_than_names_is_refused(self, template: str) -> None:
        with pytest.raises(ConfigError, match="braces"):
            DataConfig(path="rows.jsonl", prompt_template=template)

    def test_a_template_of_a_column_that_is_not_there(self, jsonl: Path) -> None:
        with pytest.raises(MissingColumnError, match="prompt_template needs the column 'x'"):
            load_rows(DataConfig(path=str(jsonl), prompt_template="{x}"))

    def test_a_system_prompt_makes_a_chat(self, jsonl: Path) -> None:
        config = DataConfig(
            path=str(jsonl), columns={"prompt": "question"}, system_prompt="Be brief."
        )
        assert load_rows(config)[0]["prompt"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "2 + 2"},
        ]

    def test_a_chat_goes_through_as_it_is_and_takes_a_system_prompt(self, tmp_path: Path) -> None:
        chat = [{"role": "user", "content": "2 + 2"}]
        path = write_jsonl(tmp_path / "rows.jsonl", [{"prompt": chat}])
        assert load_rows(path)[0]["prompt"] == chat
        rows = load_rows(DataConfig(path=str(path), system_prompt="s"))
        assert rows[0]["prompt"] == [{"role": "system", "content": "s"}, *chat]

    def test_a_second_system_message_is_refused(self, tmp_path: Path) -> None:
        chat = [{"role": "system", "content": "own"}, {"role": "user", "content": "2 + 2"}]
        path = write_jsonl(tmp_path / "rows.jsonl", [{"prompt": chat}])
        with pytest.raises(DataError, match="has a system message already"):
            load_rows(DataConfig(path=str(path), system_prompt="s"))

    def test_a_template_cannot_fill_in_a_chat(self, tmp_path: Path) -> None:
        chat = [{"role": "user", "content": "2 + 2"}]
        path = write_jsonl(tmp_path / "rows.jsonl", [{"prompt": chat}])
        with pytest.raises(DataError, match="'prompt' is a list"):
            load_rows(DataConfig(path=str(path), prompt_template="{prompt}"))

    @pytest.mark.parametrize(
        "prompt", [4, [], ["text"], [{"content": "no role"}], {"role": "user"}]
    )
    def test_what_is_no_prompt(self, tmp_path: Path, prompt: Any) -> None:
        path = write_jsonl(tmp_path / "rows.jsonl", [{"prompt": "good"}, {"prompt": prompt}])
        with pytest.raises(DataError, match=r"rows\.jsonl:2: a prompt is text or a list"):
            load_rows(path)

    def test_a_system_prompt_needs_a_prompt(self, jsonl: Path) -> None:
        with pytest.raises(MissingColumnError, match="system_prompt needs the column 'prompt'"):
            load_rows(DataConfig(path=str(jsonl), system_prompt="s"))


class TestOrder:
    def test_the_limit_is_taken_after_shuffling(self, tmp_path: Path) -> None:
        path = write_jsonl(tmp_path / "rows.jsonl", [{"n": n} for n in range(50)])
        every = load_rows(DataConfig(path=str(path), shuffle_seed=3))
        some = load_rows(DataConfig(path=str(path), shuffle_seed=3, limit=5))
        assert sorted(row["n"] for row in every) == list(range(50))
        assert some == every[:5] != [{"n": n} for n in range(5)]
        assert every != load_rows(DataConfig(path=str(path), shuffle_seed=4))

    def test_all_sources_shuffle_alike(self, tmp_path: Path, jsonl: Path) -> None:
        datasets = pytest.importorskip("datasets")
        datasets.Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "saved"))
        a, b = (
            load_rows(DataConfig(path=str(path), shuffle_seed=1))
            for path in (jsonl, tmp_path / "saved")
        )
        assert a == b


class TestConfig:
    def test_unknown_keys_are_refused_with_those_there_are(self) -> None:
        with pytest.raises(
            ConfigError, match=r"DataConfig: pth: Extra inputs.*\n.*keys there are: path"
        ):
            DataConfig(path="a.jsonl", pth="b")  # type: ignore[call-arg]

    @pytest.mark.parametrize("values", [{}, {"path": ""}, {"path": "a", "limit": 0}])
    def test_values_that_mean_nothing_are_refused(self, values: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            DataConfig(**values)

    def test_frozen(self) -> None:
        with pytest.raises(ValueError, match="frozen"):
            setattr(DataConfig(path="a"), "path", "b")  # noqa: B010


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(rows=st.lists(st.dictionaries(st.text(), JSON, min_size=1), min_size=1, max_size=4))
def test_what_is_written_as_lines_is_read_back(
    rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [{k: v for k, v in row.items() if k != "prompt"} for row in rows]
    path = tmp_path_factory.mktemp("law") / "rows.jsonl"
    path.write_text("".join(json_line(row) + "\n" for row in rows), encoding="ascii")
    assert load_rows(path) == rows
