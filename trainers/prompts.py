"""Prompts: how rows become token ids, and in which order they come."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from rewardkit.errors import ConfigError, DataError
from rewardkit.rubric import Rubric
from rewardkit.sample import Sample, Text

__all__ = [
    "PromptStream",
    "as_completion",
    "check_data",
    "check_lengths",
    "encode_prompt",
    "to_sample",
]


def encode_prompt(tokenizer: Any, prompt: Text) -> list[int]:
    """Token ids of a prompt: text as it is, a chat by the tokenizer's own template.

    Raises:
        ConfigError: for a chat where the tokenizer has no chat template.
    """
    if isinstance(prompt, str):
        return list(tokenizer(prompt)["input_ids"])
    if not getattr(tokenizer, "chat_template", None):
        raise ConfigError(
            "the prompts are chats, but this tokenizer has no chat template (a base model?): give "
            "prompts as plain text, or set tokenizer.chat_template before saving it"
        )
    text = tokenizer.apply_chat_template(list(prompt), tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def as_completion(prompt: Text, text: str) -> Text:
    """A completion in the form of its prompt: text, or one assistant message (as in TRL)."""
    return text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]


def to_sample(row: Mapping[str, Any], text: str, completion_ids: list[int]) -> Sample:
    """What the rubric judges: the row with the completion written to it."""
    sample = Sample.from_row(
        {k: v for k, v in row.items() if k != "completion"},
        completion=as_completion(row["prompt"], text),
    )
    columns = {**sample.columns, "completion_ids": completion_ids}
    return Sample(
        completion=sample.completion, answer=sample.answer, prompt=sample.prompt, columns=columns
    )


def _check_rows(rows: Sequence[Mapping[str, Any]], what: str) -> None:
    """Raises ``DataError`` for an empty dataset or a row without a prompt."""
    if not rows:
        raise DataError(f"{what} is empty: there is nothing to learn from")
    for index, row in enumerate(rows):
        if not row.get("prompt"):
            have = ", ".join(map(str, row)) or "none"
            raise DataError(
                f"row {index} of {what} has no 'prompt'; columns there are: {have}. Map one to it, "
                f"as in columns: {{prompt: question}}"
            )


def check_data(
    rubric: Rubric,
    rows: Sequence[Mapping[str, Any]],
    eval_rows: Sequence[Mapping[str, Any]],
) -> None:
    """All that can be known to be wrong with the data, before a model is loaded."""
    _check_rows(rows, "the training data")
    if eval_rows:
        _check_rows(eval_rows, "the evaluation data")
    for row in (*rows, *eval_rows):
        rubric.check_columns({*row, "completion_ids"})


def check_lengths(
    rows: Sequence[Mapping[str, Any]], tokenizer: Any, longest: int | None, room: int
) -> int:
    """Tokens of the longest prompt; 0 without rows.

    Raises:
        DataError: for a prompt after which a completion of ``room`` tokens would not fit. Found
            before anything is generated, and not in the middle of a run.
    """
    most = 0
    for index, row in enumerate(rows):
        tokens = len(encode_prompt(tokenizer, row["prompt"]))
        if not tokens:
            raise DataError(f"the prompt of row {index} has no tokens")
        if longest is not None and tokens + room > longest:
            raise DataError(
                f"the prompt of row {index} has {tokens} tokens; with max_completion_length={room} "
                f"that is more than the {longest} that the model can hold: leave the row out, or "
                f"lower max_completion_length"
            )
        most = max(most, tokens)
    return most


class PromptStream:
    """Rows in an endless, shuffled order that depends on the seed and the position alone.

    Epoch ``e`` is a permutation seeded by (seed, e), so a position is all that a checkpoint needs.
    """

    def __init__(self, n: int, seed: int, *, shuffle: bool) -> None:
        self.n, self.seed, self.shuffle = n, seed, shuffle
        self._epoch, self._order = -1, list(range(n))

    def rows(self, start: int, count: int) -> list[int]:
        """Row numbers at positions ``start .. start + count``."""
        return [self._row(position) for position in range(start, start + count)]

    def _row(self, position: int) -> int:
        epoch, place = divmod(position, self.n)
        if self.shuffle and epoch != self._epoch:
            self._order = list(range(self.n))
            random.Random(f"{self.seed}:{epoch}").shuffle(self._order)
            self._epoch = epoch
        return self._order[place]
