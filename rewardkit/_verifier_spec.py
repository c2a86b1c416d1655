"""A verifier as plain data, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from rewardkit.errors import SpecError
from rewardkit.registry import VERIFIERS, find, name_of
from rewardkit.verifier import Verifier, explain_validation

__all__ = ["AnyVerifier", "read_verifier", "write_verifier"]


def write_verifier(verifier: Verifier, *, defaults: bool = False) -> dict[str, Any]:
    """``{"verifier": name, "args": {...}}``; arguments equal to their default are left out."""
    args = TypeAdapter(type(verifier)).dump_python(
        verifier, mode="json", exclude_defaults=not defaults
    )
    return {"verifier": name_of(VERIFIERS, type(verifier)), **({"args": args} if args else {})}


def read_verifier(value: Any) -> Verifier:
    """A verifier from its spec (or from itself). Raises ``SpecError``."""
    if isinstance(value, Verifier):
        return value
    if not isinstance(value, Mapping) or not set(value) <= {"verifier", "args"}:
        raise SpecError(
            f'expected a verifier like {{"verifier": name, "args": ...}}, got {value!r}'
        )
    cls = find(VERIFIERS, str(value.get("verifier")))
    if not (isinstance(cls, type) and issubclass(cls, Verifier)):
        raise SpecError(f"{value.get('verifier')!r} is not a Verifier class but {cls!r}")
    try:
        made: Verifier = TypeAdapter(cls).validate_python(dict(value.get("args") or {}))
    except ValidationError as error:
        raise SpecError(explain_validation(error, cls.__name__)) from None
    return made


AnyVerifier = Annotated[
    Verifier,
    PlainValidator(read_verifier),
    PlainSerializer(write_verifier, return_type=dict[str, Any]),
]
"""A field that holds another verifier and travels through specs."""
