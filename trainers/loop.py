"""The built-in GRPO trainer: prompts, completions, rubric, advantages, clipped surrogate, step."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from transformers import get_scheduler

from rewardkit.metrics import check_unscorable, score_metrics
from rewardkit.rubric import Rubric
from rewardkit.trainers import state
from rewardkit.trainers.config import Dtype, GRPOConfig, LoraSettings
from rewardkit.trainers.evaluate import evaluate
from rewardkit.trainers.interrupt import GracefulStop
from rewardkit.trainers.judging import assign_advantages, judge, reward_metrics
from rewardkit.trainers.model import Policy, as_policy
from rewardkit.trainers.progress import Display
from rewardkit.trainers.prompts import PromptStream, check_data, check_lengths, encode_prompt
from rewardkit.trainers.result import TrainResult
from rewardkit.trainers.rollout.batch import Completion, Rollouts
from rewardkit.trainers.rollout.generate import Request, generate
from rewardkit.trainers.runfolder import RunFolder
from rewardkit.trainers.step import note_logps, optimizer_step

__all__ = ["GRPOTrainer"]


class GRPOTrainer:
    """Group Relative Policy Optimization (arXiv 2402.03300) on a rubric.

    Args:
        model: a folder, a hub name, or a ready :class:`Policy`.
        rubric: scores the completions.
        train_data: rows with a ``prompt`` (text or chat) and the columns that the rubric needs.
        config: see :class:`GRPOConfig`.
        eval_data: held-out rows, evaluated before, after, and every ``eval_steps``.
        lora: train adapters instead of the full weights.
        dtype: of the weights when loaded.
        output_dir: the run folder; ``None`` writes nothing.
        resume: go on from the newest checkpoint in ``output_dir``.
        quiet: print nothing.
        describe: what to write to ``config.yaml``; the trainer's own configuration if not given.

    Raises:
        ConfigError, DataError, MissingColumnError: before anything is generated.
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
        output_dir: str | Path | None = None,
        resume: bool = False,
        quiet: bool = False,
        describe: Mapping[str, Any] | None = None,
    ) -> None:
        self.config = config or GRPOConfig()
        self.rubric, self.rows, self.eval_rows = rubric, list(train_data), list(eval_data or ())
        check_data(rubric, self.rows, self.eval_rows)
        self.total_steps = self.config.total_steps(len(self.rows))
        torch.manual_seed(self.config.seed)
        self.folder = None if output_dir is None else RunFolder(output_dir, resume=resume)
        self.policy = as_policy(model, dtype, lora, self.config)
        self.policy.model.train()
        room = (self.policy.context_length, self.config.max_completion_length)
        for rows in (self.rows, self.eval_rows):
            check_lengths(rows, self.policy.tokenizer, *room)
        self.stream = PromptStream(
            len(self.rows), self.config.seed, shuffle=self.config.shuffle_dataset
        )
        self.optimizer = _adamw(self.policy, self.config)
        self.scheduler = get_scheduler(
            self.config.lr_scheduler_type,
            self.optimizer,
            num_warmup_steps=self.config.warmup_steps,
            num_training_steps=self.total_steps,
        )
        self.display = Display(list(rubric.parts), quiet=quiet)
        self.progress = state.Progress()
        self.history: list[dict[str, Any]] = []
        self._shown = -1
        if self.folder is not None:
            self._open_folder(self.folder, resume, describe, str(model))

    def train(self) -> TrainResult:
        """Run to the last step (or go on from a checkpoint); returns what came of it.

        Ctrl-C stops after the step with a checkpoint (twice: at once, and the last one stands).
        However a run ends, its folder says how.
        """
        status = "stopped"
        try:
            with GracefulStop() as stop:
                if self.progress.step == 0:
                    self._evaluate()
                while self.progress.step < self.total_steps:
                    self._step()
                    if stop.asked:
                        self._save()
                        raise KeyboardInterrupt
            self._evaluate()
            self._save()
            status = "finished"
        except Exception:
            status = "failed"
            raise
        finally:
            if self.folder is not None:
                self.folder.finish(status, steps=self.progress.step)
        path = None if self.folder is None else self.folder.path
        return TrainResult(self.progress.step, self.history, path)

    def _step(self) -> None:
        """One optimizer step, with a new generation first where the last one is used up."""
        config, progress, began = self.config, self.progress, perf_counter()
        metrics: dict[str, Any] = {}
        if progress.rollouts is None or progress.rollouts.done >= config.steps_per_rollout:
            progress.rollouts, metrics = self._roll_out()
            progress.generations += 1
        start = perf_counter()
        micro_batches = _micro_batches(progress.rollouts, config)
        update = optimizer_step(self.policy, self.optimizer, self.scheduler, micro_batches, config)
        progress.rollouts.done += 1
        progress.step += 1
        if config.ref_refresh_every and progress.step % config.ref_refresh_every == 0:
            self.policy.refresh_reference()
        prompts = progress.generations * config.prompts_per_generation
        now = perf_counter()
        times = {"time/train_s": now - start, "step_time": now - began}
        line = {**metrics, **update, **times, "epoch": prompts / len(self.rows)}
        self._log("train", line)
        if metrics and (progress.step - 1) // config.logging_steps != self._shown:
            self._shown = (progress.step - 1) // config.logging_steps
            self.display.train(progress.step, self.total_steps, line)
        if config.eval_steps and progress.step % config.eval_steps == 0:
            self._evaluate()
        if config.save_steps and progress.step % config.save_steps == 0:
            self._save()

    def _roll_out(self) -> tuple[Rollouts, dict[str, Any]]:
        """Generate, score, and note advantages and log-probabilities."""
        config = self.config
        began = perf_counter()
        items = generate(self.policy, self._requests(), config, step=self.progress.generations)
        generated = perf_counter()
        scores = judge(items, self.rubric, self.rows, config.reward_timeout_s)
        judged = perf_counter()
        assign_advantages(items, config)
        rollouts = Rollouts(self.progress.step, items, _shuffled(items, config, self.progress))
        self._write_rollouts(rollouts)
        check_unscorable(scores, config.max_error_frac, config.max_unscorable_frac)
        learned = [c for c in items if c.learned_from(config.mask_truncated_completions)]
        if config.steps_per_rollout > 1 and learned:
            note_logps(self.policy, learned, config, which="old")
        if config.beta and learned:
            with self.policy.as_reference():
                note_logps(self.policy, learned, config, which="ref")
        return rollouts, {
            **score_metrics(scores),
            **reward_metrics(items),
            "num_tokens": self._tokens_so_far() + sum(len(c.prompt_ids + c.ids) for c in items),
            "time/rollout_s": generated - began,
            "time/reward_s": judged - generated,
        }

    def _tokens_so_far(self) -> int:
        """Tokens of prompts and completions of the generations before, as TRL counts them."""
        counts = (row["num_tokens"] for row in reversed(self.history) if "num_tokens" in row)
        return int(next(counts, 0))

    def _requests(self) -> list[Request]:
        """The completions to make next: every prompt ``num_generations`` times."""
        config = self.config
        start = self.progress.generations * config.prompts_per_generation
        requests = []
        for offset, row in enumerate(self.stream.rows(start, config.prompts_per_generation)):
            ids = encode_prompt(self.policy.tokenizer, self.rows[row]["prompt"])
            requests += [
                Request(start + offset, row, k, ids) for k in range(config.num_generations)
            ]
        return requests

    def _evaluate(self) -> None:
        """Evaluate, unless that was done after this step already (also before a resume)."""
        done = any(r["kind"] == "eval" and r["step"] == self.progress.step for r in self.history)
        if self.eval_rows and not done:
            metrics = evaluate(self.policy, self.rubric, self.eval_rows, self.config)
            self._log("eval", metrics)
            self.display.evaluation(self.progress.step, metrics)

    def _log(self, kind: str, metrics: Mapping[str, Any]) -> None:
        self.history.append({"step": self.progress.step, "kind": kind, **metrics})
        if self.folder is not None:
            self.folder.log(self.progress.step, kind, metrics)

    def _write_rollouts(self, rollouts: Rollouts) -> None:
        if self.folder is not None:
            step = self.progress.step + 1
            self.folder.write_rollouts(step, (c.record(step) for c in rollouts))

    def _save(self) -> None:
        if self.folder is not None:
            keep = self.config.save_total_limit
            where = (self.policy, self.optimizer, self.scheduler, self.progress)
            config = self.config.model_dump(mode="json")
            state.save(self.folder.checkpoints, *where, config, keep)

    def _restore(self, folder: RunFolder, config: dict[str, Any]) -> None:
        """Go on from the newest checkpoint, or from the beginning if there is none yet."""
        found = state.latest(folder.checkpoints)
        folder.rewind(-1 if found is None else int(found.name.removeprefix("step_")))
        self.history = folder.lines()
        if found is not None:
            where = (self.policy, self.optimizer, self.scheduler)
            self.progress = state.restore(found, *where, config)
        folder.update(status="running", resumed_at=self.progress.step)
        self.display.say(f"resumed at step {self.progress.step} from {found or 'the beginning'}")

    def _open_folder(
        self,
        folder: RunFolder,
        resume: bool,
        describe: Mapping[str, Any] | None,
        model: str,
    ) -> None:
        own = {"grpo": self.config.model_dump(mode="json")}
        if resume:
            folder.check_rubric(self.rubric)
            self._restore(folder, own["grpo"])
            return
        facts = {"rows": len(self.rows), "eval_rows": len(self.eval_rows)}
        folder.begin(describe or own, self.rubric, backend="builtin", model=model, **facts)


def _adamw(policy: Policy, config: GRPOConfig) -> torch.optim.AdamW:
    """AdamW; as in ``transformers``, biases and norms do not decay."""
    parameters = policy.trainable()
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
    )


def _shuffled(
    items: Sequence[Completion], config: GRPOConfig, progress: state.Progress
) -> list[int]:
    order = list(range(len(items)))
    random.Random(f"{config.seed}:order:{progress.generations}").shuffle(order)
    return order


def _micro_batches(rollouts: Rollouts, config: GRPOConfig) -> list[list[Completion]]:
    """The micro-batches of the next optimizer step on these rollouts."""
    size, count = config.per_device_train_batch_size, config.gradient_accumulation_steps
    first = rollouts.done * count % config.micro_batches
    cuts = [range(k * size, (k + 1) * size) for k in range(first, first + count)]
    return [[rollouts.items[rollouts.order[i]] for i in cut] for cut in cuts]
