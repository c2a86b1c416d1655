"""What is audited: a rubric, a verifier, a reward, a function, or the name of one of these."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rewardkit.errors import UsageError, brief
from rewardkit.lint import LINTS
from rewardkit.registry import VERIFIERS, allowing_code, find, load_code
from rewardkit.rewards import Reward
from rewardkit.rubric import Rubric
from rewardkit.verifier import Verifier

__all__ = ["Subject", "as_subject"]

Subject = Rubric | Reward | Verifier | Callable[..., Any]


def as_subject(what: Subject | str | Path, *, allow_code: bool = False) -> tuple[str, Rubric]:
    """A name for messages, and the rubric.

    ``what`` is an object, the path of a rubric file (``.yaml``, ``.yml``, ``.json``), the name of a
    registered verifier (``"math"``), or ``module:attribute`` or ``file.py:attribute``, which leads
    to any of the objects.

    Raises:
        UsageError: for what is none of these.
        SpecError: if it cannot be read, or is code and code is not allowed.
    """
    if isinstance(what, str | Path):
        text = str(what)
        if text.endswith((".yaml", ".yml", ".json")):
            return text, _rubric(Rubric.load(text, allow_code=allow_code))
        folder = Path.cwd() if allow_code else None
        with allowing_code(folder):
            found = load_code(text) if ":" in text else _registered(text)
        return text, _rubric(found)
    rubric = _rubric(what)
    return getattr(what, "__name__", None) or ", ".join(rubric.parts), rubric


def _registered(name: str) -> Verifier:
    found = find(VERIFIERS, name)
    made = _made(name, found)
    if not isinstance(made, Verifier):
        raise UsageError(f"{name!r} is no verifier")
    return made


def _made(name: str, cls: Any) -> Any:
    """A verifier of its defaults. Raises ``UsageError`` where there are none."""
    try:
        return cls()
    except UsageError as error:
        raise UsageError(
            f"{name!r} cannot be made of its defaults: {error}. Write a rubric with its arguments, "
            f"and audit that"
        ) from None


def _rubric(found: Any) -> Rubric:
    """The rubric, without warnings: what is wrong with it is what is looked for."""
    if isinstance(found, type):
        if not issubclass(found, Verifier):
            # Its instances may be functions; calling the class would make one of each completion.
            raise UsageError(
                f"{found.__name__} is a class: audit an instance, as in reward = {found.__name__}()"
            )
        found = _made(found.__name__, found)
    if isinstance(found, Rubric):
        return found.silence(*LINTS)
    if not callable(found) and not isinstance(found, Reward | Verifier):
        raise UsageError(
            f"what is audited must be a rubric, a verifier, a reward or a function, "
            f"got {brief(found)}"
        )
    return Rubric.from_parts({"reward": found}, silence=LINTS)
