"""Promise: rewards become advantages as the papers say, and what is unscorable touches none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rewardkit import ConfigError, FunctionReward, Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer, Policy
from rewardkit.trainers.advantage import advantages, decoupled_advantages, soft_overlong
from rewardkit.trainers.credit import assign_advantages, credit
from rewardkit.trainers.rollout.batch import Completion

finite = st.floats(-1e3, 1e3, allow_nan=False)
groups_of_rewards = st.lists(st.lists(finite, min_size=1, max_size=6), min_size=1, max_size=4)


def flatten(groups: Sequence[Sequence[float]]) -> tuple[list[float | None], list[int]]:
    totals: list[float | None] = [r for g in groups for r in g]
    return totals, [i for i, g in enumerate(groups) for _ in g]


@given(groups_of_rewards)
def test_rloo_compares_each_reward_with_the_mean_of_the_others(groups: list[list[float]]) -> None:
    totals, ids = flatten(groups)
    got = advantages(totals, ids, "none", "rloo").tolist()
    want = []
    for rewards in groups:
        for k, r in enumerate(rewards):
            others = rewards[:k] + rewards[k + 1 :]
            want.append(r - math.fsum(others) / len(others) if others else 0.0)
    assert got == pytest.approx(want, rel=1e-9, abs=1e-9)


@given(groups_of_rewards, st.data())
def test_an_unscorable_completion_changes_no_leave_one_out_advantage_by_one_bit(
    groups: list[list[float]], data: st.DataObject
) -> None:
    totals, ids = flatten(groups)
    before = advantages(totals, ids, "none", "rloo")
    place, group = data.draw(st.integers(0, len(totals))), data.draw(st.integers(0, len(groups)))
    after = advantages(
        [*totals[:place], None, *totals[place:]],
        [*ids[:place], group, *ids[place:]],
        "none",
        "rloo",
    )
    assert math.isnan(after[place])
    assert torch.equal(torch.cat([after[:place], after[place + 1 :]]), before)


Parts = dict[str, tuple[float, float]]
scores = st.fixed_dictionaries({"a": finite, "b": finite}).map(
    lambda v: {"a": (1.0, v["a"]), "b": (0.5, v["b"])}
)


@given(st.lists(scores, min_size=1, max_size=12), st.data())
def test_an_unscorable_completion_changes_no_decoupled_advantage_by_one_bit(
    values: list[Parts], data: st.DataObject
) -> None:
    ids = [i // 4 for i in range(len(values))]
    before = decoupled_advantages(values, ids)
    place, group = data.draw(st.integers(0, len(values))), data.draw(st.integers(0, 3))
    after = decoupled_advantages(
        [*values[:place], None, *values[place:]], [*ids[:place], group, *ids[place:]]
    )
    assert math.isnan(after[place])
    assert torch.equal(torch.cat([after[:place], after[place + 1 :]]), before)


def test_parts_that_are_normalised_apart_each_have_a_say() -> None:
    """GDPO's point: summed first, a part of small spread drowns in one of large."""
    large, small = [0.0, 100.0, 0.0, 100.0], [0.0, 0.0, 1.0, 1.0]
    values = [{"l": (1.0, a), "s": (1.0, b)} for a, b in zip(large, small, strict=True)]
    apart = decoupled_advantages(values, [0] * 4)
    assert apart[1:3].tolist() == pytest.approx([0.0, 0.0], abs=1e-3)
    together = advantages([a + b for a, b in zip(large, small, strict=True)], [0] * 4)
    assert together[1] > 0.8 > 0 > together[2]


def test_equal_parts_give_exactly_no_advantage() -> None:
    values = [{"a": (1.0, 0.1), "b": (2.0, 1 / 3)}] * 7
    assert decoupled_advantages(values, [0] * 7).tolist() == [0.0] * 7


@pytest.mark.parametrize(
    ("length", "want"), [(0, 0.0), (12, 0.0), (13, -0.25), (15, -0.75), (16, -1.0), (30, -1.0)]
)
def test_the_soft_overlong_punishment_is_that_of_dapo(length: int, want: float) -> None:
    assert soft_overlong(length, longest=16, cache=4) == want
    trl = pytest.importorskip("trl.rewards")
    theirs = trl.get_soft_overlong_punishment(max_completion_len=16, soft_punish_cache=4)
    assert theirs(completion_ids=[[1] * length]) == [want]


