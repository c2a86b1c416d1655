"""Promise: what is exported is what was trained, in a form that any engine loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rewardkit import ConfigError, Rubric
from rewardkit.cli import main
from rewardkit.trainers import GRPOConfig, LoraSettings, Policy, export_model, train

ROWS = [{"prompt": f"{i}+{i}="} for i in range(4)]
LORA = LoraSettings(r=2, lora_alpha=4)
IDS = torch.arange(5, 20)[None]


def trained(model: Path, folder: Path, backend: Any = "builtin", **options: Any) -> Path:
    config = GRPOConfig(
        num_generations=4, per_device_train_batch_size=8, max_completion_length=6, max_steps=3,
        learning_rate=1e-2, save_steps=1, save_total_limit=None, gradient_checkpointing=False,
    )  # fmt: skip
    rubric = Rubric(length=lambda completion: float(len(completion)))
    train(model, rubric, ROWS, config, backend=backend, output_dir=folder, quiet=True, **options)
    return folder


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    found: torch.Tensor = model.eval()(input_ids=IDS).logits.float()
    return found


def test_full_weights_are_copied_to_the_byte_without_what_only_training_needs(
    tiny_model: Path, tmp_path: Path
) -> None:
    run = trained(tiny_model, tmp_path / "run")
    found = export_model(run, tmp_path / "out")
    assert found.name == "step_00000003"
    weights = "model.safetensors"
    assert (tmp_path / "out" / weights).read_bytes() == (found / weights).read_bytes()
    there = {path.name for path in (tmp_path / "out").iterdir()}
    assert not there & {"trainer.pt", "progress.json", "sums.json"}
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert torch.equal(logits(model), logits(Policy.load(str(found)).base))
    assert AutoTokenizer.from_pretrained(tmp_path / "out").decode([20]) is not None
    export_model(run, tmp_path / "first", checkpoint=1)
    first = AutoModelForCausalLM.from_pretrained(tmp_path / "first")
    assert not torch.equal(logits(first), logits(model))


@pytest.mark.parametrize("backend", ["builtin", "trl"])
def test_adapters_are_merged_into_a_copy_of_their_base(
    tiny_model: Path, tmp_path: Path, backend: str
) -> None:
    base = (tiny_model / "model.safetensors").read_bytes()
    run = trained(tiny_model, tmp_path / "run", backend, lora=LORA)
    found = export_model(run, tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert type(merged).__name__ == "LlamaForCausalLM"
    wanted = logits(Policy.load(str(found)).model)
    torch.testing.assert_close(logits(merged), wanted, rtol=1e-5, atol=1e-5)
    plain = logits(AutoModelForCausalLM.from_pretrained(tiny_model))
    assert (logits(merged) - plain).abs().max() > 1e-4, "the adapter is not in it"
    assert (tiny_model / "model.safetensors").read_bytes() == base


def test_an_adapter_alone_is_pefts_own_format(tiny_model: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    run = trained(tiny_model, tmp_path / "run", lora=LORA)
    found = export_model(run, tmp_path / "adapter", adapter=True)
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny_model), str(tmp_path / "adapter")
    )
    assert torch.equal(logits(model), logits(Policy.load(str(found)).model))


@pytest.mark.parametrize("lora", [None, LORA])
def test_weights_are_written_in_the_type_that_is_asked_for(
    tiny_model: Path, tmp_path: Path, lora: LoraSettings | None
) -> None:
    run = trained(tiny_model, tmp_path / "run", lora=lora)
    export_model(run, tmp_path / "out", dtype="bfloat16")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_the_command_and_its_mistakes(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tiny_model, tmp_path / "run")
    out = tmp_path / "out"
    assert main(["export", str(run), str(out), "--checkpoint", "2"]) == 0
    assert "step_00000002 written to" in capsys.readouterr().out
    for arguments, message in [
        ([str(run), str(out)], "is not empty"),
        ([str(run), str(tmp_path / "x"), "--adapter"], "full weights and no adapter"),
        ([str(run), str(tmp_path / "x"), "--checkpoint", "9"], "Steps with a good one: 1, 2, 3"),
        ([str(tmp_path / "gone"), str(tmp_path / "x")], "there is no folder"),
        ([str(tmp_path), str(tmp_path / "x")], "neither a run folder nor a checkpoint"),
        ([str(out), str(tmp_path / "x"), "--checkpoint", "1"], "is no run folder"),
    ]:
        assert main(["export", *arguments]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "x").exists()


def test_a_damaged_checkpoint_is_not_exported(tiny_model: Path, tmp_path: Path) -> None:
    run = trained(tiny_model, tmp_path / "run")
    newest = run / "checkpoints" / "step_00000003"
    with (newest / "model.safetensors").open("r+b") as file:
        file.seek(-3, 2)
        file.write(b"\x00\x01\x02")
    with pytest.raises(ConfigError, match="damaged"):
        export_model(newest, tmp_path / "out")
    assert export_model(run, tmp_path / "out").name == "step_00000002"


def test_an_adapter_whose_base_is_not_the_one_it_was_trained_on_is_found_out(
    tiny_model: Path, tmp_path: Path
) -> None:
    run = trained(tiny_model, tmp_path / "run", lora=LORA)
    newest = run / "checkpoints" / "step_00000003"
    facts = json.loads((newest / "adapter_config.json").read_text())
    (newest / "adapter_config.json").write_text(
        json.dumps({**facts, "base_model_name_or_path": str(tmp_path / "gone")})
    )
    (newest / "sums.json").unlink()
    with pytest.raises(ConfigError, match="stands on the model .*gone"):
        export_model(newest, tmp_path / "out")
    assert not (tmp_path / "out").exists()
