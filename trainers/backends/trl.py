"""The same rubric, data and configuration, run by ``trl.GRPOTrainer``."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import GRPOTrainer as Inner

from rewardkit.errors import ConfigError
from rewardkit.rubric import Rubric
from rewardkit.sample import Sample
from rewardkit.score import Score
from rewardkit.trainers import parallel
from rewardkit.trainers.backends.trl_config import to_trl_config
from rewardkit.trainers.checkpoints import set_aside
from rewardkit.trainers.config import Dtype, GRPOConfig, LoraSettings, QuantSettings
from rewardkit.trainers.evaluate import evaluate
from rewardkit.trainers.loading import load_model, load_tokenizer, lora_config, quiet
from rewardkit.trainers.model import Policy
from rewardkit.trainers.notes import Teller
from rewardkit.trainers.preflight import preflight
from rewardkit.trainers.progress import Display
from rewardkit.trainers.prompts import check_data
from rewardkit.trainers.result import TrainResult
from rewardkit.trainers.resume import check_options
from rewardkit.trainers.runfolder import RunFolder
from rewardkit.trainers.state import data_digest
from rewardkit.trl import RubricReward

__all__ = ["TRLTrainer"]


class TRLTrainer:
    """Runs ``trl.GRPOTrainer`` with a rubric; arguments and run folder as of the built-in trainer.

    Attributes:
        inner: the ``trl.GRPOTrainer``.
        reward: the reward function that it calls.

    Raises:
        ConfigError: for a key that TRL cannot carry.
        DataError, MissingColumnError: before anything is generated.
    """

    def __init__(
        self,
        model: str | Path | Policy,
        rubric: Rubric,
        train_data: Sequence[Mapping[str, Any]],
        config: GRPOConfig | None = None,
        *,
        eval_data: Sequence[Mapping[str, Any]] | None = None,
        lora: LoraSettings | None = None,
        dtype: Dtype = "float32",
        quantization: QuantSettings | None = None,
        output_dir: str | Path | None = None,
        resume: bool = False,
        checkpoint: int | None = None,
        new_data: bool = False,
        quiet: bool = False,
        describe: Mapping[str, Any] | None = None,
    ) -> None:
        check_options(resume, checkpoint, new_data)
        if quantization is not None and quantization.load_in_4bit:
            raise ConfigError("load_in_4bit is for the built-in trainer: leave backend out")
        self.config = config = config or GRPOConfig()
        self.rubric, self.eval_rows = rubric, list(eval_data or ())
        self.rows = rows = list(train_data)
        check_data(rubric, rows, self.eval_rows)
        self._scratch = tempfile.TemporaryDirectory() if output_dir is None else None
        where = Path(self._scratch.name if self._scratch else str(output_dir)) / "checkpoints"
        settings = to_trl_config(config, where)
        settings.ignore_data_skip = new_data  # what it would skip are rows of the data before
        self.history: list[dict[str, Any]] = []
        alone = parallel.rank() == 0  # writes, if there are several
        self.display = Display(list(rubric.parts), quiet=quiet or not alone)
        self._teller = Teller(self.display.warn)
        self._resume: str | None = None
        self.path = None if output_dir is None else Path(output_dir)
        writes = output_dir is not None and alone
        self.folder = RunFolder(str(output_dir), resume=resume) if writes else None
        self.reward = RubricReward(
            rubric,
            config.reward_timeout_s,
            config.max_error_frac,
            config.max_unscorable_frac,
            self._rollouts,
            num_generations=config.num_generations,
        )
        loaded, self.tokenizer = _loaded(model, dtype, lora, config)
        with _hushed():
            self.inner: Any = Inner(
                model=loaded,
                reward_funcs=[self.reward],
                args=settings,
                train_dataset=Dataset.from_list([dict(row) for row in rows]),
                processing_class=self.tokenizer,
                peft_config=None if lora is None else lora_config(lora),
                callbacks=[_Watch(self)],
            )
        self.inner.remove_callback(PrinterCallback)  # the display says it, part by part
        known = {"data": data_digest(rows), "rows": len(rows), "model": str(model)}
        if output_dir is not None and resume:
            self._resume, self.history = parallel.lead(
                lambda: self._go_on(describe, known, checkpoint, new_data=new_data)
            )
        elif self.folder is not None:
            own = {"grpo": config.model_dump(mode="json")}
            facts = {**known, "eval_rows": len(self.eval_rows)}
            facts["processes"] = parallel.processes()
            self.folder.begin(describe or own, rubric, backend="trl", **facts)

    def train(self) -> TrainResult:
        """Run to the end (or go on from the newest checkpoint); returns what came of it."""
        status = "failed"
        try:
            if self._resume is None:
                self._look_before()
            with _hushed():
                self.inner.train(resume_from_checkpoint=self._resume)
            step = int(self.inner.state.global_step)
            self._evaluate(step)
            status = "finished"
        except KeyboardInterrupt:
            status = "stopped"
            raise
        finally:
            if self.folder is not None:
                self.folder.finish(status, steps=int(self.inner.state.global_step))
        if self.path is not None:
            with _hushed():
                self.inner.save_model(str(self.path / "checkpoints" / "final"))
        return TrainResult(step, self.history, self.path)

    def stepped(self, step: int) -> None:
        """After an optimizer step: evaluate where it is due (at the end it always is)."""
        due = self.config.eval_steps
        if due and step % due == 0 and step < int(self.inner.state.max_steps):
            self._evaluate(step)

    def logged(self, step: int, logs: Mapping[str, Any]) -> None:
        """One line of TRL's log; what it calls by the callable's name is the total, said twice."""
        total_again = f"rewards/{self.inner.reward_func_names[0]}/"
        metrics = {n: value for n, value in logs.items() if not n.startswith(total_again)}
        metrics |= self._teller.note(metrics, self.config)
        self._log(step, "train", metrics)
        if "reward" in metrics and step % self.config.logging_steps == 0:
            self.display.train(step, int(self.inner.state.max_steps), metrics)

    def _go_on(
        self,
        describe: Mapping[str, Any] | None,
        known: Mapping[str, Any],
        checkpoint: int | None,
        *,
        new_data: bool,
    ) -> tuple[str | None, list[dict[str, Any]]]:
        """The newest of TRL's checkpoints, or the one asked for, and what was logged by then."""
        folder = self.folder
        assert folder is not None
        folder.check_rubric(self.rubric)
        folder.check_data(known["data"], known["rows"], new_data=new_data)
        found = _checkpoint(folder.checkpoints, checkpoint)
        folder.rewind(-1 if found is None else int(found.rpartition("-")[2]))
        if describe is not None:
            folder.write_config(describe)
        return found, folder.lines()

    def _look_before(self) -> None:
        """What is measured before the first step, where that was not done."""
        if self.config.preflight_prompts and not self._logged("preflight", 0):
            metrics = preflight(self._policy(), self.rubric, self.rows, self.config)
            self._log(0, "preflight", metrics)
            self.display.preflight(metrics)
        self._evaluate(0)

    def _policy(self) -> Policy:
        return Policy(self.inner.accelerator.unwrap_model(self.inner.model), self.tokenizer)

    def _logged(self, kind: str, step: int) -> bool:
        return any(row["kind"] == kind and row["step"] == step for row in self.history)

    def _evaluate(self, step: int) -> None:
        if self.eval_rows and not self._logged("eval", step):
            metrics = evaluate(self._policy(), self.rubric, self.eval_rows, self.config)
            self._log(step, "eval", metrics)
            self.display.evaluation(step, metrics)

    def _log(self, step: int, kind: str, metrics: Mapping[str, Any]) -> None:
        self.history.append({"step": step, "kind": kind, **metrics})
        if self.folder is not None:
            self.folder.log(step, kind, metrics)

    def _rollouts(
        self,
        samples: Sequence[Sample],
        scores: Sequence[Score],
        groups: Sequence[int],
    ) -> None:
        """Write a batch of completions, of process 0 its own; TRL tells a reward no
        log-probabilities."""
        if self.folder is None:
            return
        step = int(self.inner.state.global_step) + 1
        records = (
            {
                "step": step,
                "group_id": group,
                "prompt": sample.prompt,
                "completion": sample.completion,
                "answer": sample.answer,
                "columns": {k: v for k, v in sample.columns.items() if k != "completion_ids"},
                "completion_ids": sample.columns.get("completion_ids"),
                "logprobs": None,
                "score": score.to_dict(),
            }
            for sample, score, group in zip(samples, scores, groups, strict=True)
        )
        self.folder.write_rollouts(step, records)


