"""The built-in GRPO trainer: prompts, completions, rubric, advantages, clipped surrogate, step."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from rewardkit.errors import HalfStepError, RewardKitError, TooManyUnscorableError
from rewardkit.metrics import check_unscorable, score_metrics
from rewardkit.rubric import Rubric
from rewardkit.trainers import checkpoints, parallel
from rewardkit.trainers.config import Dtype, GRPOConfig, LoraSettings, QuantSettings
from rewardkit.trainers.credit import credit
from rewardkit.trainers.evaluate import evaluate
from rewardkit.trainers.interrupt import GracefulStop
from rewardkit.trainers.judging import reward_metrics, scores_of
from rewardkit.trainers.model import Policy, as_policy
from rewardkit.trainers.notes import Teller
from rewardkit.trainers.optim import check_optimizer, make_optimizer
from rewardkit.trainers.preflight import preflight
from rewardkit.trainers.progress import Display
from rewardkit.trainers.prompts import PromptStream, check_data, check_lengths
from rewardkit.trainers.result import TrainResult
from rewardkit.trainers.resume import Start, starting_point
from rewardkit.trainers.rollout.batch import Completion, Rollouts
from rewardkit.trainers.rollout.cache import at_a_time
from rewardkit.trainers.rollout.collect import Collected, Collector
from rewardkit.trainers.runfolder import RunFolder
from rewardkit.trainers.schedule import make_schedule
from rewardkit.trainers.state import (
    Progress,
    Run,
    data_digest,
    generators,
    seed_generators,
    weights_digest,
)
from rewardkit.trainers.step import optimizer_step

__all__ = ["GRPOTrainer"]


class GRPOTrainer:
    """Group Relative Policy Optimization (arXiv 2402.03300) on a rubric.

    Launched in several processes, all train one model (:mod:`rewardkit.trainers.parallel`); process
    0 alone writes the run folder and to the terminal.

    Args:
        model: a folder (of a model, or of an adapter, which is trained on), a hub name, or a ready
            :class:`Policy`.
        rubric: scores the completions.
        train_data: rows with a ``prompt`` (text or chat) and the columns that the rubric needs.
        config: see :class:`GRPOConfig`.
        eval_data: held-out rows, evaluated before, after, and every ``eval_steps``.
        lora: train adapters instead of the full weights.
        dtype: of the weights when loaded.
        quantization: load the weights in four bits, to train adapters on them.
        output_dir: the run folder; ``None`` writes nothing.
        resume: go on from a checkpoint in ``output_dir``.
        checkpoint: the step of that checkpoint; ``None``: the newest good one. Later ones are set
            aside.
        new_data: the rows may be others than the run had so far; it goes on with the first of them.
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
        quantization: QuantSettings | None = None,
        output_dir: str | Path | None = None,
        resume: bool = False,
        checkpoint: int | None = None,
        new_data: bool = False,
        quiet: bool = False,
        describe: Mapping[str, Any] | None = None,
    ) -> None:
        parallel.start()
        self.asked = config or GRPOConfig()
        self.config = parallel.whole(self.asked)
        self.rubric, self.rows, self.eval_rows = rubric, list(train_data), list(eval_data or ())
        check_data(rubric, self.rows, self.eval_rows)
        self.path = None if output_dir is None else Path(output_dir)
        self.folder: RunFolder | None = None  # of process 0 alone

        def look() -> Start:
            self.folder = None if output_dir is None else RunFolder(output_dir, resume=resume)
            return starting_point(
                self.folder, rubric, self.rows, resume=resume, checkpoint=checkpoint,
                new_data=new_data,
            )  # fmt: skip

        start = parallel.lead(look)
        self.total_steps = start.total_steps(self.config, len(self.rows))
        check_optimizer(self.config)
        seed_generators(self.config.seed)  # all generators: a reward may draw from any of them
        self.policy = parallel.agree(
            lambda: as_policy(model, dtype, lora, self.config, quantization)
        )
        if parallel.rank():  # what is dropped at random, say, is not the same in all processes
            seed_generators(self.config.seed + parallel.rank())
        self.policy.model.train()
        room = (self.policy.context_length, self.config.max_completion_length)
        longest = max(
            check_lengths(rows, self.policy.tokenizer, *room)
            for rows in (self.rows, self.eval_rows)
        )
        base = self.policy.base
        # A budget that is too small for a prompt is found now, and not when it comes up.
        at_a_time(self.config, base.config, base.dtype.itemsize, [range(longest)])
        stream = PromptStream(len(self.rows), self.config.seed, shuffle=self.config.shuffle_dataset)
        self.collector = Collector(self.policy, rubric, self.rows, stream, self.config)
        self.optimizer = make_optimizer(self.policy.model, self.config)
        self.scheduler = make_schedule(
            self.config.lr_scheduler_type,
            self.optimizer,
            self.config.warmup_steps,
            self.total_steps,
        )
        self.display = Display(list(rubric.parts), quiet=quiet or parallel.rank() > 0)
        self.progress = Progress(data=start.data)
        self.history: list[dict[str, Any]] = []
        self._teller, self._shown = Teller(self.display.warn), -1
        if resume:
            self._go_on(start, describe, set_aside=checkpoint is not None)
        else:
            name = self.policy.base.name_or_path if isinstance(model, Policy) else str(model)
            parallel.lead(lambda: self._begin(describe, name))
        parallel.check_same(self._identity)

    def train(self) -> TrainResult:
        """Run to the last step (or go on from a checkpoint); returns what came of it.

        Ctrl-C or SIGTERM stops after the step with a checkpoint (twice: at once, and the last one
        stands). However a run ends, its folder says how.

        Raises:
            TooManyUnscorableError: when more of a batch could not be judged than is allowed.
            RewardKitError: if a loss or gradient is not finite, or a checkpoint cannot be written.
            HalfStepError: if memory does not suffice for the optimizer; go on from a checkpoint.
        """
        status = "stopped"
        try:
            with GracefulStop() as stop:
                self._look_before()
                while not (asked := parallel.first(stop.asked)):
                    if self.progress.step >= self.total_steps:
                        break
                    self._step()
                if asked:
                    self._save()
                    stop.leave(asked)
            self._evaluate()
            self._save()
            status = "finished"
        except Exception:
            status = "failed"
            raise
        finally:
            self._finish(status)
        return TrainResult(self.progress.step, self.history, self.path)

    def _look_before(self) -> None:
        """What is measured before the first step, where that was not done."""
        if self.progress.step:
            return
        if self.config.preflight_prompts and not self._logged("preflight"):
            metrics = preflight(self.policy, self.rubric, self.rows, self.config)
            self._log("preflight", metrics)
            self.display.preflight(metrics)
        self._evaluate()

    def _step(self) -> None:
        """One optimizer step, with a new generation first where the last one is used up."""
        config, progress, began = self.config, self.progress, perf_counter()
        metrics: dict[str, Any] = {}
        if progress.rollouts is None or progress.rollouts.done >= config.steps_per_rollout:
            progress.rollouts, metrics = self._roll_out()
        start = perf_counter()
        update = self._update(progress.rollouts)
        progress.rollouts.done += 1
        progress.step += 1
        if config.ref_refresh_every and progress.step % config.ref_refresh_every == 0:
            self.policy.refresh_reference()
        now = perf_counter()
        times = {"time/train_s": now - start, "step_time": now - began}
        line = {**metrics, **update, **times, "epoch": self._epoch()}
        self._log("train", line)
        if metrics:
            self._show(line)
        if config.eval_steps and progress.step % config.eval_steps == 0:
            self._evaluate()
        if config.save_steps and progress.step % config.save_steps == 0:
            self._save()

    def _roll_out(self) -> tuple[Rollouts, dict[str, Any]]:
        """Generate, score, and note advantages and log-probabilities.

        The run's progress is touched last, so that a failure on the way leaves it where it was.
        """
        config, progress = self.config, self.progress
        place = progress.prompts - progress.data_prompts
        made = self.collector.collect(progress.generations, progress.prompts, place)
        scores = scores_of(made.items)
        try:
            check_unscorable(scores, config.max_error_frac, config.max_unscorable_frac)
            credit(self.policy, made.kept, config, progress.carried)
        except TooManyUnscorableError:
            self._save(prune=False)  # the cause is outside: mended, the run goes on from here
            raise
        finally:
            parallel.lead(lambda: self._write_rollouts(made))
        rollouts = Rollouts(progress.step, made.kept, _shuffled(made.kept, config, progress))
        progress.tokens += sum(len(c.prompt_ids + c.ids) for c in made.items)
        progress.prompts += made.prompts
        progress.generations += 1
        times = {f"time/{name}_s": seconds for name, seconds in made.seconds.items()}
        metrics = {**score_metrics(scores), **reward_metrics(made.items), **times}
        if config.dynamic_sampling:
            metrics |= made.metrics()
        metrics |= {"num_tokens": progress.tokens, **self._teller.note(metrics, config)}
        return rollouts, metrics

    def _update(self, rollouts: Rollouts) -> dict[str, Any]:
        """The optimizer step; where it comes to no number, what went into it is kept."""
        micro_batches = _micro_batches(rollouts, self.config)
        try:
            return optimizer_step(
                self.policy, self.optimizer, self.scheduler, micro_batches, self.config,
                self.progress.carried,
            )  # fmt: skip
        except HalfStepError:
            raise  # half-changed weights are nothing to keep, least of all as those from before
        except RewardKitError as error:
            if self.folder is None:
                raise
            kept = self._run.save(self.folder.failed, self.progress)
            raise RewardKitError(
                f"{error}. All that went into step {self.progress.step + 1} is in {kept}, its "
                f"completions also in {self.folder.path / 'rollouts'}"
            ) from error

    def _epoch(self) -> float:
        return (self.progress.prompts - self.progress.data_prompts) / len(self.rows)

    def _logged(self, kind: str) -> bool:
        """Whether this was measured after this very step already, perhaps before a resume."""
        return any(r["kind"] == kind and r["step"] == self.progress.step for r in self.history)

    def _evaluate(self) -> None:
        """Evaluate, unless that was done after this step already."""
        if self.eval_rows and not self._logged("eval"):
            metrics = evaluate(self.policy, self.rubric, self.eval_rows, self.config)
            self._log("eval", metrics)
            self.display.evaluation(self.progress.step, metrics)

    def _show(self, line: Mapping[str, Any]) -> None:
        """A generation in the terminal, if one is due."""
        due = (self.progress.step - 1) // self.config.logging_steps
        if due != self._shown:
            self._shown = due
            self.display.train(self.progress.step, self.total_steps, line)

    def _log(self, kind: str, metrics: Mapping[str, Any]) -> None:
        self.history.append({"step": self.progress.step, "kind": kind, **metrics})

        def write() -> None:
            if self.folder is not None:
                self.folder.log(self.progress.step, kind, metrics)

        parallel.lead(write)

    def _write_rollouts(self, made: Collected) -> None:
        if self.folder is None:
            return
        step = self.progress.step + 1
        kept = {c.group for c in made.kept}
        records = (c.record(step) | {"dropped": c.group not in kept} for c in made.items)
        self.folder.write_rollouts(step, records)

    @property
    def _run(self) -> Run:
        return Run(self.policy, self.optimizer, self.scheduler, self.config)

    def _save(self, *, prune: bool = True) -> None:
        parallel.check_same(
            lambda: {
                "weights": weights_digest(self.policy),
                "numbers carried from step to step": self.progress.carried,
            }
        )
        others = parallel.gather(generators)[1:]

        def write() -> None:
            if self.folder is not None:
                self.folder.flush()
                keep = self.config.save_total_limit if prune else None
                self._run.save(self.folder.checkpoints, self.progress, keep, others)

        parallel.lead(write)

    def _finish(self, status: str) -> None:
        if self.folder is None:
            return
        try:
            self.folder.finish(status, steps=self.progress.step)
        except OSError as error:  # a full disk, say: it must not hide why the run ended
            self.display.warn(f"manifest.json could not be written: {error}")

    def _identity(self) -> dict[str, Any]:
        """What must be the same in all processes."""
        return {
            "configuration": self.config.model_dump(mode="json"),
            "rubric": self.rubric.fingerprint,
            "data": data_digest(self.rows),
            "weights": weights_digest(self.policy),
        }

    def _begin(self, describe: Mapping[str, Any] | None, model: str) -> None:
        if self.folder is None:
            return
        own = {"grpo": self.asked.model_dump(mode="json")}
        self.folder.begin(
            describe or own,
            self.rubric,
            backend="builtin",
            model=model,
            rows=len(self.rows),
            eval_rows=len(self.eval_rows),
            data=self.progress.data,
            processes=parallel.processes(),
        )

    def _go_on(self, start: Start, describe: Mapping[str, Any] | None, *, set_aside: bool) -> None:
        """From the checkpoint that was found, or from the beginning if there is none yet."""
        found = start.checkpoint
        if found is not None:
            self.progress = parallel.agree(lambda: self._run.restore(found))
            self.progress.take_up(start.data)
        self.history = parallel.lead(lambda: self._take_up(start, describe, set_aside=set_aside))

    def _take_up(
        self, start: Start, describe: Mapping[str, Any] | None, *, set_aside: bool
    ) -> list[dict[str, Any]]:
        """The run folder as it was at that checkpoint; gives what had been logged by then."""
        folder = self.folder
        assert folder is not None
        if set_aside:
            for left in checkpoints.leave_behind(folder.checkpoints, start.step):
                start.notes.append(f"a later checkpoint is set aside as {left}")
        folder.rewind(-1 if start.checkpoint is None else start.step)
        if describe is not None:
            folder.write_config(describe)
        step, count = self.progress.step, parallel.processes()
        folder.update(status="running", resumed_at=step, processes=count)
        for note in start.notes:
            self.display.warn(note)
        where = start.checkpoint or "the beginning"
        self.display.say(f"resumed at step {step} from {where}")
        return folder.lines()


def _shuffled(items: Sequence[Completion], config: GRPOConfig, progress: Progress) -> list[int]:
    order = list(range(len(items)))
    random.Random(f"{config.seed}:order:{progress.generations}").shuffle(order)
    return order


def _micro_batches(rollouts: Rollouts, config: GRPOConfig) -> list[list[Completion]]:
    """The micro-batches of the next optimizer step on these rollouts."""
    size, count = config.per_device_train_batch_size, config.gradient_accumulation_steps
    first = rollouts.done * count % config.micro_batches
    cuts = [range(k * size, (k + 1) * size) for k in range(first, first + count)]
    return [[rollouts.items[rollouts.order[i]] for i in cut] for cut in cuts]
