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

from rewardkit.rubric import Rubric
from rewardkit.sample import Sample
from rewardkit.score import Score
from rewardkit.trainers.backends.trl_config import to_trl_config
from rewardkit.trainers.config import Dtype, GRPOConfig, LoraSettings
from rewardkit.trainers.evaluate import evaluate
from rewardkit.trainers.model import Policy, load_model, load_tokenizer, lora_config, quiet
from rewardkit.trainers.progress import Display
from rewardkit.trainers.prompts import check_data
from rewardkit.trainers.result import TrainResult
from rewardkit.trainers.runfolder import RunFolder
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
        model: str | Path,
        rubric: Rubric,
        train_data: Sequence[Mapping[str, Any]],
        config: GRPOConfig | None = None,
        *,
        eval_data: Sequence[Mapping[str, Any]] | None = None,
        lora: LoraSettings | None = None,
        dtype: Dtype = "float32",
        output_dir: str | Path | None = None,
        resume: bool = False,
        quiet: bool = False,
        describe: Mapping[str, Any] | None = None,
    ) -> None:
        self.config = config = config or GRPOConfig()
        self.rubric, self.eval_rows = rubric, list(eval_data or ())
        rows = list(train_data)
        check_data(rubric, rows, self.eval_rows)
        self._scratch = tempfile.TemporaryDirectory() if output_dir is None else None
        where = Path(self._scratch.name if self._scratch else str(output_dir)) / "checkpoints"
        settings = to_trl_config(config, where)
        self.history: list[dict[str, Any]] = []
        self.display = Display(list(rubric.parts), quiet=quiet)
        self._resume = resume
        self.folder = None if output_dir is None else RunFolder(output_dir, resume=resume)
        self.reward = RubricReward(
            rubric,
            config.reward_timeout_s,
            config.max_error_frac,
            config.max_unscorable_frac,
            self._rollouts,
            num_generations=config.num_generations,
        )
        self.tokenizer = load_tokenizer(str(model))
        torch.manual_seed(config.seed)
        loaded = load_model(str(model), dtype)
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
        if self.folder is not None:
            self._open_folder(self.folder, describe, str(model), len(rows))

    def train(self) -> TrainResult:
        """Run to the end (or go on from the newest checkpoint); returns what came of it."""
        status = "failed"
        try:
            if not self._resume:
                self._evaluate(0)
            with _hushed():
                self.inner.train(resume_from_checkpoint=self._resume or None)
            step = int(self.inner.state.global_step)
            self._evaluate(step)
            status = "finished"
        except KeyboardInterrupt:
            status = "stopped"
            raise
        finally:
            if self.folder is not None:
                self.folder.finish(status, steps=int(self.inner.state.global_step))
        if self.folder is not None:
            with _hushed():
                self.inner.save_model(str(self.folder.checkpoints / "final"))
        return TrainResult(step, self.history, self.folder.path if self.folder else None)

    def stepped(self, step: int) -> None:
        """After an optimizer step: evaluate where it is due (at the end it always is)."""
        due = self.config.eval_steps
        if due and step % due == 0 and step < int(self.inner.state.max_steps):
            self._evaluate(step)

    def logged(self, step: int, logs: Mapping[str, Any]) -> None:
        """One line of TRL's log; what it calls by the callable's name is the total, said twice."""
        total_again = f"rewards/{self.inner.reward_func_names[0]}/"
        metrics = {n: value for n, value in logs.items() if not n.startswith(total_again)}
        self._log(step, "train", metrics)
        if "reward" in metrics and step % self.config.logging_steps == 0:
            self.display.train(step, int(self.inner.state.max_steps), metrics)

    def _open_folder(
        self, folder: RunFolder, describe: Mapping[str, Any] | None, model: str, rows: int
    ) -> None:
        if self._resume:
            folder.check_rubric(self.rubric)
            found = get_last_checkpoint(str(folder.checkpoints))
            self._resume = found is not None
            folder.rewind(-1 if found is None else int(found.rpartition("-")[2]))
            self.history = folder.lines()
            return
        own = {"grpo": self.config.model_dump(mode="json")}
        facts = {"rows": rows, "eval_rows": len(self.eval_rows), "backend": "trl", "model": model}
        folder.begin(describe or own, self.rubric, **facts)

    def _evaluate(self, step: int) -> None:
        if self.eval_rows and not any(
            row["kind"] == "eval" and row["step"] == step for row in self.history
        ):
            policy = Policy(self.inner.accelerator.unwrap_model(self.inner.model), self.tokenizer)
            metrics = evaluate(policy, self.rubric, self.eval_rows, self.config)
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
        """Write a batch of completions; TRL tells a reward no log-probabilities."""
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
