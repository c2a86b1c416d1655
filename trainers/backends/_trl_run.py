"""One run of ``trl.GRPOTrainer``, written to the same run folder as the built-in trainer's."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOTrainer as Theirs

from rewardkit.rubric import Rubric
from rewardkit.sample import Sample
from rewardkit.score import Score
from rewardkit.trainers.backends.trl import RubricReward, to_trl_config
from rewardkit.trainers.config import GRPOConfig, LoraSettings
from rewardkit.trainers.evaluate import evaluate
from rewardkit.trainers.model import Policy, load_model, load_tokenizer, lora_config
from rewardkit.trainers.progress import Display
from rewardkit.trainers.prompts import check_rows
from rewardkit.trainers.result import TrainResult
from rewardkit.trainers.runfolder import RunFolder

__all__ = ["TRLRun"]


class TRLRun:
    """Builds the trainer, runs it, and writes down what comes."""

    def __init__(
        self,
        model: str,
        rubric: Rubric,
        rows: list[Mapping[str, Any]],
        config: GRPOConfig,
        eval_rows: list[Mapping[str, Any]],
        lora: LoraSettings | None,
        dtype: str,
        output_dir: Path | None,
        resume: bool,
        quiet: bool,
        describe: Mapping[str, Any] | None,
    ) -> None:
        check_rows(rows, "the training data")
        for row in (*rows, *eval_rows):
            rubric.check_columns({*row, "completion_ids"})
        self.rubric, self.config, self.eval_rows = rubric, config, eval_rows
        self.history: list[dict[str, Any]] = []
        self.display = Display(list(rubric.parts), quiet=quiet)
        self.resume = resume
        self.folder = None if output_dir is None else RunFolder(output_dir, resume=resume)
        self.reward = RubricReward(rubric, config, observer=self._rollouts)
        self._scratch = tempfile.TemporaryDirectory() if output_dir is None else None
        where = Path(self._scratch.name) if self._scratch else Path(str(output_dir)) / "checkpoints"
        self.tokenizer = load_tokenizer(model)
        torch.manual_seed(config.seed)
        loaded = load_model(model, dtype)
        self.inner: Any = Theirs(
            model=loaded,
            reward_funcs=[self.reward],
            args=to_trl_config(config, where, len(rows)),
            train_dataset=Dataset.from_list([dict(row) for row in rows]),
            processing_class=self.tokenizer,
            peft_config=None if lora is None else lora_config(lora),
            callbacks=[_Watch(self)],
        )
        self.inner.remove_callback(PrinterCallback)  # the display says it, part by part
        if self.folder is not None and not resume:
            own = {"grpo": config.model_dump(mode="json")}
            facts = {"rows": len(rows), "eval_rows": len(eval_rows)}
            self.folder.begin(describe or own, rubric, backend="trl", model=model, **facts)

    def train(self) -> TrainResult:
        """See :meth:`TRLTrainer.train`."""
        status = "failed"
        try:
            self._evaluate(0)
            self.inner.train(resume_from_checkpoint=self.resume or None)
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
            self.inner.save_model(str(self.folder.checkpoints / "final"))
        return TrainResult(step, self.history, self.folder.path if self.folder else None)

    def logged(self, step: int, logs: Mapping[str, Any]) -> None:
        """One line of TRL's log; what it calls by the callable's name is the total, said twice."""
        total_again = f"rewards/{self.inner.reward_func_names[0]}/"
        metrics = {n: value for n, value in logs.items() if not n.startswith(total_again)}
        self._log(step, "train", metrics)
        if "reward" in metrics:
            self.display.train(step, int(self.inner.state.max_steps), metrics)

    def _evaluate(self, step: int) -> None:
        if self.eval_rows:
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
        ids: Sequence[list[int]] | None,
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
                "completion_ids": None if ids is None else list(ids[i]),
                "logprobs": None,
                "score": score.to_dict(),
            }
            for i, (sample, score, group) in enumerate(zip(samples, scores, groups, strict=True))
        )
        self.folder.write_rollouts(step, records)


class _Watch(TrainerCallback):
    """Hands TRL's log lines on."""

    def __init__(self, run: TRLRun) -> None:
        self._run = run

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if logs and "train_runtime" not in logs:
            self._run.logged(int(state.global_step), logs)