def item(k: int, total: float | None, length: int = 4) -> Completion:
    made = Completion(0, 0, k, [1, 2], list(range(length)), False, "", [])
    made.total = total
    return made


def test_the_punishment_is_taken_from_the_reward_before_it_is_compared() -> None:
    config = GRPOConfig(
        max_completion_length=16, soft_punish_cache=4, soft_punish_penalty=2.0, scale_rewards="none"
    )
    items = [item(0, 1.0, 8), item(1, 1.0, 14), item(2, None, 16), item(3, 1.0, 16)]
    assign_advantages(items, config)
    assert [c.advantage for c in items if c.total is not None] == pytest.approx([1.0, 0.0, -1.0])
    assert math.isnan(items[2].advantage)
    assert items[3].total == 1.0  # what is logged is what the rubric gave


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_a_kl_in_the_reward_is_the_sum_over_the_completions_tokens(estimator: Any) -> None:
    config = GRPOConfig(
        beta=0.5, kl_placement="reward", kl_estimator=estimator, scale_rewards="none"
    )
    items = [item(0, 1.0), item(1, 1.0), item(2, None)]
    gaps = [0.3, -0.2]
    for c, gap in zip(items, gaps, strict=False):
        c.old_logps, c.ref_logps = torch.full((4,), -1.0), torch.full((4,), -1.0 - gap)
    assign_advantages(items, config, beta=0.25)
    kl = [
        {"k1": gap, "k2": gap * gap / 2, "k3": math.exp(-gap) + gap - 1}[estimator] for gap in gaps
    ]
    wanted = (kl[1] - kl[0]) * 4 * 0.25 / 2
    assert items[0].advantage == pytest.approx(wanted, rel=1e-5)
    assert items[1].advantage == pytest.approx(-wanted, rel=1e-5)


def test_what_learning_needs_is_noted_and_nothing_else(tiny_model: Path) -> None:
    policy = Policy.load(str(tiny_model), config=GRPOConfig(beta=0.1))

    def noted(**changes: Any) -> list[tuple[bool, bool, bool]]:
        items = [item(0, 1.0), item(1, 0.0), item(2, None), item(3, 0.5)]
        items[3].truncated = True
        credit(policy, items, GRPOConfig(mask_truncated_completions=True, **changes))
        return [
            (c.old_logps is not None, c.ref_logps is not None, c.entropies is not None)
            for c in items
        ]

    none, old = (False, False, False), (True, False, False)
    assert noted() == [none] * 4
    assert noted(num_iterations=2) == [old, old, none, none]
    assert noted(beta=0.1) == [(False, True, False)] * 2 + [none] * 2
    assert noted(top_entropy_quantile=0.2) == [(True, False, True)] * 2 + [none] * 2
    assert noted(vllm_importance_sampling_correction=True) == [old, old, none, none]
    # One that is cut off is in its group's mean, and its distance to the reference with it.
    both = (True, True, False)
    assert noted(beta=0.1, kl_placement="reward") == [both, both, none, both]


def digits(completion: str) -> float:
    return sum(c.isdigit() for c in completion) / max(len(completion), 1)


def letters(completion: str) -> float | None:
    return None if len(completion) % 3 == 0 else float(len(completion))


ROWS = [{"prompt": f"{i}+{i}="} for i in range(8)]


def run(tiny_model: Path, rubric: Rubric, **changes: Any) -> GRPOTrainer:
    config = GRPOConfig(
        num_generations=4, per_device_train_batch_size=8, max_completion_length=8, max_steps=2,
        gradient_checkpointing=False, max_unscorable_frac=1.0, **changes,
    )  # fmt: skip
    return GRPOTrainer(tiny_model, rubric, ROWS, config, quiet=True)


def test_a_rubric_is_normalised_part_by_part_where_that_is_asked_for(tiny_model: Path) -> None:
    rubric = Rubric(
        digits=FunctionReward(digits, weight=2.0),
        letters=FunctionReward(letters, weight=-0.5, unscorable="skip"),
    )
    trainer = run(tiny_model, rubric, multi_objective_aggregation="normalize_then_sum")
    trainer._step()
    assert trainer.progress.rollouts is not None
    items = trainer.progress.rollouts.items
    values: list[Parts | None] = []
    for c in items:
        assert c.score is not None
        parts = {p.name: (p.weight, p.value) for p in c.score if p.value is not None}
        values.append(parts)
    assert any(len(v) == 1 for v in values if v)
    want = decoupled_advantages(values, [c.group for c in items])
    assert [c.advantage for c in items] == pytest.approx(want.tolist())


