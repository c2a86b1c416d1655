"""How a user's function wants to be called: which form, and which value for each argument."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rewardkit.errors import UsageError
from rewardkit.sample import Sample

__all__ = ["Form", "Signature"]

Form = Literal["single", "batch", "group"]

_SINGLE: Mapping[str, Callable[[Sample], Any]] = {
    "completion": lambda s: s.text,
    "prompt": lambda s: s.prompt_text,
    "answer": lambda s: s.answer,
    "sample": lambda s: s,
}


def _log_extra(column: str, values: list[Any]) -> None:
    """Stands in for TRL's: by name, so that a call with a hard limit can be sent to its worker."""


def _log_metric(name: str, value: float) -> None:
    """As above."""


# What TRL's trainer passes besides the columns. Scoring happens outside of any trainer too, so a
# function that asks for them by name gets neutral stand-ins.
_TRL_EXTRAS: Mapping[str, Any] = {
    "trainer_state": None,
    "log_extra": _log_extra,
    "log_metric": _log_metric,
}


@dataclass(frozen=True, slots=True)
class Signature:
    """The arguments of one reward function.

    Attributes:
        name: the function's name, for messages.
        form: ``"single"`` is called once per sample, ``"batch"`` once per batch (TRL's way),
            ``"group"`` once per group, with the arguments of the batch form.
        required: names without a default.
        optional: names with a default, passed when there is a value.
        takes_all: the function has ``**kwargs`` and is given every column.
    """

    name: str
    form: Form
    required: tuple[str, ...]
    optional: tuple[str, ...]
    takes_all: bool

    @classmethod
    def of(cls, fn: Callable[..., Any], name: str, form: Form | None) -> Signature:
        """Read a function's signature.

        Raises:
            UsageError: for positional-only arguments, ``*args`` or an unreadable signature.
        """
        required: list[str] = []
        optional: list[str] = []
        takes_all = False
        for parameter in _parameters(fn, name):
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                takes_all = True
            elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
                raise UsageError(
                    f"reward {name!r} takes {parameter}, but rewards are called by argument name: "
                    f"use names such as completion, answer, prompt or a column's"
                )
            else:
                where = required if parameter.default is parameter.empty else optional
                where.append(parameter.name)
        seen = {*required, *optional}
        if form is None:
            form = "batch" if "completions" in seen else "single"
        return cls(name, form, tuple(required), tuple(optional), takes_all)

    @property
    def columns(self) -> frozenset[str]:
        """Columns of the row without which the function cannot be called."""
        if self.form == "single":
            return frozenset(self.required) - {"completion", "sample"}
        ours = {"prompts": "prompt", "completions": "completion"}
        names = {ours.get(name, name) for name in self.required}
        return frozenset(names) - {"completion", *_TRL_EXTRAS}

    def single(self, sample: Sample) -> dict[str, Any]:
        """Keyword arguments for one sample. Raises ``MissingColumnError``."""
        values: dict[str, Any] = {}
        if self.takes_all:
            values.update(sample.columns)
            values.update({n: read(sample) for n, read in _SINGLE.items() if n != "sample"})
        for name in self.required:
            read = _SINGLE.get(name)
            values[name] = read(sample) if read else sample.get(name, wanted_by=self._who)
        for name in self.optional:
            read = _SINGLE.get(name)
            if read:
                values[name] = read(sample)
            elif name in sample.columns:
                values[name] = sample.columns[name]
        return values

    def batch(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """Keyword arguments for a batch, TRL's way: lists, prompts and completions as they are.

        Raises:
            MissingColumnError: if any of the samples lacks a column that is asked for.
        """
        values: dict[str, Any] = {}
        names = self.required + self.optional
        if self.takes_all:
            shared = set.intersection(*(set(s.columns) for s in samples)) if samples else set()
            values.update({name: [s.columns[name] for s in samples] for name in sorted(shared)})
            values["answer"] = [s.answer for s in samples]
            names += ("prompts", "completions")
        for name in names:
            if name == "prompts":
                values[name] = [s.prompt for s in samples]
            elif name == "completions":
                values[name] = [s.completion for s in samples]
            elif name in _TRL_EXTRAS:
                values[name] = _TRL_EXTRAS[name]
            elif name in self.required or all(name in s.column_names for s in samples):
                values[name] = [s.get(name, wanted_by=self._who) for s in samples]
        return values

    @property
    def _who(self) -> str:
        return f"reward {self.name!r}"


def _parameters(fn: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError) as error:
        raise UsageError(f"reward {name!r}: cannot read the signature of {fn!r}: {error}") from None
