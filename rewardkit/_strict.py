"""Configuration that refuses what it does not know, in words of ours."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rewardkit._arguments import explain_validation
from rewardkit.errors import ConfigError

__all__ = ["Strict"]


class Strict(BaseModel):
    """A frozen model; a mistake in it raises ``ConfigError`` with the keys there are."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            text = explain_validation(error, type(self).__name__)
            if any(item["type"] == "extra_forbidden" for item in error.errors()):
                text += f"\nkeys there are: {', '.join(type(self).model_fields)}"
            raise ConfigError(text) from None
