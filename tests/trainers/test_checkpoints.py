"""Promise: a checkpoint is whole or is not used, whatever happened to the disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit import ConfigError, RewardKitError, Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer, LoraSettings, checkpoints
from rewardkit.verifiers import HasNumber

ROWS = [{"prompt": f"{i}+{i}="} for i in range(7)]
CONFIG: dict[str, Any] = {
    "num_generations": 4,
    "per_device_train_batch_size": 8,
    "max_completion_length": 6,
    "max_steps": 5,
    "learning_rate": 1e-2,
    "save_steps": 1,
    "save_total_limit": None,
    "gradient_checkpointing": False,
}


def length(completion: str) -> float:
    return float(len(completion))


def trainer(model: Path, folder: Path, **options: Any) -> GRPOTrainer:
    config = GRPOConfig(**{**CONFIG, **options.pop("config", {})})
    rubric, rows = options.pop("rubric", Rubric(length)), options.pop("rows", ROWS)
    return GRPOTrainer(model, rubric, rows, config, output_dir=folder, quiet=True, **options)


def place(folder: Path) -> Path:
    return folder / "checkpoints"


def steps(folder: Path) -> list[str]:
    return sorted(path.name for path in place(folder).iterdir())


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of five steps, each with its checkpoint."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    trainer(tiny_model, folder).train()
    return folder


@pytest.fixture
def done(trained: Path, tmp_path: Path) -> Path:
    """A copy of that run, to be damaged or gone on with."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def flip(path: Path) -> None:
    """One bit, somewhere in the middle, as a bad disk would."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a flipped bit of the state": lambda at: flip(at / "trainer.pt"),
    "a flipped bit of the weights": lambda at: flip(at / "model.safetensors"),
    "a file cut short": lambda at: os.truncate(at / "trainer.pt", 100),
    "a file gone": lambda at: (at / "model.safetensors").unlink(),
    "no sums": lambda at: (at / "sums.json").unlink(),
    "sums that are none": lambda at: (at / "sums.json").write_text("{]"),
    "another progress": lambda at: (at / "progress.json").write_text('{"progress": {}}'),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(
    tiny_model: Path, done: Path, damage: Callable[[Path], object], capsys: Any
) -> None:
    newest = place(done) / "step_00000005"
    damage(newest)
    again = GRPOTrainer(
        tiny_model, Rubric(length), ROWS, GRPOConfig(**CONFIG), output_dir=done, resume=True
    )
    assert again.progress.step == 4
    said = " ".join(capsys.readouterr().out.split())
    assert f"the checkpoint {newest} is damaged: " in said
    assert "the damaged are set aside" in said
    assert steps(done)[0] == "damaged_step_00000005"
    again.train()
    assert checkpoints.damage(newest) is None


def test_a_damaged_checkpoint_that_was_asked_for_is_refused_and_the_good_ones_named(
    tiny_model: Path, done: Path
) -> None:
    flip(place(done) / "step_00000003" / "trainer.pt")
    before = steps(done)
    with pytest.raises(ConfigError, match=r"step 3 .*not those that were written.*: 1, 2, 4, 5"):
        trainer(tiny_model, done, resume=True, checkpoint=3)
    with pytest.raises(ConfigError, match=r"step 9 .*there is none.*: 1, 2, 4, 5"):
        trainer(tiny_model, done, resume=True, checkpoint=9)
    assert steps(done) == before


def test_where_every_checkpoint_is_damaged_the_run_does_not_begin_again_unasked(
    tiny_model: Path, done: Path
) -> None:
    for path in place(done).iterdir():
        flip(path / "trainer.pt")
    lines = (done / "metrics.jsonl").read_text()
    with pytest.raises(ConfigError, match="There is no good one"):
        trainer(tiny_model, done, resume=True)
    assert (done / "metrics.jsonl").read_text() == lines
    assert len(steps(done)) == 5


def test_a_checkpoint_of_another_format_is_refused(tiny_model: Path, done: Path) -> None:
    newest = place(done) / "step_00000005"
    facts = json.loads((newest / "progress.json").read_text())
    text = json.dumps({**facts, "format": 99})
    (newest / "progress.json").write_text(text)
    sums = json.loads((newest / "sums.json").read_text())
    import hashlib

    sums["progress.json"] = [len(text), hashlib.sha256(text.encode()).hexdigest()]
    (newest / "sums.json").write_text(json.dumps(sums))
    with pytest.raises(ConfigError, match="another version of rewardkit"):
        trainer(tiny_model, done, resume=True)


def test_a_run_goes_back_to_a_checkpoint_and_sets_the_later_ones_aside(
    tiny_model: Path, done: Path
) -> None:
    lines = (done / "metrics.jsonl").read_text().splitlines()
    again = trainer(tiny_model, done, resume=True, checkpoint=2)
    assert again.progress.step == 2
    left = [f"left_step_0000000{n}" for n in (3, 4, 5)]
    assert steps(done) == [*left, "step_00000001", "step_00000002"]
    assert len((done / "metrics.jsonl").read_text().splitlines()) == 2
    again.train()
    now = [json.loads(line) for line in (done / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in now] == [1, 2, 3, 4, 5]
    assert [row["loss"] for row in now] == [json.loads(line)["loss"] for line in lines]
    a, b = (
        torch.load(place(done) / name / "trainer.pt", weights_only=True)["parameters"]
        for name in ("step_00000005", "left_step_00000005")
    )
    assert all(torch.equal(a[name], b[name]) for name in a)
    again = trainer(tiny_model, done, resume=True, checkpoint=2)  # a second time: new names
    assert "left_2_step_00000005" in steps(done)


def test_a_run_goes_on_with_new_rows_from_their_first_one_only_if_that_is_asked_for(
    tiny_model: Path, done: Path
) -> None:
    rows = [{"prompt": f"{i}*{i}="} for i in range(5)]
    longer = {"max_steps": 7}
    with pytest.raises(ConfigError, match=r"not those that this run had \(7 rows then, 5 now"):
        trainer(tiny_model, done, rows=rows, resume=True, config=longer)
    again = trainer(tiny_model, done, rows=rows, resume=True, new_data=True, config=longer)
    again.train()
    written = [
        json.loads(line)
        for step in (6, 7)
        for line in (done / "rollouts" / f"step_0000000{step}.jsonl").read_text().splitlines()
    ]
    assert {row["prompt"] for row in written[:8] + written[8:]} <= {r["prompt"] for r in rows}
    assert [row["group_id"] for row in written[::4]] == [10, 11, 12, 13]  # never one of before
    fresh = trainer(tiny_model, done.parent / "fresh", rows=rows)
    first = [fresh.rows[i]["prompt"] for i in fresh.collector._stream.rows(0, 4)]
    assert [row["prompt"] for row in written[::4]] == first
    epoch = json.loads((done / "metrics.jsonl").read_text().splitlines()[-1])["epoch"]
    assert epoch == pytest.approx(4 / 5)
    trainer(tiny_model, done, rows=rows, resume=True, config=longer)  # asked for once is enough
    with pytest.raises(ConfigError, match="give resume=True too"):
        trainer(tiny_model, done.parent / "other", new_data=True)


def test_by_epochs_a_run_on_new_rows_makes_their_epochs_too(
    tiny_model: Path, tmp_path: Path
) -> None:
    config = {"max_steps": -1, "num_train_epochs": 2}
    first = trainer(tiny_model, tmp_path / "run", config=config)
    assert first.train().steps == 7
    rows = [{"prompt": f"{i}*{i}="} for i in range(4)]
    again = trainer(
        tiny_model, tmp_path / "run", rows=rows, resume=True, new_data=True, config=config
    )
    assert again.total_steps == 7 + 4
    assert again.train().steps == 11


@pytest.mark.parametrize("lora", [None, LoraSettings(r=2, lora_alpha=4)])
def test_a_new_run_begins_from_a_checkpoint_as_its_model(
    tiny_model: Path, tmp_path: Path, lora: LoraSettings | None
) -> None:
    first = trainer(tiny_model, tmp_path / "first", lora=lora)
    first.train()
    newest = place(tmp_path / "first") / "step_00000005"
    second = trainer(newest, tmp_path / "second", lora=lora, rows=[{"prompt": "7-7="}])
    ours, theirs = second.policy.trainable(), first.policy.trainable()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert second.progress.step == 0
    assert second.train().steps == 5


def test_a_model_that_stands_on_other_weights_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    """The adapter's shapes fit, and nothing else."""
    from rewardkit.trainers import make_tiny_model

    lora = LoraSettings(r=2)
    trainer(tiny_model, tmp_path / "run", lora=lora)._step()
    other = make_tiny_model(tmp_path / "other", hidden_size=32, layers=2, heads=2, seed=9)
    with pytest.raises(ConfigError, match="weights that are not trained"):
        trainer(other, tmp_path / "run", lora=lora, resume=True)