def test_a_cap_on_the_total_and_parts_judged_apart_cannot_go_together(tiny_model: Path) -> None:
    """What the cap takes back would be paid all the same."""
    rubric = Rubric(
        digits=FunctionReward(digits, bounds=(0.0, 1.0)), length=lambda completion: 5.0
    ).gate(on="digits", at_least=0.9, cap=1.0)  # fmt: skip
    trainer = run(tiny_model, rubric, multi_objective_aggregation="normalize_then_sum")
    with pytest.raises(ConfigError, match="caps its total"):
        trainer.train()


@pytest.mark.parametrize("placement", ["loss", "reward"])
def test_the_distance_to_the_reference_is_logged_wherever_it_counts(
    tiny_model: Path, placement: Any
) -> None:
    rubric = Rubric(length=lambda completion: float(len(completion)))
    trainer = run(tiny_model, rubric, beta=0.05, kl_placement=placement, learning_rate=1e-2)
    kl = [row["kl"] for row in trainer.train().history]
    assert kl[0] == pytest.approx(0.0, abs=1e-6)
    assert kl[1] > 1e-4


pytest.importorskip("trl")


def two_rewards() -> list[Any]:
    def first(completions: list[str], **_: Any) -> list[float | None]:
        return [None if len(c) % 4 == 0 else float(len(c)) for c in completions]

    def second(completions: list[str], **_: Any) -> list[float | None]:
        return [None if len(c) % 4 in (0, 1) else digits(c) for c in completions]

    return [first, second]


def of_trl(tiny_model: Path, tmp_path: Path, kind: str, **settings: Any) -> tuple[Any, ...]:
    """A step of a real trainer of TRL: rewards by function, and the advantages it made of them."""
    import trl
    from datasets import Dataset

    from rewardkit.trainers.loading import load_model, load_tokenizer

    config = getattr(trl, f"{kind}Config")(
        output_dir=str(tmp_path), per_device_train_batch_size=16, num_generations=4, max_steps=1,
        max_completion_length=8, report_to="none", use_cpu=True, bf16=False, seed=3,
        disable_tqdm=True, save_strategy="no", temperature=1.5, **settings,
    )  # fmt: skip
    functions = two_rewards()
    trainer = getattr(trl, f"{kind}Trainer")(
        model=load_model(str(tiny_model), "float32"),
        reward_funcs=functions,
        args=config,
        train_dataset=Dataset.from_list(ROWS),
        processing_class=load_tokenizer(str(tiny_model)),
    )
    seen: list[Any] = []
    plain = trainer._calculate_rewards

    def watched(*args: Any) -> Any:
        seen.append(plain(*args))
        return seen[-1]

    made: list[Any] = []
    generate = trainer._generate_and_score_completions

    def kept(inputs: Any) -> Any:
        made.append(generate(inputs))
        return made[-1]

    trainer._calculate_rewards, trainer._generate_and_score_completions = watched, kept
    trainer.train()
    return seen[0].double(), made[0]["advantages"].double()


def test_decoupled_advantages_are_those_of_trl(tiny_model: Path, tmp_path: Path) -> None:
    rewards, theirs = of_trl(
        tiny_model, tmp_path, "GRPO", reward_weights=[1.0, 0.5],
        multi_objective_aggregation="normalize_then_sum",
    )  # fmt: skip
    values: list[Parts | None] = []
    for row in rewards.tolist():
        parts = {n: (w, r) for n, w, r in zip("ab", (1.0, 0.5), row, strict=True) if r == r}
        values.append(parts or None)
    assert None in values
    assert any(v is not None and len(v) == 1 for v in values)
    ours = decoupled_advantages(values, [i // 4 for i in range(len(values))])
    torch.testing.assert_close(ours.nan_to_num(nan=0.0), theirs, rtol=1e-4, atol=1e-5)


def test_leave_one_out_advantages_are_those_of_trl(tiny_model: Path, tmp_path: Path) -> None:
    rewards, theirs = of_trl(tiny_model, tmp_path, "RLOO", beta=0.0)
    totals = [None if r.isnan().all() else float(r.nansum()) for r in rewards]
    assert None in totals
    ours = advantages(totals, [i // 4 for i in range(len(totals))], "none", "rloo")
    torch.testing.assert_close(ours.nan_to_num(nan=0.0), theirs, rtol=1e-5, atol=1e-5)
