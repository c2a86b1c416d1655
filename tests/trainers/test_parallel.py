"""Promise: several processes train as one would: the same completions, weights, metrics and records."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from forked_runs import (
    CONFIG,
    KINDS,
    assert_close,
    assert_near,
    assert_the_same_run,
    digits_or_nothing,
    in_processes,
    lines,
    run_out_of_memory,
    trained,
    trainer,
    values,
    weights,
    whole,
)
from hypothesis import given
from hypothesis import strategies as st

from rewardkit import ConfigError, Rubric
from rewardkit.trainers import GRPOConfig, Policy, parallel
from rewardkit.trainers.rollout.decode import can_decode
from rewardkit.verifiers import NumberVerifier, TagFormat


@pytest.mark.parametrize(
    "kind", [k if "loss" not in k else pytest.param(k, marks=pytest.mark.slow) for k in KINDS]
)
def test_two_processes_train_as_one(tiny_model: Path, tmp_path: Path, kind: str) -> None:
    one = trainer(tiny_model, tmp_path / "one", kind, config=whole(kind))
    before = weights(one)
    alone = trained(one)
    mine, other = values(
        in_processes(2, lambda: trained(trainer(tiny_model, tmp_path / "two", kind)))
    )
    assert all(torch.equal(a, b) for a, b in zip(mine, other, strict=True))
    assert_near(mine, alone)
    assert max(float((a - b).abs().max()) for a, b in zip(mine, before, strict=True)) > 1e-3
    assert_the_same_run(tmp_path / "two", tmp_path / "one")
    manifest = json.loads((tmp_path / "two" / "manifest.json").read_text())
    assert (manifest["status"], manifest["processes"]) == ("finished", 2)


@pytest.mark.slow
def test_three_processes_and_a_batch_cut_otherwise_come_to_the_same(
    tiny_model: Path, tmp_path: Path
) -> None:
    cut = {"per_device_train_batch_size": 12, "gradient_accumulation_steps": 1}
    alone = trained(trainer(tiny_model, tmp_path / "one", config=cut))
    small = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1}
    for found in values(
        in_processes(3, lambda: trained(trainer(tiny_model, tmp_path / "three", config=small)))
    ):
        assert_near(found, alone)
    assert_the_same_run(tmp_path / "three", tmp_path / "one")


def test_a_group_may_be_larger_than_the_batch_of_a_process(
    tiny_model: Path, tmp_path: Path
) -> None:
    small = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 1}
    with pytest.raises(ConfigError, match="= 2 completions, which must be a multiple"):
        GRPOConfig(**{**CONFIG, **small})
    one = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1}
    alone = trained(trainer(tiny_model, tmp_path / "one", config=one))
    for found in values(
        in_processes(2, lambda: trained(trainer(tiny_model, tmp_path / "two", config=small)))
    ):
        assert_near(found, alone)
    assert_the_same_run(tmp_path / "two", tmp_path / "one")


def test_memory_that_one_process_lacks_changes_no_result_and_all_keep_to_its_budget(
    tiny_model: Path, tmp_path: Path
) -> None:
    kind, budget = "a reference, adapters, two passes", "max_tokens_per_microbatch"

    def short() -> Any:
        run = trainer(tiny_model, tmp_path / "two", kind)
        told = run_out_of_memory(run, learning=True)
        return trained(run), run.progress.carried, [t for t in told if "out of memory" in t]

    def resumed() -> Any:
        again = trainer(tiny_model, tmp_path / "two", kind, resume=True, checkpoint=1)
        return again.progress.carried[budget], trained(again)

    alone = trained(trainer(tiny_model, tmp_path / "one", kind, config=whole(kind)))
    (mine, carried, told), (other, same, told_there) = values(in_processes(2, short))
    assert all(torch.equal(a, b) for a, b in zip(mine, other, strict=True))
    assert_near(mine, alone)
    assert carried == same
    assert carried[budget] <= 20
    assert (told, len(told_there)) == ([], 1)
    logged = [row.pop(budget, None) for row in lines(tmp_path / "two") if row["kind"] == "train"]
    assert logged == [carried[budget]] * 3
    assert_close(
        [{k: v for k, v in row.items() if k != budget} for row in lines(tmp_path / "two")],
        lines(tmp_path / "one"),
    )
    for kept, found in values(in_processes(2, resumed)):
        assert kept == carried[budget]
        assert all(torch.equal(a, b) for a, b in zip(found, mine, strict=True))


def test_a_budget_found_while_noting_log_probabilities_is_that_of_all_at_once(
    tiny_model: Path, tmp_path: Path
) -> None:
    """Not only after the step that follows, which may have nothing to learn from."""

    def run() -> dict[str, float]:
        mine = trainer(tiny_model, tmp_path / "run", "a reference, adapters, two passes")
        run_out_of_memory(mine, learning=False)
        mine._roll_out()
        return mine.progress.carried

    first, second = values(in_processes(2, run))
    assert first == second
    assert first["max_tokens_per_microbatch"] <= 20


def test_processes_of_which_one_packs_its_rows_come_to_the_same(
    tiny_model: Path, tmp_path: Path
) -> None:
    """Whether rows are packed each finds out for itself, and no other waits for it to."""

    def run() -> list[torch.Tensor]:
        mine = trainer(tiny_model, tmp_path / "two", config={"max_steps": 1})
        mine.policy.packs = None if parallel.rank() else False
        return trained(mine)

    alone = trained(trainer(tiny_model, tmp_path / "one", config=whole("plain") | {"max_steps": 1}))
    mine, other = values(in_processes(2, run))
    assert all(torch.equal(a, b) for a, b in zip(mine, other, strict=True))
    assert_near(mine, alone)
    assert_the_same_run(tmp_path / "two", tmp_path / "one")


def test_a_process_with_nothing_to_learn_from_steps_as_the_others_do(
    tiny_model: Path, tmp_path: Path
) -> None:
    """Where no reward differs one completion is left, so that the weights still decay."""
    config = {"weight_decay": 0.5, "max_steps": 1}

    def level(completion: str) -> float:
        return 1.0

    one = trainer(tiny_model, tmp_path / "one", config=whole("plain") | config, reward=level)
    before, alone = weights(one), trained(one)
    for found in values(
        in_processes(
            2,
            lambda: trained(trainer(tiny_model, tmp_path / "two", config=config, reward=level)),
        )
    ):
        assert all(torch.equal(a, b) for a, b in zip(found, alone, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(before, alone, strict=True))
    assert_the_same_run(tmp_path / "two", tmp_path / "one")


def test_a_model_that_is_not_packed_is_told_of_by_process_0_alone(
    tiny_model: Path, tmp_path: Path
) -> None:
    def run() -> list[str]:
        mine = trainer(tiny_model, tmp_path / "run", config={"max_steps": 1})
        told = run_out_of_memory(mine, learning=True)
        for model in mine.policy.bodies():
            model.set_attn_implementation("eager")
        mine.train()
        return [text for text in told if "padded rows" in text]

    first, second = values(in_processes(2, run))
    assert (len(first), second) == (1, [])


def test_what_cannot_be_judged_in_one_process_is_left_out_in_all(
    tiny_model: Path, tmp_path: Path
) -> None:
    one = trainer(tiny_model, tmp_path / "one", config=whole("plain"), reward=digits_or_nothing)
    alone = trained(one)
    for found in values(
        in_processes(
            2,
            lambda: trained(trainer(tiny_model, tmp_path / "two", reward=digits_or_nothing)),
        )
    ):
        assert_near(found, alone)
    assert_the_same_run(tmp_path / "two", tmp_path / "one")
    assert any(row.get("unscorable/frac") for row in lines(tmp_path / "two"))


@given(st.lists(st.integers()), st.integers(1, 9))
def test_shares_are_parts_of_the_whole_in_order_and_of_like_size(items: list[int], n: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "processes", lambda: n)
        shares = []
        for number in range(n):
            patch.setattr(parallel, "rank", lambda number=number: number)
            shares.append(parallel.share(items))
    assert [item for one in shares for item in one] == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_sends_nothing_and_copies_nothing() -> None:
    config, found = GRPOConfig(), object()
    assert parallel.whole(config) is config
    assert parallel.gather(lambda: found) == [found]
    assert parallel.lead(lambda: found) is parallel.agree(lambda: found) is found
    parallel.check_same(lambda: pytest.fail("nobody to compare with"))
    assert (parallel.rank(), parallel.processes()) == (0, 1)


def test_what_all_processes_find_alike_is_told_by_process_0_alone(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the rubric, of how the model is loaded, of its blocks and of its cache."""

    def run() -> list[str]:
        told: list[str] = []
        monkeypatch.setattr(warnings, "showwarning", lambda text, *_, **__: told.append(str(text)))
        warnings.simplefilter("always")
        rubric = Rubric(
            form=TagFormat("<answer>...</answer>").reward(3.0),
            answer=NumberVerifier(extract="answer").reward(1.0),
        )
        assert rubric.linted
        policy = Policy.load(str(tiny_model), dtype="bfloat16")
        monkeypatch.setattr("rewardkit.trainers.memory.install._is_block", lambda _: False)
        policy.save_memory(GRPOConfig(mlp_tile=8))
        monkeypatch.setattr("rewardkit.trainers.rollout.decode._difference", lambda _: 1.0)
        assert not can_decode(policy)
        return told

    first, second = values(in_processes(2, run))
    assert second == []
    assert len(first) == 4
    for text, what in zip(
        first, ("form-outweighs-answer", "hardly move", "mlp_tile has no effect", "with a cache"),
        strict=True,
    ):  # fmt: skip
        assert what in text
