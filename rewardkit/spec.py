"""Rubrics as YAML or JSON, and back, without loss.

```yaml
rewardkit: 1
parts:
  format:
    verifier: tag_format
    args: {template: "<think>...</think><answer>...</answer>"}
    correct: 0.5
  answer:
    verifier: math
    args: {extract: answer}
    correct: 3.0
    incorrect: -1.0
  brevity:
    function: my_rewards.py:brevity      # needs --allow-code
    weight: 0.1
gates:
  - {on: format, gated: [answer]}
```
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, ValidationError

from rewardkit._arguments import explain_validation
from rewardkit._rows import parse_json
from rewardkit._verifier_spec import plain_args, read_verifier, write_verifier
from rewardkit._yaml import dump_yaml, load_yaml
from rewardkit.errors import DataError, RubricError, SpecError, brief
from rewardkit.function import FunctionReward
from rewardkit.gate import Gate
from rewardkit.registry import PRESETS, REWARDS, allowing_code, find, load_code, name_of
from rewardkit.rewards import Reward, VerifierReward

if TYPE_CHECKING:
    from rewardkit.rubric import Rubric

__all__ = ["load_rubric", "read_data", "read_rubric", "save_rubric", "write_rubric"]

Number = Annotated[float, AllowInfNan(False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PartSpec(_Strict):
    """One part: a verifier with what it pays, a registered reward, or a function."""

    verifier: str | None = None
    reward: str | None = None
    function: str | None = None
    args: dict[str, Any] = Field(default_factory=dict)
    correct: Number | None = None
    incorrect: Number | None = None
    partial: bool | None = None
    values: dict[str, Number] | None = None
    bounds: tuple[Number, Number] | None = None
    limit_s: Number | None = None
    form: Literal["single", "batch", "group"] | None = None
    weight: Number = 1.0
    unscorable: Literal["abstain", "skip"] | Number = "abstain"


class GateSpec(_Strict):
    """One gate."""

    on: str
    gated: tuple[str, ...] = ()
    at_least: Number | None = None
    cap: Number | None = None


class RubricSpec(_Strict):
    """A whole rubric: its parts and gates, or the name of a preset; lints that it silences."""

    rewardkit: Literal[1] = 1
    parts: dict[str, PartSpec] = Field(default_factory=dict)
    gates: tuple[GateSpec, ...] = ()
    silence: tuple[str, ...] = ()
    preset: str | None = None
    args: dict[str, Any] = Field(default_factory=dict)


_PAYS = ("correct", "incorrect", "partial", "values")
_CALLS = ("bounds", "limit_s", "form")


def read_rubric(spec: Mapping[str, Any], *, allow_code: bool | Path = False) -> Rubric:
    """See :meth:`rewardkit.Rubric.from_spec`."""
    from rewardkit.rubric import Rubric

    try:
        read = RubricSpec.model_validate(spec)
    except ValidationError as error:
        raise SpecError(explain_validation(error, "rubric") + _known_keys(error)) from None
    folder = Path.cwd() if allow_code is True else allow_code or None
    with allowing_code(folder):
        if read.preset is not None:
            if read.parts or read.gates:
                raise SpecError("a rubric has either a preset or parts, not both")
            made = _called(find(PRESETS, read.preset), read.args, f"preset {read.preset}")
            rubric: Rubric = made.silence(*read.silence)
        else:
            parts = [(name, _read_named(name, part)) for name, part in read.parts.items()]
            gates = [Gate(**gate.model_dump()) for gate in read.gates]
            rubric = Rubric.from_parts(parts, gates, read.silence)
    _ = rubric.linted
    return rubric


def write_rubric(rubric: Rubric) -> dict[str, Any]:
    """See :meth:`rewardkit.Rubric.to_spec`."""
    try:
        parts = {name: _write_part(reward) for name, reward in rubric.parts.items()}
    except ValidationError as error:
        raise SpecError(explain_validation(error, "rubric")) from None
    spec: dict[str, Any] = {"rewardkit": 1, "parts": parts}
    if rubric.gates:
        made = [
            GateSpec(on=g.on, gated=g.gated, at_least=g.at_least, cap=g.cap) for g in rubric.gates
        ]
        spec["gates"] = [gate.model_dump(mode="json", exclude_defaults=True) for gate in made]
    if rubric.silenced:
        spec["silence"] = sorted(rubric.silenced)
    return spec


def load_rubric(path: Path, *, allow_code: bool = False) -> Rubric:
    """See :meth:`rewardkit.Rubric.load`."""
    spec = read_data(path)
    try:
        return read_rubric(spec, allow_code=path.parent if allow_code else False)
    except (SpecError, RubricError) as error:
        raise type(error)(f"{path}: {error}") from error


def save_rubric(rubric: Rubric, path: Path) -> None:
    """See :meth:`rewardkit.Rubric.save`."""
    spec = write_rubric(rubric)
    if path.suffix == ".json":
        path.write_text(json.dumps(spec, indent=2) + "\n", encoding="utf-8")
    else:
        path.write_text(dump_yaml(spec), encoding="utf-8")


def read_data(path: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file. Raises ``SpecError`` (also for a key given twice)."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        looked = "" if path.is_absolute() else f" (looked in {Path.cwd()})"
        raise SpecError(f"cannot read {path}: there is no such file{looked}") from None
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SpecError(f"cannot read {path}: {error}") from None
    try:
        # Not by the YAML reader, though JSON is nearly YAML: it reads \ud83d\ude00 as two halves of
        # a character, and refuses tabs.
        data = parse_json(text, str(path)) if path.suffix == ".json" else load_yaml(text)
    except DataError as error:
        raise SpecError(str(error)) from None
    except RecursionError:
        raise SpecError(f"{path} is not valid YAML: it is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a 13th month, say
        raise SpecError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(data, dict):
        got = "nothing: it is empty" if data is None else type(data).__name__
        raise SpecError(f"{path} must hold a mapping of keys, got {got}")
    return data


def _known_keys(error: ValidationError) -> str:
    """The keys there are, where an unknown one was given."""
    lines = []
    for item in error.errors():
        if item["type"] == "extra_forbidden":
            rooms: dict[str, type[BaseModel]] = {"parts": PartSpec, "gates": GateSpec}
            room = rooms.get(str(item["loc"][0]), RubricSpec)
            model = room if len(item["loc"]) > 1 else RubricSpec
            lines.append(f"\nkeys there are: {', '.join(model.model_fields)}")
    return "".join(dict.fromkeys(lines))


def _read_named(name: str, part: PartSpec) -> Reward:
    """The part; what is wrong with it is told with its name."""
    try:
        return _read_part(name, part)
    except SpecError as error:
        named = f"part {name!r}"
        raise SpecError(str(error) if named in str(error) else f"{named}: {error}") from error


def _read_part(name: str, part: PartSpec) -> Reward:
    kinds = [k for k in ("verifier", "reward", "function") if getattr(part, k) is not None]
    if len(kinds) != 1:
        raise SpecError(
            f"part {name!r} needs exactly one of verifier, reward, function; has {kinds}"
        )
    common: dict[str, Any] = {"weight": part.weight, "unscorable": part.unscorable}
    if part.verifier is not None:
        _refuse(name, part, _CALLS)
        pays = {k: getattr(part, k) for k in _PAYS if getattr(part, k) is not None}
        verifier = read_verifier({"verifier": part.verifier, "args": part.args})
        return VerifierReward(verifier, **pays, **common)
    if part.reward is not None:
        _refuse(name, part, _PAYS + _CALLS)
        made = _called(find(REWARDS, part.reward), {**part.args, **common}, f"reward {part.reward}")
        if not isinstance(made, Reward):
            raise SpecError(f"{part.reward!r} does not make a Reward but {brief(made)}")
        return made
    _refuse(name, part, (*_PAYS, "args"))
    found = load_code(str(part.function))
    calls = {k: getattr(part, k) for k in _CALLS if getattr(part, k) is not None}
    if isinstance(found, FunctionReward):
        options = {k: getattr(found, k) for k in (*_CALLS, "name")}
        return FunctionReward(found.fn, **{**options, **calls}, **common)
    return FunctionReward(found, **calls, **common)


def _write_part(reward: Reward) -> dict[str, Any]:
    common: dict[str, Any] = {"weight": reward.weight, "unscorable": reward.unscorable}
    if isinstance(reward, VerifierReward):
        pays: dict[str, Any] = {
            "partial": reward.partial or None,
            "values": dict(reward.values) or None,
        }
        spec = PartSpec(
            **write_verifier(reward.verifier), correct=reward.correct, incorrect=reward.incorrect,
            **pays, **common,
        )  # fmt: skip
    elif isinstance(reward, FunctionReward):
        calls = {k: getattr(reward, k) for k in _CALLS}
        spec = PartSpec(function=name_of(REWARDS, reward.fn), **calls, **common)
    else:
        name = name_of(REWARDS, type(reward))
        args = {k: v for k, v in plain_args(reward).items() if k not in common}
        spec = PartSpec(reward=name, args=args, **common)
    return spec.model_dump(mode="json", exclude_defaults=True, exclude_none=True)


def _refuse(name: str, part: PartSpec, keys: tuple[str, ...]) -> None:
    for key in keys:
        if getattr(part, key):
            raise SpecError(f"part {name!r}: {key!r} does not apply to this kind of part")


def _called(make: Any, args: Mapping[str, Any], what: str) -> Any:
    try:
        return make(**args)
    except TypeError as error:
        raise SpecError(f"{what}: {error}") from None
