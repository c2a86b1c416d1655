"""Promise: a verifier's arguments are judged by pydantic's rules, which it is not always asked for."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import InitVar, dataclass, field, replace
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from rewardkit import Column, Rubric, UsageError, Verdict, Verifier
from rewardkit._arguments import Bounds, _test
from rewardkit.verifiers import Between, MathVerifier, Pattern


@dataclass(frozen=True)
class Elsewhere:
    """A class that is not the package's: pydantic may look into it."""

    x: int = 1


class Texts(str):
    """No plain text, though it is one."""


HINTS: list[Any] = [
    str, int, float, bool, None, Any, str | None, int | float, Literal["a", "b"], Literal[1, "a"],
    Literal["a"] | Between | tuple[Literal["b", "c"], ...], str | Column, tuple[str, ...],
    tuple[int, str], list[str], dict[str, int], tuple[tuple[int, ...], ...], Elsewhere, bytes,
    Annotated[float, Bounds(gt=0)], Annotated[float, Bounds(ge=0, lt=1)], Annotated[int, Bounds()],
    Annotated[str, Field(max_length=2)], float | Literal["abstain"], MathVerifier, object,
]  # fmt: skip

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["a", "b", "c", "", "1"]),
    st.text(max_size=4), st.binary(max_size=2), st.sampled_from([0.0, -0.0, 0.5, 1.0, 2, 10**400]),
    st.sampled_from([Texts("a"), Elsewhere(), Column("c"), Between("<", ">"), Pattern("(x)")]),
    st.just(MathVerifier()),
)  # fmt: skip
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.lists(SCALARS, max_size=3).map(tuple),
    st.lists(st.lists(SCALARS, max_size=2).map(tuple), max_size=2).map(tuple),
    st.dictionaries(st.text(max_size=2), SCALARS, max_size=2),
)


@given(st.sampled_from(HINTS), VALUES)
def test_what_is_taken_as_it_is_pydantic_gives_back_as_it_is(hint: Any, value: Any) -> None:
    if not _test(hint)(value):
        return
    config = ConfigDict(arbitrary_types_allowed=True)
    has_own = hint in (MathVerifier, Elsewhere)
    found = TypeAdapter(hint, config=None if has_own else config).validate_python(value)
    assert type(found) is type(value)
    assert repr(found) == repr(value)


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (str, "a"), (int, 3), (float, 0.5), (bool, True), (None, None), (str | None, None),
        (Literal["a", "b"], "b"), (tuple[str, ...], ("a", "b")), (str | Column, Column("x")),
        (Literal["a"] | Between | tuple[Literal["b"], ...], Between("a", "b")),
        (Annotated[float, Bounds(ge=0, lt=1)], 0.0), (float, float("inf")),
    ],
)  # fmt: skip
def test_the_usual_is_taken_as_it_is(hint: Any, value: Any) -> None:
    assert _test(hint)(value)


def loaded(statement: str) -> list[str]:
    code = f"import sys; {statement}; print(*(m for m in ('pydantic',) if m in sys.modules))"
    run = [sys.executable, "-P", "-c", code]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()


MATH = "from rewardkit.verifiers import Between, MathVerifier; "


@pytest.mark.parametrize(
    "made",
    [
        "MathVerifier()",
        "MathVerifier('boxed', 'any', 2.0, None)",
        "MathVerifier(extract=('boxed', 'phrase'), tolerance=0.01, thinking=Between('a', 'b'))",
    ],
)
def test_arguments_that_fit_need_no_pydantic(made: str) -> None:
    assert loaded(f"{MATH}v = {made}; assert repr(v)") == []


@pytest.mark.parametrize(
    "made", ["MathVerifier(cpu_s=2)", "MathVerifier(extract=['boxed', 'phrase'])"]
)
def test_arguments_that_do_not_fit_are_coerced_by_it(made: str) -> None:
    assert loaded(f"{MATH}v = {made}; assert v.cpu_s.is_integer()") == ["pydantic"]


def test_what_is_coerced_is_of_the_type_asked_for() -> None:
    made = MathVerifier(cpu_s=2, extract=["boxed", "phrase"], tolerance="0.5")  # type: ignore[arg-type]
    assert (made.cpu_s, made.extract, made.tolerance) == (2.0, ("boxed", "phrase"), 0.5)
    assert type(made.cpu_s) is float
    assert made == MathVerifier(cpu_s=2.0, extract=("boxed", "phrase"), tolerance=0.5)


class Plain(Verifier):
    high: Annotated[float, Field(gt=0, lt=5, allow_inf_nan=False)] = 1.0
    low: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0


class Bounded(Verifier):
    high: Annotated[float, Bounds(gt=0, lt=5)] = 1.0
    low: Annotated[float, Bounds(ge=0)] = 1.0


@pytest.mark.parametrize("value", [0, 0.0, 5.0, 6, -1, float("inf"), float("nan"), "x", "3", None])
@pytest.mark.parametrize("name", ["high", "low"])
def test_bounds_say_what_fields_of_pydantic_say(name: str, value: Any) -> None:
    told = []
    for made in (Plain, Bounded):
        try:
            told.append(repr(getattr(made(**{name: value}), name)))
        except UsageError as error:
            told.append(str(error).replace(made.__name__, "it"))
    assert told[0] == told[1]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"form": "values"}, "form: Input should be 'value', 'simplified' or 'any', got 'values'"),
    ({"cpu_s": 0.0}, "cpu_s: Input should be greater than 0, got 0.0"),
    ({"cpu_s": float("inf")}, "cpu_s: Input should be a finite number, got inf"),
    ({"tolerance": 1.0}, "tolerance: Input should be less than 1, got 1.0"),
    ({"boxes": None}, "boxes: Input should be 'last' or 'only', got None"),
    ({"fomr": "any"}, "fomr: Unexpected keyword argument, got 'any'; did you mean 'form'?"),
]


