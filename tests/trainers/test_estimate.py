"""Promise: what a run takes is told before it begins, from its configuration alone, and is true."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoConfig

from rewardkit.cli import main
from rewardkit.trainers import GRPOConfig, LoraSettings
from rewardkit.trainers.estimate import (
    GIB,
    _totals,
    estimate,
    largest_context,
    largest_model,
    peak_by_layers,
)
from rewardkit.trainers.memory.footprint import Case
from rewardkit.trainers.rollout.cache import token_bytes

TINY = {
    "hidden_size": 64, "intermediate_size": 160, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 500, "max_position_embeddings": 8192,
}  # fmt: skip


def write(folder: Path, model: str, **grpo: Any) -> str:
    path = folder / "config.yaml"
    values = {
        "model": model, "rubric": "rubric.yaml", "data": {"path": "train.jsonl"},
        "output_dir": "run", "dtype": "bfloat16", "lora": {"r": 16},
        "grpo": {"num_generations": 4, "per_device_train_batch_size": 4, "max_completion_length": 64, **grpo},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(values))
    return str(path)


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main(["estimate", *arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_run_is_told_by_cause_and_nothing_is_loaded(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in tiny_model.iterdir():  # all but the weights
        if not file.name.endswith(".safetensors"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "train.jsonl").write_text('{"prompt": "1+1="}\n{"prompt": "123456+1="}\n')
    config = write(tmp_path, ".", beta=0.1, ref_refresh_every=2)
    found = told(capsys, config)
    assert (found["prompt_tokens"], found["prompt_from"]) == (9, "the longest in the data")
    train, rollout = found["phases"]["train"], found["phases"]["rollout"]
    both = {"weights", "adapters", "reference", "optimizer"}
    assert set(train["device_gib"]) >= both | {"gradients", "activations"}
    assert set(rollout["device_gib"]) >= both | {"KV cache"}
    assert found["peak_gib"] == max(train["total_gib"], rollout["total_gib"])
    assert main(["estimate", config, "--device", "cuda"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"CUDA context +0\.500 +0\.500", text)
    assert "peak of the run: 0.5" in text
    assert not (tmp_path / "run").exists()


def test_a_budget_of_tokens_is_what_is_estimated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = AutoConfig.for_model("llama", num_hidden_layers=2, **TINY)
    shape.save_pretrained(tmp_path)
    found = {}
    for budget in (None, 500, 1000):
        config = write(
            tmp_path, str(tmp_path), max_tokens_per_microbatch=budget,
            gradient_accumulation_steps=8,
        )  # fmt: skip
        train = told(capsys, config, "--prompt-length", "16")["phases"]["train"]
        found[budget] = train["tokens"], train["device_gib"]["activations"]
    assert [tokens for tokens, _ in found.values()] == [16 + 4 * 64, 500, 1000]
    assert found[1000][1] == pytest.approx(2 * found[500][1], rel=0.1)
    assert main(["estimate", config, "--prompt-length", "16"]) == 0
    assert "1000 tokens in the largest micro-batch" in capsys.readouterr().out


def test_a_card_is_told_what_fits_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(
        tmp_path, "llama3-1B", gradient_accumulation_steps=2, per_device_train_batch_size=2
    )
    found = told(capsys, config, "--prompt-length", "16", "--card", "1.5", code=1)
    assert found["fits"] is False
    assert (found["largest_context"], found["largest_model"]) == (0, None)


def test_the_search_for_the_largest_context_ends_at_the_edge() -> None:
    shape = AutoConfig.for_model("llama", num_hidden_layers=1, **TINY)
    grpo = GRPOConfig(num_generations=2, per_device_train_batch_size=2, max_completion_length=256)
    case = Case(shape, torch.float32, grpo, LoraSettings(r=4), prompt=16, cuda=False)
    edge = case.grpo.model_copy(update={"max_completion_length": 768 - 16})
    need = estimate(Case(shape, torch.float32, edge, case.lora, prompt=16, cuda=False)).peak
    assert largest_context(case, int(need * 1.001)) == 768
    assert largest_context(case, int(need * 0.999)) == 512
    assert largest_context(case, 1000) == 0
    assert largest_model(case, "llama3", int(1.0 * GIB)) is None


@pytest.mark.parametrize(
    ("lora", "changes"),
    [(LoraSettings(r=4), {}), (None, {"gradient_checkpointing": False})],
    ids=["adapters", "all weights, no checkpointing"],
)
def test_two_heights_of_a_model_tell_the_rest(lora: Any, changes: dict[str, Any]) -> None:
    shape = AutoConfig.for_model("llama", num_hidden_layers=6, **TINY)
    grpo = GRPOConfig(
        num_generations=2, per_device_train_batch_size=2, gradient_accumulation_steps=2,
        max_completion_length=400, **changes,
    )  # fmt: skip
    case = Case(shape, torch.float32, grpo, lora, prompt=16, cuda=False)
    assert peak_by_layers(case)(case) == pytest.approx(estimate(case).peak, rel=0.01)


def test_a_budget_for_keys_and_values_is_that_of_all_layers() -> None:
    """Two layers of them would go into it three times as often."""
    shape = AutoConfig.for_model("llama", num_hidden_layers=6, **TINY)
    grpo = GRPOConfig(
        num_generations=8, per_device_train_batch_size=1, gradient_accumulation_steps=16,
        max_completion_length=84, kv_budget_gib=4.5 * token_bytes(shape, 4) * 100 / GIB,
    )  # fmt: skip
    case = Case(shape, torch.float32, grpo, LoraSettings(r=4), prompt=16, cuda=False)
    whole = estimate(case).phases["rollout"]
    assert whole.tokens == 4 * 100
    low, high = (_totals(case, layers)[1] for layers in (2, 4))
    assert high + (high - low) == pytest.approx(whole.total, rel=0.01)


def test_the_largest_context_is_one_of_which_a_completion_fits_the_budget() -> None:
    """Beyond 832 tokens the budget does not hold one completion, and a run would be refused."""
    shape = AutoConfig.for_model("llama", num_hidden_layers=6, **TINY)
    grpo = GRPOConfig(
        num_generations=2, per_device_train_batch_size=2, max_completion_length=400,
        kv_budget_gib=token_bytes(shape, 4) * 832 / GIB,
    )  # fmt: skip
    case = Case(shape, torch.float32, grpo, LoraSettings(r=4), prompt=16, cuda=False)
    assert largest_context(case, 2**40) == 768


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.yaml"], "there is no file none.yaml"),
        (["config.yaml", "--model", "some/model"], "configuration of 'some/model' is not here"),
        (["config.yaml", "--family", "llama3"], "give --card too"),
        (["config.yaml", "--card", "-1"], "--card is a size in GiB"),
        (["config.yaml", "--card", "24", "--family", "gpt5"], "unknown family 'gpt5'; there are"),
        (["config.yaml", "--prompt-length", "0"], "--prompt-length is a number of tokens"),
    ],
)
def test_what_cannot_be_estimated_is_said(
    tmp_path: Path, tiny_model: Path, arguments: list[str], message: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    write(tmp_path, str(tiny_model))
    monkeypatch.chdir(tmp_path)
    assert main(["estimate", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_the_estimate_is_within_a_tenth_of_what_a_process_grows_by(root: Path) -> None:
    """One of the benchmark's runs, in a process of its own: its tensors, and its resident memory,
    for which what is freed must go back to the system (glibc)."""
    from rewardkit.trainers.memory.footprint import footprints
    from rewardkit.trainers.memory.heap import give_back_freed

    script, name = root / "benchmarks" / "estimate.py", "llama, adapters, tiles"
    sys.path.insert(0, str(script.parent))
    try:
        import estimate as benchmark  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    done = subprocess.run(
        [sys.executable, str(script), "--measure", name], stdout=subprocess.PIPE, text=True,
        check=True, env={**os.environ, "PYTHONSAFEPATH": "", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    real = json.loads(done.stdout.splitlines()[-1])
    want = footprints(benchmark.case(name))["train"].total / 2**20
    assert real["tensors"] == pytest.approx(want, rel=0.01)
    if give_back_freed() and real["process"] is not None:
        assert real["process"] == pytest.approx(want, rel=0.10)
