"""Configuration that refuses what it does not know, in words of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from rewardkit._arguments import explain_validation
from rewardkit.errors import ConfigError

__all__ = ["Strict"]


class Strict(BaseModel):
    """A frozen model; a mistake in it raises ``ConfigError`` with the keys there are."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    foreign: ClassVar[Mapping[str, str]] = {}
    """Keys that other libraries have here, each with the reason why this one has not."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            text = explain_validation(error, type(self).__name__)
            extra = [e["loc"][-1] for e in error.errors() if e["type"] == "extra_forbidden"]
            if extra:
                text += f"\nkeys there are: {', '.join(type(self).model_fields)}"
            text += "".join(self._hint(str(key)) for key in extra)
            raise ConfigError(text) from None

    @classmethod
    def _hint(cls, key: str) -> str:
        """A line on a key that is not there: why, or what was probably meant; or nothing."""
        if key in cls.foreign:
            return f"\n{key}: {cls.foreign[key]}"
        from rewardkit._near import meant

        near = meant(key, cls.model_fields)
        return f"\n{key}{near}" if near else ""
