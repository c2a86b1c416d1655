"""What is judged: one completion with its prompt, its gold answer and its dataset row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rewardkit.errors import MissingColumnError, UsageError, brief

__all__ = ["Aspect", "Column", "Message", "Sample", "Text", "aspect_by", "last_text"]

Message = Mapping[str, Any]
"""One chat message: ``{"role": ..., "content": ...}``; content is text or a list of parts."""

Text = str | Sequence[Message]
"""Plain text, or a chat as a sequence of messages."""

_FIELDS = ("prompt", "completion", "answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One thing to judge. Frozen; verifiers and rewards must not change what it holds.

    Args:
        completion: what the model wrote, as text or as chat messages.
        answer: the gold answer, of whatever type the verifier understands; ``None`` if there is
            none.
        prompt: what the model was asked, as text or as chat messages.
        columns: every other column of the dataset row, by its own name.

    Raises:
        UsageError: if completion or prompt is neither text nor a sequence of messages, or if a
            column is called ``prompt``, ``completion`` or ``answer``.

    Example:
        >>> Sample(completion="<answer>4</answer>", answer="4", prompt="2 + 2").text
        '<answer>4</answer>'
    """

    completion: Text
    answer: Any = None
    prompt: Text | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_text("completion", self.completion)
        if self.prompt is not None:
            _check_text("prompt", self.prompt)
        clash = [name for name in _FIELDS if name in self.columns]
        if clash:
            raise UsageError(
                f"columns may not contain {clash[0]!r}: pass it as Sample({clash[0]}=...)"
            )
        # A copy, so that a caller who goes on using its dict does not change a sample judged later.
        object.__setattr__(self, "columns", dict(self.columns))

    @classmethod
    def from_row(cls, row: Mapping[str, Any], *, completion: Text | None = None) -> Sample:
        """A sample from one dataset row; ``completion`` replaces the row's own, if it has one.

        Raises:
            MissingColumnError: if there is no completion in either place.
        """
        rest = dict(row)
        prompt, answer = rest.pop("prompt", None), rest.pop("answer", None)
        own = rest.pop("completion", None)
        chosen = own if completion is None else completion
        if chosen is None:
            raise MissingColumnError("completion", row.keys(), "a sample")
        return cls(completion=chosen, answer=answer, prompt=prompt, columns=rest)

    @property
    def text(self) -> str:
        """The judged text: the completion, or the last assistant message of it.

        Of content in parts it is the text parts, put together (plain strings are such parts); a
        number is written out. Images and whatever else is no text, ``None`` too, are left out.
        """
        return last_text(self.completion, role="assistant")

    @property
    def prompt_text(self) -> str:
        """The question: the prompt, or its last user message; empty if there is no prompt."""
        return "" if self.prompt is None else last_text(self.prompt, role="user")

    def get(self, name: str, *, wanted_by: str) -> Any:
        """The value of a column, ``prompt``, ``completion`` and ``answer`` included.

        Raises:
            MissingColumnError: naming the columns there are.
        """
        if name in _FIELDS:
            return getattr(self, name)
        try:
            return self.columns[name]
        except KeyError:
            raise MissingColumnError(name, self.column_names, wanted_by) from None

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names that :meth:`get` accepts."""
        return (*_FIELDS, *self.columns)


@dataclass(frozen=True, slots=True)
class Column:
    """Stands for "the value in this row's column" where a verifier takes an argument.

    Example:
        >>> Column("tests")
        Column(column='tests')
    """

    column: str

    def of(self, sample: Sample, *, wanted_by: str) -> Any:
        """The value in this sample's row. Raises ``MissingColumnError``."""
        return sample.get(self.column, wanted_by=wanted_by)


Aspect = Literal["answer", "form", "unknown"]
"""What of a completion is judged: whether it is right, or only how it is written, as any text can
be, whatever it says. The design of a rubric is checked by it (:mod:`rewardkit.lint`)."""


def aspect_by(columns: Iterable[str]) -> Aspect:
    """What is judged, as far as it can be told by the columns that judging reads: what looks at
    nothing but the completion judges its form, and what looks at the prompt may judge anything."""
    beside = set(columns) - {"completion"}
    if not beside:
        return "form"
    return "answer" if beside - {"prompt"} else "unknown"


def last_text(text: Text, *, role: str) -> str:
    """The text itself, or that of the last message of ``role`` (of the last message if none is).

    A chat without a message of that role is judged by its last message: a model that answers under
    a role of its own invention still gets judged, rather than read as empty.
    """
    if isinstance(text, str):
        return text
    if not text:
        return ""
    mine = [message for message in text if message.get("role") == role]
    return _content(mine[-1] if mine else text[-1])


def _content(message: Message) -> str:
    """The text of a message, whatever its content is: an odd message must not stop a run."""
    content = message.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str | bytes | bytearray):
        return "".join(_part_text(part) for part in content)
    return _part_text(content)


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping) and part.get("type", "text") == "text":
        return _part_text(part.get("text"))
    if isinstance(part, int | float) and not isinstance(part, bool):  # content: 5, in YAML
        return str(part)
    return ""


def _check_text(name: str, value: object) -> None:
    if isinstance(value, str):
        return
    ok = isinstance(value, Sequence) and not isinstance(value, bytes | bytearray)
    if ok and all(isinstance(m, Mapping) and isinstance(m.get("role"), str) for m in value):  # type: ignore[attr-defined]
        return
    raise UsageError(
        f"{name} must be text or a list of messages like "
        f'{{"role": "assistant", "content": "..."}}, got {type(value).__name__}: {brief(value)}'
    )
