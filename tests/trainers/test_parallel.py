"""Promise: several processes train as one would: the same completions, weights, metrics and records;
and where one of them fails, all end with its error."""

from __future__ import annotations

import json
import os
import signal
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from processes import Ended, in_processes

from rewardkit import ConfigError, Rubric
from rewardkit.errors import MissingExtraError
from rewardkit.trainers import (
    GRPOConfig,
    GRPOTrainer,
    LoraSettings,
    Policy,
    checkpoints,
    parallel,
    step,
)
from rewardkit.trainers.rollout.decode import can_decode
from rewardkit.verifiers import NumberVerifier, TagFormat

ROWS = [{"prompt": f"{i}+{i}="} for i in range(7)]
CONFIG: dict[str, Any] = {
    "num_generations": 4,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "max_completion_length": 8,
    "max_steps": 3,
    "learning_rate": 1e-2,
    "save_steps": 1,
    "save_total_limit": None,
    "gradient_checkpointing": False,
}
LORA = LoraSettings(r=2, lora_alpha=4)
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "a reference, adapters, two passes": {
        "lora": LORA,
        "config": {"beta": 0.05, "num_iterations": 2, "ref_refresh_every": 2, "kl_target": 1e-3},
    },
    "std of the batch, entropies of the step, groups replaced": {
        "config": {
            "scale_rewards": "batch", "loss_type": "dapo", "dynamic_sampling": True,
            "top_entropy_quantile": 0.5, "use_adaptive_entropy": True, "steps_per_generation": 4,
        },
    },
    "loss of each micro-batch": {"config": {"loss_type": "bnpo"}},
}  # fmt: skip


def digits(completion: str) -> float:
    return round(sum(c.isdigit() for c in completion) / max(len(completion), 1), 1)


def digits_or_nothing(completion: str, prompt: str) -> float | None:
    """Of every prompt but two, which both are some process's alone in the first generation."""
    return None if prompt in ("1+1=", "5+5=") else digits(completion)


def trainer(model: Path, folder: Path, kind: str = "plain", **options: Any) -> GRPOTrainer:
    """In float64, in which what the order of a sum comes to is far below what a mistake does."""
    chosen = KINDS[kind]
    config = GRPOConfig(**{**CONFIG, **chosen.get("config", {}), **options.pop("config", {})})
    reward, rows = options.pop("reward", digits), options.pop("rows", ROWS)
    policy = Policy.load(str(model), lora=chosen.get("lora"), config=config)
    policy.model.double()
    return GRPOTrainer(
        policy, Rubric(reward), rows, config, output_dir=folder, eval_data=ROWS[:3], quiet=True,
        **options,
    )  # fmt: skip


def whole(kind: str) -> dict[str, Any]:
    """What makes one process do what two of the kind do together."""
    config = {**CONFIG, **KINDS[kind].get("config", {})}
    twice = ("gradient_accumulation_steps", "steps_per_generation")
    return {key: 2 * config[key] for key in twice if key in config}


def weights(of: GRPOTrainer) -> list[torch.Tensor]:
    return [p.detach().clone() for p in of.policy.trainable()]


def trained(run: GRPOTrainer) -> list[torch.Tensor]:
    run.train()
    return weights(run)