def _loaded(
    model: str | Path | Policy, dtype: Dtype, lora: LoraSettings | None, config: GRPOConfig
) -> tuple[Any, Any]:
    """Model and tokenizer, from a folder, a hub name or a ready policy."""
    torch.manual_seed(config.seed)
    if not isinstance(model, Policy):
        return load_model(str(model), dtype), load_tokenizer(str(model))
    if lora is not None or dtype != "float32":
        raise ConfigError("a ready Policy has its weights and adapters: leave lora and dtype out")
    return model.model, model.tokenizer


def _checkpoint(folder: Path, step: int | None) -> str | None:
    """The newest checkpoint, or that of a step; those after it are then set aside.

    Raises:
        ConfigError: if there is none of that step.
    """
    if step is None:
        newest: str | None = get_last_checkpoint(str(folder))
        return newest
    path = folder / f"checkpoint-{step}"
    there = sorted(int(p.name.rpartition("-")[2]) for p in folder.glob("checkpoint-*"))
    if step not in there:
        have = ", ".join(map(str, there)) or "none"
        raise ConfigError(f"there is no checkpoint of step {step} in {folder}; steps: {have}")
    for later in there:
        if later > step:
            set_aside(folder / f"checkpoint-{later}", "left")
    return str(path)


@contextmanager
def _hushed() -> Iterator[None]:
    """Without progress bars, and without the warnings that TRL's own calls cause."""
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


class _Watch(TrainerCallback):
    """Hands TRL's log lines on."""

    def __init__(self, run: TRLTrainer) -> None:
        self._run = run

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._run.stepped(int(state.global_step))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if logs and "train_runtime" not in logs:
            self._run.logged(int(state.global_step), logs)