def test_versions_that_changed_are_said(tiny_model: Path, done: Path, capsys: Any) -> None:
    manifest = json.loads((done / "manifest.json").read_text())
    manifest["versions"]["torch"] = "1.0"
    (done / "manifest.json").write_text(json.dumps(manifest))
    GRPOTrainer(
        tiny_model, Rubric(length), ROWS, GRPOConfig(**CONFIG), output_dir=done, resume=True
    )
    assert f"torch 1.0 -> {torch.__version__}" in " ".join(capsys.readouterr().out.split())


def test_rewards_that_failed_leave_a_checkpoint_to_go_on_from(
    tiny_model: Path, tmp_path: Path
) -> None:
    """Three good steps must not be lost with the service that was down in the fourth."""
    run = trainer(tiny_model, tmp_path / "run", config={"save_steps": 0})
    plain = run.collector.collect

    def down(generation: int, *rest: Any) -> Any:
        made = plain(generation, *rest)
        if generation == 3:
            for item in made.items:
                item.score, item.total = unknown, None
        return made

    unknown = Rubric(length=lambda completion: None).score(completion="", on_error="abstain")
    run.collector.collect = down  # type: ignore[assignment, method-assign]
    with pytest.raises(RewardKitError, match="could not be judged|unscorable"):
        run.train()
    assert steps(tmp_path / "run") == ["step_00000003"]
    again = trainer(tiny_model, tmp_path / "run", resume=True)
    assert again.progress.step == 3
    assert again.train().steps == 5