@pytest.mark.parametrize(("arguments", "told"), WRONG)
def test_a_wrong_argument_is_refused_in_one_line(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        MathVerifier(**arguments)
    assert str(caught.value) == f"MathVerifier: {told}"


class Needs(Verifier):
    first: int
    rest: list[int] = field(default_factory=list)
    scale: float = field(default=1.0, kw_only=True)

    def _verify(self, sample: Any) -> Verdict:
        return Verdict.correct(str(self.first))


@pytest.mark.parametrize(
    ("args", "kwargs", "told"),
    [
        ((), {}, "first: Field required"),
        ((1, [2], 3.0), {}, "2: Unexpected positional argument, got 3.0"),
        ((1,), {"first": 2}, "first: Got multiple values for argument, got 2"),
    ],
)
def test_too_many_or_too_few_are_refused(args: Any, kwargs: Any, told: str) -> None:
    with pytest.raises(UsageError, match="^Needs: " + told):
        Needs(*args, **kwargs)


def test_a_list_is_copied_so_that_its_owner_cannot_change_a_frozen_verifier() -> None:
    given = [1, 2]
    made = Needs(1, given)
    given.append(3)
    assert made.rest == [1, 2]
    assert made.rest is not Needs(1).rest


def test_a_verifier_made_either_way_is_one_and_the_same() -> None:
    fitting, coerced = Needs(3), Needs("3")  # type: ignore[arg-type]
    assert fitting == coerced == replace(Needs(1), first=3)
    assert repr(fitting) == repr(coerced) == "Needs(first=3, rest=[], scale=1.0)"
    assert pickle.loads(pickle.dumps(coerced)) == fitting
    assert Rubric(n=MathVerifier(cpu_s=1)).fingerprint == Rubric(n=MathVerifier()).fingerprint


class Stubborn(Verifier):
    x: int = 1

    def __init__(self, x: int) -> None:
        object.__setattr__(self, "x", 2 * x)


def test_an_init_of_its_own_goes_round_no_check() -> None:
    assert Stubborn(3).x == 3
    with pytest.raises(UsageError, match="Stubborn: 0: Input should be a valid integer"):
        Stubborn("a")  # type: ignore[arg-type]


class Derived(Verifier):
    x: int
    more: InitVar[int] = 0
    total: int = field(init=False, default=0)

    def __post_init__(self, more: int) -> None:
        object.__setattr__(self, "total", self.x + more)


@pytest.mark.parametrize("args", [(1, 2), ("1", "2"), (1, "2")])
def test_what_follows_from_arguments_is_worked_out_once_they_are_checked(args: Any) -> None:
    assert Derived(*args).total == 3
    assert Derived(5).total == 5


class Refuses(Verifier):
    x: int
    error: str = "ValueError"

    def __post_init__(self) -> None:
        if self.x < 0:
            errors = {"UsageError": UsageError, "ValueError": ValueError, "assert": AssertionError}
            raise errors.get(self.error, TypeError)("below zero")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("UsageError", "Refuses: (whole): below zero"),
        ("ValueError", "Refuses: (whole): Value error, below zero, got ArgsKwargs("),
        ("assert", "Refuses: (whole): Assertion failed, below zero, got ArgsKwargs("),
    ],
)
@pytest.mark.parametrize("x", [-1, "-1"])
def test_what_an_object_refuses_itself_is_told_in_the_same_way(
    x: Any, error: str, told: str
) -> None:
    with pytest.raises(UsageError) as caught:
        Refuses(x, error)
    assert str(caught.value).startswith(told)
    with pytest.raises(TypeError, match="below zero"):
        Refuses(x, "other")


class Fields(Verifier):
    """Written in pydantic's own words."""

    high: int = Field(gt=3)
    hidden: float = Field(default=2.0, repr=False)

    @field_validator("hidden")
    @classmethod
    def _doubled(cls, value: float) -> float:
        return 2 * value


class MoreFields(Fields):
    last: str = "z"


def test_fields_and_validators_of_pydantic_are_understood() -> None:
    assert repr(Fields(4)) == "Fields(high=4)"
    assert Fields(4, hidden=3).hidden == 6.0
    assert repr(MoreFields(5, last="r")) == "MoreFields(high=5, last='r')"
    with pytest.raises(UsageError, match="Fields: 0: Input should be greater than 3, got 1"):
        Fields(1)


def test_annotations_may_name_what_a_function_defines() -> None:
    class Local:
        pass

    class Holds(Verifier):
        thing: Local

    assert Holds(Local()).thing
    with pytest.raises(UsageError, match="Holds: 0: Input should be an instance of"):
        Holds(3)  # type: ignore[arg-type]


def test_pydantic_s_own_error_never_comes_out() -> None:
    with pytest.raises(UsageError) as caught:
        Needs(first="x")  # type: ignore[arg-type]
    assert not isinstance(caught.value, ValidationError)
    assert caught.value.__cause__ is None