def lines(folder: Path) -> list[dict[str, Any]]:
    """What was logged, without what the clock says, and how many prompts were shared."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    left = ("time/", "step_time", "tokens/")
    return [{k: v for k, v in row.items() if not k.startswith(left)} for row in rows]


def rollouts(folder: Path) -> list[list[dict[str, Any]]]:
    return [
        [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted((folder / "rollouts").iterdir())
    ]


def assert_close(a: Any, b: Any, where: str = "") -> None:
    """Equal, numbers up to what the order of a sum comes to; seconds are not compared."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            if key != "seconds":
                assert_close(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for i, pair in enumerate(zip(a, b, strict=True)):
            assert_close(*pair, f"{where}/{i}")
    elif isinstance(a, float) and isinstance(b, float):
        assert a == pytest.approx(b, rel=1e-5, abs=1e-7), where
    else:
        assert a == b, where


def assert_the_same_run(two: Path, one: Path) -> None:
    assert_close(lines(two), lines(one))
    assert_close(rollouts(two), rollouts(one))


def assert_near(two: list[torch.Tensor], one: list[torch.Tensor]) -> None:
    """Weights that have moved by hundredths. Another cut packs its rows differently, and the norms
    of ``transformers``, which compute in float32 whatever the model does, round what differs."""
    assert max(float((a - b).abs().max()) for a, b in zip(two, one, strict=True)) <= 2e-6


def values(ended: list[Ended]) -> list[Any]:
    assert [e.error for e in ended] == [""] * len(ended)
    return [e.value for e in ended]


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


def run_out_of_memory(run: GRPOTrainer, *, learning: bool) -> list[str]:
    """Let process 1 have no memory for rows of more than 20 tokens; what warnings say is kept."""
    told: list[str] = []

    def look(_: torch.nn.Module, inputs: Any) -> None:
        rows, tokens = inputs[0].shape[:2]
        tried = run.policy.packs is not None  # the trial is shorter than any limit that counts
        if tried and rows == 1 and tokens > 20 and torch.is_grad_enabled() == learning:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    def heard(message: Any, *_: Any, **__: Any) -> None:
        told.append(str(message))

    warnings.showwarning = heard
    warnings.simplefilter("always")
    if parallel.rank() == 1:
        run.policy.base.model.layers[1].mlp.register_forward_pre_hook(look)
    return told


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


def test_carried_numbers_that_went_apart_are_noticed(tiny_model: Path, tmp_path: Path) -> None:
    def run() -> None:
        mine = trainer(tiny_model, tmp_path / "run")
        mine.progress.carried["beta"] = 0.1 + parallel.rank()
        mine._save()

    for ended in in_processes(2, run):
        assert "do not agree on the numbers carried from step to step" in ended.error


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


def test_groups_that_cannot_be_whole_are_refused(tmp_path: Path) -> None:
    odd = {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 1}
    for ended in in_processes(2, lambda: GRPOConfig(**{**CONFIG, **odd})):
        assert ended.error.startswith("ConfigError")
        assert "* 2 processes = 6 completions, which must be a multiple" in ended.error


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


def test_too_many_unscorable_stop_all_with_a_checkpoint(tiny_model: Path, tmp_path: Path) -> None:
    def second(completion: str) -> float | None:
        return None if parallel.rank() else digits(completion)

    def run() -> None:
        trainer(tiny_model, tmp_path / "run", reward=second, config={"max_unscorable_frac": 0.4})\
            .train()  # fmt: skip

    messages = {ended.error for ended in in_processes(2, run)}
    assert len(messages) == 1
    assert (
        "8 of 16 completions could not be scored, more than max_unscorable_frac" in messages.pop()
    )
    assert checkpoints.latest(tmp_path / "run" / "checkpoints") is not None
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "failed"


def lacks_an_extra(completion: str) -> float:
    if parallel.rank():
        raise MissingExtraError("the reward", "math", "sympy")
    return 1.0


def test_a_mistake_found_in_one_process_ends_all_with_it(tiny_model: Path, tmp_path: Path) -> None:
    first, second = in_processes(
        2, lambda: trainer(tiny_model, tmp_path / "run", reward=lacks_an_extra).train()
    )
    assert second.error.startswith("MissingExtraError: the reward needs the package 'sympy'")
    assert first.error.startswith(
        "RewardKitError: process 1 of 2 stopped the run for all: MissingExtraError: the reward"
    )


@pytest.mark.parametrize("where", ["learning", "logging", "saving", "loading"])
def test_an_error_in_one_process_ends_all_wherever_it_strikes(
    tiny_model: Path, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    strikes = {"learning": 1, "logging": 0, "saving": 0, "loading": 1}[where]

    def failing(*args: Any, **kwargs: Any) -> Any:
        raise OSError("CUDA out of disk")

    def run() -> None:
        if parallel.rank() == strikes:
            if where == "loading":
                monkeypatch.setattr("rewardkit.trainers.loop.as_policy", failing)
            if where == "learning":
                monkeypatch.setattr(step, "accumulate", failing)
            if where == "logging":
                monkeypatch.setattr("rewardkit.trainers.runfolder.RunFolder.log", failing)
            if where == "saving":
                monkeypatch.setattr(checkpoints, "write", failing)
        trainer(tiny_model, tmp_path / "run").train()

    ended = in_processes(2, run)
    assert ended[strikes].error == "OSError: CUDA out of disk"
    assert ended[1 - strikes].error.startswith(
        f"RewardKitError: process {strikes} of 2 stopped the run for all: OSError: CUDA out of disk"
    )


def test_processes_that_were_started_with_different_data_are_refused(
    tiny_model: Path, tmp_path: Path
) -> None:
    def run() -> None:
        trainer(tiny_model, tmp_path / "run", rows=ROWS[parallel.rank() :])

    for ended in in_processes(2, run):
        assert ended.error.startswith(
            "RewardKitError: the processes do not agree on the data (0: '"
        )


def test_weights_that_went_apart_are_noticed(tiny_model: Path, tmp_path: Path) -> None:
    def run() -> None:
        mine = trainer(tiny_model, tmp_path / "run")
        with torch.no_grad():
            mine.policy.trainable()[0][0, 0] += parallel.rank()
        mine._save()

    for ended in in_processes(2, run):
        assert "do not agree on the weights" in ended.error


def kill_in_step_three(model: Path, folder: Path) -> None:
    """Process 1 dies in the third step, at a backward pass, by a signal that nothing handles."""
    run = trainer(model, folder, "a reference, adapters, two passes")
    plain = torch.autograd.backward

    def backward(*args: Any, **kwargs: Any) -> None:
        if parallel.rank() and run.progress.step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        plain(*args, **kwargs)

    torch.autograd.backward = backward
    run.train()


@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_run_of_which_one_process_was_killed_goes_on_in_as_many_or_in_one(
    tiny_model: Path, tmp_path: Path, count: int
) -> None:
    kind = "a reference, adapters, two passes"
    alone = trained(trainer(tiny_model, tmp_path / "one", kind, config=whole(kind)))
    left, killed = in_processes(2, lambda: kill_in_step_three(tiny_model, tmp_path / "two"))
    assert killed.code == -signal.SIGKILL
    assert left.error.startswith("RewardKitError: process 0 of 2 lost the others")
    assert "go on with --resume" in left.error
    config = {1: whole(kind), 2: {}}[count]
    for found in values(
        in_processes(
            count,
            lambda: trained(
                trainer(tiny_model, tmp_path / "two", kind, config=config, resume=True)
            ),
        )
    ):
        assert_near(found, alone)
    assert_the_same_run(tmp_path / "two", tmp_path / "one")


def test_going_on_with_another_batch_than_before_is_refused_and_says_how_it_counts(
    tiny_model: Path, tmp_path: Path
) -> None:
    values(in_processes(2, lambda: trainer(tiny_model, tmp_path / "run")._save()))
    with pytest.raises(ConfigError, match=r"steps: 4 -> 2\n  \(both as of all processes, .* 1\)"):
        trainer(tiny_model, tmp_path / "run", resume=True)


def test_a_signal_to_one_process_stops_all_after_the_step(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> None:
        mine = trainer(tiny_model, tmp_path / "run", config={"save_steps": 0})
        plain = mine.collector.collect

        def collect(*args: Any) -> Any:
            if parallel.rank() and mine.progress.step == 1:
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGTERM)  # what launched them passes it on
            return plain(*args)

        monkeypatch.setattr(mine.collector, "collect", collect)
        mine.train()

    assert [ended.error for ended in in_processes(2, run)] == ["SystemExit: 143"] * 2
    found = checkpoints.latest(tmp_path / "run" / "checkpoints")
    assert found is not None
    assert found.name == "step_00000002"


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