LIMITED = """
import json, resource, sys
from pathlib import Path
from rewardkit import RewardKitError, Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer
from rewardkit.verifiers import HasNumber

model, folder, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
rows = [{"prompt": f"{i}+{i}="} for i in range(7)]
config = GRPOConfig(**json.loads(sys.argv[4]))
run = GRPOTrainer(model, Rubric(n=HasNumber()), rows, config, output_dir=folder, quiet=True)
for _ in range(2):
    run._step()
if kind == "file size":
    # The system refuses what is larger: the nearest to a full disk that needs no other disk.
    size = (folder / "checkpoints/step_00000002/trainer.pt").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
else:
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        try:
            while ballast.write(b"x" * 4096):
                pass
        except OSError:
            ballast.truncate(max(0, ballast.tell() - int(kind)))
try:
    run.train()
except RewardKitError as error:
    print(error)
    sys.exit(3)
"""


def check_that_the_last_good_one_stands(tiny_model: Path, folder: Path, said: str) -> None:
    assert f"rewardkit train --resume {folder}" in said
    assert steps(folder) == ["step_00000001", "step_00000002"]
    assert all(checkpoints.damage(path) is None for path in place(folder).iterdir())
    again = trainer(tiny_model, folder, rubric=Rubric(n=HasNumber()), resume=True)
    assert again.progress.step == 2
    assert again.train().steps == 5


def test_a_checkpoint_that_the_system_cuts_off_leaves_the_last_good_one(
    tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(LIMITED)
    folder = tmp_path / "run"
    command = [sys.executable, str(tmp_path / "script.py"), str(tiny_model), str(folder)]
    done = subprocess.run(
        [*command, "file size", json.dumps(CONFIG)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 3, done.stderr
    assert "the checkpoint of step 3 cannot be written" in done.stdout
    assert f"The last good one is {place(folder) / 'step_00000002'}" in done.stdout
    check_that_the_last_good_one_stands(tiny_model, folder, done.stdout)


def own_mounts() -> bool:
    """Whether this process may mount, in a namespace of its own."""
    mount = "mount -t tmpfs none /mnt"
    return subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode == 0


@pytest.mark.skipif(
    not shutil.which("unshare") or not own_mounts(), reason="nobody here may mount a disk"
)
@pytest.mark.parametrize(
    ("room", "said"),
    [(0, "step_00000003.jsonl cannot be written"), (200_000, "step 3 cannot be written")],
)
def test_a_full_disk_leaves_the_last_good_one(
    tiny_model: Path, tmp_path: Path, room: int, said: str
) -> None:
    """A real one: a file system of four megabytes in memory, filled but for so many bytes."""
    (tmp_path / "script.py").write_text(LIMITED)
    disk, folder = tmp_path / "disk", tmp_path / "disk" / "run"
    disk.mkdir()
    command = [sys.executable, str(tmp_path / "script.py"), str(tiny_model), str(folder)]
    quoted = " ".join(f"'{part}'" for part in [*command, str(room), json.dumps(CONFIG)])
    script = (
        f"mount -t tmpfs -o size=4m none {disk} && {quoted}; code=$?; "
        f"rm -f {folder}/ballast; cp -a {folder} {tmp_path}/kept; exit $code"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert said in done.stdout
    assert "No space left on device" in done.stdout
    told = done.stdout.replace(str(folder), str(tmp_path / "kept"))
    check_that_the_last_good_one_stands(tiny_model, tmp_path / "kept", told)
