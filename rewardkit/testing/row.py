"""One fixture: what is judged, and what is expected of its score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from rewardkit._arguments import explain_validation
from rewardkit._near import meant, slip_of
from rewardkit.errors import DataError, UsageError, brief
from rewardkit.sample import Sample
from rewardkit.testing.expect import Expect, Judged, Range

__all__ = ["Fixture", "Recorded", "Truth", "fixture", "is_free_column", "read_fixture"]

Truth = Literal["correct", "incorrect"]


class Recorded(BaseModel):
    """What is known of a row that was recorded and not written by hand.

    Attributes:
        rubric: fingerprint of the rubric whose score it holds.
        reviewed: whether somebody has looked at it and accepted it.
        was: what was expected before, where the row was updated since it was accepted.
        why: why it was picked among many.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    rubric: str
    reviewed: Annotated[bool, Strict()]
    was: dict[str, Any] | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Fixture:
    """One row: what is judged, and what is expected.

    Attributes:
        id: its name, unique in the file.
        sample: what is judged.
        expect: what is expected of the score.
        approx: how far a number may be off.
        group: rows that share a group are scored together.
        line: where it stands in the file, from 1; 0 if it stands in none.
        truth: how it really is, by part (or for the only part that is judged); for
            :mod:`rewardkit.testing.noise`. It is no expectation.
        recorded: set if the row was recorded.
    """

    id: str
    sample: Sample
    expect: Expect
    approx: float = 1e-9
    group: str | None = None
    line: int = 0
    truth: Truth | Mapping[str, Truth] | None = None
    recorded: Recorded | None = None

    @property
    def is_test(self) -> bool:
        """Whether it expects anything; a row may hold nothing but a truth."""
        return bool(self.expect.model_fields_set)

    @property
    def reviewed(self) -> bool:
        """False for a recorded row that nobody has accepted yet."""
        return self.recorded is None or self.recorded.reviewed


class _Own(BaseModel):
    """The keys of a row that are the fixture's own."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
    id: str = Field(min_length=1, max_length=200)
    expect: Expect | None = None
    approx: Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)] = 1e-9
    group: str | None = None
    truth: Truth | dict[str, Truth] | None = None
    recorded: Recorded | None = None


_NOTHING = Expect.model_construct()
_SAMPLE = ("completion", "prompt", "answer", "columns")
_KEYS = (*_Own.model_fields, *_SAMPLE)


def fixture(id: str, **row: Any) -> Fixture:
    """A fixture in Python: the keys of a row as keywords.

    Raises:
        DataError: for what a row of a file would be refused for.

    Example:
        >>> fixture("right", completion="4", answer="4", expect={"total": 1.0}).expect.total
        1.0
    """
    return read_fixture({"id": id, **row}, 0, f"fixture {id!r}")


def read_fixture(row: Mapping[str, Any], line: int, where: str) -> Fixture:
    """The fixture in a row of a file; ``where`` is its name in messages. Raises ``DataError``."""
    mine = {k: v for k, v in row.items() if k in _Own.model_fields}
    try:
        own = _Own(**mine)
        sample = Sample.from_row(_sample_row(row))
    except ValidationError as error:
        raise DataError(f"{where}: {_explained(error)}") from None
    except UsageError as error:
        raise DataError(f"{where}: {error}") from None
    if not own.id.isprintable():
        raise DataError(f"{where}: an id must be printable text on one line, got {own.id!r}")
    if own.expect is None and own.truth is None:
        raise DataError(f"{where}: a fixture needs expect (or truth); it has: {', '.join(row)}")
    expect = own.expect or _NOTHING
    return Fixture(
        own.id, sample, expect, own.approx, own.group, line, own.truth, own.recorded
    )  # fmt: skip


def _sample_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that are the sample's. Raises ``UsageError`` for a key that is a slip."""
    theirs = {k: v for k, v in row.items() if k not in (*_Own.model_fields, "columns")}
    for key in theirs:
        _check_key(key)
    if "completion" not in row:
        raise UsageError(f"a fixture needs a completion; it has: {', '.join(row)}")
    columns = row.get("columns", {})
    if not isinstance(columns, Mapping) or not all(isinstance(name, str) for name in columns):
        raise UsageError(f"columns holds columns by their names, got {columns!r:.80}")
    twice = sorted(columns.keys() & {*theirs, *_SAMPLE})
    if twice:
        raise UsageError(f"{twice[0]!r} cannot stand in columns: the row itself has it")
    return {**theirs, **columns}


def is_free_column(key: str) -> bool:
    """Whether a column of that name may stand in a row itself."""
    try:
        _check_key(key)
    except UsageError:
        return False
    return key not in _KEYS


def _check_key(key: str) -> None:
    if key in _SAMPLE:
        return
    if key in Expect.model_fields:
        raise UsageError(
            f"{key!r} is an expectation and belongs inside expect, as in "
            f'"expect": {{"{key}": ...}}; a column of that name goes into columns: {{...}}'
        )
    slip = slip_of(key, _KEYS)
    if slip is not None:
        raise UsageError(
            f"unknown key {key!r}; did you mean {slip!r}? "
            f"A column that is really called {key!r} goes into columns: {{...}}"
        )


def _explained(error: ValidationError) -> str:
    """What is wrong with a row; of an unknown key, which one was probably meant."""
    if any(item["loc"][0] == "truth" for item in error.errors()):
        got = next(item for item in error.errors() if item["loc"][0] == "truth")["input"]
        return (
            'truth is "correct" or "incorrect", or says so by part, as in {"answer": "correct"}; '
            f"got {brief(got)}"
        )
    text = explain_validation(error, "fixture")
    keys = [str(e["loc"][-1]) for e in error.errors() if e["type"] == "extra_forbidden"]
    models = (Expect, Judged, Range, Recorded)
    known = [name for model in models for name in model.model_fields]
    return text + "".join(filter(None, (meant(key, known) for key in keys[:1])))
