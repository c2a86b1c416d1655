"""Promise: the cut into micro-batches loses nothing, keeps to its room, and keeps prompts together."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit.trainers.plan import Room, Rows
from rewardkit.trainers.rollout.batch import Completion

GROUPS = st.lists(
    st.tuples(st.integers(1, 20), st.lists(st.integers(1, 40), min_size=1, max_size=8)),
    min_size=1,
    max_size=6,
)
LAYOUTS: tuple[Rows, ...] = ("shared", "packed", "padded")


def completions(groups: list[tuple[int, list[int]]]) -> list[Completion]:
    return [
        Completion(g, g, k, [g] * prompt, [7] * length, False, "", [])
        for g, (prompt, lengths) in enumerate(groups)
        for k, length in enumerate(lengths)
    ]


def tokens(rows: Rows, part: list[Completion]) -> int:
    """Counted the plain way."""
    if rows == "padded":
        return len(part) * max(len(c.prompt_ids + c.ids) for c in part)
    if rows == "packed":
        return sum(len(c.prompt_ids + c.ids) for c in part)
    prompts = {c.group: len(c.prompt_ids) for c in part}
    return sum(prompts.values()) + sum(len(c.ids) for c in part)


@given(groups=GROUPS, order=st.randoms(), budget=st.integers(1, 150), data=st.data())
def test_a_budget_of_tokens_is_kept_and_nothing_is_lost(
    groups: list[tuple[int, list[int]]], order: random.Random, budget: int, data: st.DataObject
) -> None:
    items = completions(groups)
    order.shuffle(items)
    rows = data.draw(st.sampled_from(LAYOUTS))
    room = Room(rows, completions=3, tokens=budget)
    parts = room.cut(items)
    assert sorted(id(c) for part in parts for c in part) == sorted(map(id, items))
    for part in parts:
        assert room.forwarded(part) == tokens(rows, part)
        assert len(part) == 1 or tokens(rows, part) <= budget
        assert part == sorted(part, key=items.index)
    sizes = [tokens(rows, part) for part in parts]
    assert sizes == sorted(sizes, reverse=True)
    assert parts == room.cut(items)


@given(groups=GROUPS, size=st.integers(1, 10))
def test_without_a_budget_it_is_so_many_completions_at_a_time(
    groups: list[tuple[int, list[int]]], size: int
) -> None:
    items = completions(groups)
    parts = Room("shared", size).cut(items)
    assert sorted(id(c) for part in parts for c in part) == sorted(map(id, items))
    assert all(0 < len(part) <= size for part in parts)
    assert len(parts) == -(-len(items) // size)


def test_completions_of_a_prompt_stay_together_where_there_is_room() -> None:
    items = completions([(10, [5] * 4)] * 4)
    mixed = items[::4] + items[1::4] + items[2::4] + items[3::4]
    for room in (Room("shared", 4), Room("shared", 1, tokens=30), Room("shared", 8)):
        for part in room.cut(mixed):
            groups = [c.group for c in part]
            assert all(groups.count(g) == 4 for g in groups)


def test_a_prompt_is_split_no_more_than_needed_and_into_like_parts() -> None:
    items = completions([(10, [40, 2, 38, 4, 20, 22, 30, 12])])
    parts = Room("shared", 4).cut(items)
    assert [len(part) for part in parts] == [4, 4]
    assert [tokens("shared", part) for part in parts] == [94, 94]
    parts = Room("shared", 1, tokens=70).cut(items)
    assert len(parts) == 3
    assert max(tokens("shared", part) for part in parts) <= 70


@pytest.mark.parametrize("rows", LAYOUTS)
def test_one_that_is_larger_than_the_budget_goes_alone(rows: Rows) -> None:
    items = completions([(10, [500, 5]), (10, [5])])
    parts = Room(rows, 8, tokens=60).cut(items)
    assert [len(part) for part in parts] == [1, 2]
    assert len(parts[0][0].ids) == 500
