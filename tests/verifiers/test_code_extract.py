"""Which part of a completion is its code, by named policies."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit.verifiers.code.extract import CodeExtract, extract_code
from rewardkit.verifiers.extraction import Between, Pattern

PYTHON = "```python\nx = 1\n```"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (PYTHON, "x = 1"),
        ("Sure:\n\n" + PYTHON + "\n\nDone.", "x = 1"),
        ("```py\nx = 1\n```", "x = 1"),
        ("```Python3\nx = 1\n```", "x = 1"),
        ('```python title="a.py"\nx = 1\n```', "x = 1"),
        ("```{python}\nx = 1\n```", "x = 1"),
        ("```\nx = 1\n```", "x = 1"),
        ("~~~python\nx = 1\n~~~", "x = 1"),
        ("````python\nx = '''\n```\n'''\n````", "x = '''\n```\n'''"),
        ("x = 1", "x = 1"),
        ("```python\na\n```\nor\n```python\nb\n```", "b"),
        ("```python\nx = 1\n```\nIt prints\n```\n1\n```", "x = 1"),
        ("```python\nx = 1\n```\n```bash\npython x.py\n```", "x = 1"),
        ("```python\nx = 1", "x = 1"),  # the fence is left open
        ("```python\na\n```python\nb\n```", "b"),
        ("Answer: ```python\nx = 1\n```", "x = 1"),
        ("<answer>```python\nx = 1\n```</answer>", "x = 1"),
        ("- so:\n  ```python\n  def f():\n      return 1\n  ```", "def f():\n    return 1"),
        ("<think>\n```python\nno\n```\n</think>\n```python\nyes\n```", "yes"),
        ("<think>```python\nno\n```</think>x = 1", "x = 1"),
        ("```python\ndef f():\n    '''\n    ```\n    x\n    ```\n    '''\n```",
         "def f():\n    '''\n    ```\n    x\n    ```\n    '''"),
        ("```python\nx = 1 # ```python\ny = 2\n```", "x = 1 # ```python\ny = 2"),
    ],
)  # fmt: skip
def test_auto_takes_the_last_python_block(text: str, code: str) -> None:
    found = extract_code(text)
    assert found.text == code
    assert found.span is not None
    start, stop = found.span
    assert text[start:stop].split() == code.split()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("  \n ", "empty"),
        ("```python\n```", "the block is empty"),
        ("```python", "the block is empty"),
        ("```python\nx\n```\n```python\n \n```", "the block is empty"),
        ("```bash\nls\n```", "no fenced block of Python"),
        ("<think>```python\nx = 1\n```", "never closed"),
    ],
)
def test_where_there_is_no_code_it_says_why(text: str, reason: str) -> None:
    found = extract_code(text)
    assert found.text is None
    assert reason in found.reason


def test_what_else_was_there_is_listed_as_refused() -> None:
    found = extract_code("```python\na\n```\n```bash\nls\n```\n```python\nb\n```")
    assert [refused.text for refused in found.refused] == ["ls", "a"]
    assert extract_code("```bash\nls\n```").refused[0].text == "ls"


@pytest.mark.parametrize(
    ("how", "text", "code"),
    [
        ("python", "```python\na\n```\n```\nb\n```", "a"),
        ("python", "```\nb\n```", None),
        ("python", "a", None),
        ("fence", "```python\na\n```\n```js\nb\n```", "b"),
        ("fence", "a", None),
        ("first", "```python\na\n```\n```python\nb\n```", "a"),
        ("first", "```\nls\n```\n```python\na\n```\n```python\nb\n```", "a"),
        ("first", "```\na\n```\n```\nb\n```", "a"),
        ("first", "<think>```python\nno\n```</think>```python\na\n```", "a"),
        ("first", "a", "a"),
        ("only", "```python\na\n```\nIt prints\n```\n1\n```", "a"),
        ("only", "```python\na\n```\n```python\nb\n```", None),
        ("only", "```\na\n```\n```\nb\n```", None),
        ("only", "```\na\n```\n```bash\nls\n```", "a"),
        ("only", "```bash\nls\n```", None),
        ("only", "a", "a"),
        ("whole", "<think>x</think>\na = 1\n", "a = 1"),
        ("whole", PYTHON, PYTHON),
        ("answer", "<answer>a = 1</answer> then " + PYTHON, "a = 1"),
        ("answer", f"<answer>\n{PYTHON}\n</answer>", "x = 1"),
        ("answer", PYTHON, None),
        (Between("[PYTHON]", "[/PYTHON]"), "[PYTHON]\na = 1\n[/PYTHON]", "a = 1"),
        (Between("[PYTHON]", "[/PYTHON]"), "[PYTHON]\na = 1\n", None),
        (Pattern(r"code:(.*)"), "code: a = 1", "a = 1"),
    ],
)
def test_policies(how: CodeExtract, text: str, code: str | None) -> None:
    assert extract_code(text, how).text == code


def test_the_evidence_says_where_the_code_was_and_by_what_rule() -> None:
    text = "Sure:\n" + PYTHON
    found = extract_code(text)
    assert found.span == (text.index("x = 1"), text.index("x = 1") + 5)
    assert found.rule == "last Python block"
    assert extract_code("```python\nx = 1").rule == "last Python block, left open"
    assert extract_code("x = 1").rule == "whole text, without a fence"
    assert extract_code(text, "first").rule == "first Python block"
    several = extract_code(f"{PYTHON}\n{PYTHON}", "only")
    assert several.reason == "no code: there are 2 blocks that it could be"
    assert [refused.text for refused in several.refused] == ["x = 1", "x = 1"]


MILLION = 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        "```" + " " * MILLION + "`",
        "`" * MILLION + "x",
        " " * MILLION + "x",
        "``` " * (MILLION // 4) + "x",
        "```python\n" * (MILLION // 10),
        "```\n" * (MILLION // 4),
        "~" * MILLION + "`",
        "x```python  " * (MILLION // 12) + "x",
        "```" + "{" * MILLION,
        "```python\n```" + " " * MILLION + "x",
        " " * MILLION + "```python\n" + " x\n" * 1000,
        "\n" * MILLION + "```",
    ],
    ids=range(12),
)
def test_a_hostile_megabyte_is_searched_in_little_time(text: str) -> None:
    start = time.perf_counter()
    extract_code(text)
    assert time.perf_counter() - start < 15


@given(
    st.lists(st.sampled_from(["```", "```python", "~~~", "x", "  ", "\n", "<", "`", "</answer>"]))
)
def test_the_span_always_lies_in_the_text(parts: list[str]) -> None:
    text = "".join(parts)
    found = extract_code(text)
    spans = [found.span] + [refused.span for refused in found.refused]
    for start, stop in filter(None, spans):
        assert 0 <= start <= stop <= len(text)
    assert (found.text is None) == (found.span is None)
    assert found.text is None or found.text.strip()
