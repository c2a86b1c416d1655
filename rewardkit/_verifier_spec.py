"""A verifier as plain data, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

from pydantic import (
    PlainSerializer,
    PlainValidator,
    PydanticUserError,
    ValidationError,
)
from pydantic_core import PydanticSerializationError

from rewardkit._arguments import adapter, explain_validation
from rewardkit.errors import SpecError, brief, told
from rewardkit.registry import VERIFIERS, find, name_of
from rewardkit.verifier import Verifier

__all__ = ["AnyVerifier", "plain_args", "read_verifier", "write_verifier"]


def write_verifier(verifier: Verifier) -> dict[str, Any]:
    """``{"verifier": name, "args": {...}}``; arguments equal to their default are left out.

    Raises:
        SpecError: if the class has no name, or an argument no plain form.
    """
    name = name_of(VERIFIERS, type(verifier))
    args = plain_args(verifier)
    return {"verifier": name, **({"args": args} if args else {})}


def plain_args(thing: Any) -> dict[str, Any]:
    """The arguments of a verifier or reward that are not their default, as plain data.

    Raises:
        SpecError: if one of them has no plain form, or the class is no dataclass.
    """
    own = vars(type(thing))
    if "__init__" in own and "__dataclass_fields__" not in own:
        raise SpecError(
            f"{type(thing).__name__} cannot be written to a spec: only the arguments of a "
            f"dataclass are known. Make it one: @dataclass(frozen=True, kw_only=True)"
        )
    try:
        made = adapter(type(thing)).dump_python(thing, mode="json", exclude_defaults=True)
    except (PydanticUserError, PydanticSerializationError) as error:
        raise SpecError(
            f"{type(thing).__name__} cannot be written to a spec: an argument has no plain form: "
            f"{told(error)}"
        ) from None
    return dict(made)


def read_verifier(value: Any) -> Verifier:
    """A verifier from its spec (or from itself). Raises ``SpecError``."""
    if isinstance(value, Verifier):
        return value
    if not isinstance(value, Mapping) or not set(value) <= {"verifier", "args"}:
        raise SpecError(
            f'expected a verifier like {{"verifier": name, "args": ...}}, got {brief(value)}'
        )
    cls = find(VERIFIERS, str(value.get("verifier")))
    if not (isinstance(cls, type) and issubclass(cls, Verifier)):
        raise SpecError(f"{value.get('verifier')!r} is not a Verifier class but {cls!r}")
    try:
        made: Verifier = adapter(cls).validate_python(dict(value.get("args") or {}))
    except ValidationError as error:
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        raise SpecError(explain_validation(error, cls.__name__, names)) from None
    return made


AnyVerifier = Annotated[
    Verifier,
    PlainValidator(read_verifier),
    PlainSerializer(write_verifier, return_type=dict[str, Any]),
]
"""A field that holds another verifier and travels through specs."""
