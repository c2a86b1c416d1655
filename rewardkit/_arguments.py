"""The arguments of verifiers: what fits its annotation is taken as it is; pydantic judges the rest.

One mechanism for every verifier, with pydantic's rules and messages throughout. Most arguments are
of the very type that is asked for; pydantic, whose import costs more than all else that judging
needs, is imported only where one has to be coerced, looked into or refused.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, wraps
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from rewardkit._near import meant
from rewardkit.errors import UsageError, brief

if TYPE_CHECKING:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

__all__ = ["CONFIG", "Bounds", "adapter", "explain_validation", "make_arguments"]

# ser_json_inf_nan: a limit or bound of infinity must survive the way to JSON and back.
CONFIG: ConfigDict = {
    "extra": "forbid",
    "arbitrary_types_allowed": True,
    "ser_json_inf_nan": "constants",
}


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Bounds of a finite number, in an annotation: ``Annotated[float, Bounds(gt=0)]``.

    Says what ``pydantic.Field(gt=0, allow_inf_nan=False)`` says, but is made without pydantic; to
    which it is a group of metadata (by the protocol of ``annotated_types.GroupedMetadata``).
    """

    __is_annotated_types_grouped_metadata__: ClassVar[Literal[True]] = True

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None

    def hold(self, value: float) -> bool:
        """Whether a number is finite and within them."""
        return (
            abs(value) < float("inf")
            and (self.gt is None or value > self.gt)
            and (self.ge is None or value >= self.ge)
            and (self.lt is None or value < self.lt)
        )

    def __iter__(self) -> Iterator[object]:
        from annotated_types import Ge, Gt, Lt
        from pydantic import AllowInfNan

        yield AllowInfNan(False)
        if self.gt is not None:
            yield Gt(self.gt)
        if self.ge is not None:
            yield Ge(self.ge)
        if self.lt is not None:
            yield Lt(self.lt)


def make_arguments(cls: type[Any]) -> None:
    """Make a class a frozen dataclass; wrong arguments of it raise ``UsageError``."""
    if "__init__" in vars(cls):
        del cls.__init__  # it would go round the checks; the fields say it all
    documented = cls.__doc__
    by_pydantic = _speaks_pydantic(cls)
    if by_pydantic:
        from pydantic.dataclasses import dataclass

        dataclass(cls, frozen=True, config=CONFIG)
    else:
        cls.__pydantic_config__ = CONFIG  # read when an adapter is made of it
        dataclasses.dataclass(frozen=True)(cls)
        cls.__doc__ = documented  # and not the signature, which a dataclass takes for it
    cls.__init__ = _checked(cls, by_pydantic)


def _speaks_pydantic(cls: type) -> bool:
    """Whether a class (or one it inherits from) holds a ``Field(...)`` or a validator of pydantic,
    which then is imported already and had better make it."""
    return hasattr(cls, "__pydantic_fields__") or any(
        type(value).__module__.partition(".")[0] == "pydantic" for value in vars(cls).values()
    )


def _checked(cls: type[Any], by_pydantic: bool) -> Callable[..., None]:
    """The ``__init__`` of a class, with its arguments checked."""
    made: Callable[..., None] = cls.__init__
    fitting = _Fitting(cls, made)

    @wraps(made)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        if not by_pydantic and fitting(self, args, kwargs):
            try:
                made(self, *args, **kwargs)
            except (ValueError, AssertionError):
                pass  # from __post_init__, which pydantic calls again below, and says it in its way
            else:
                return
        from pydantic import ValidationError
        from pydantic_core import ArgsKwargs

        try:
            adapter(cls).validator.validate_python(ArgsKwargs(args, kwargs), self_instance=self)
        except ValidationError as error:
            names = [f.name for f in dataclasses.fields(cls)]
            raise UsageError(explain_validation(error, type(self).__name__, names)) from None

    return __init__


_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def adapter(cls: type[Any]) -> TypeAdapter[Any]:
    """Pydantic's reading of a class, made when it is first asked for."""
    if cls not in _adapters:
        from pydantic import TypeAdapter

        # A class within a function may be annotated with names of that function, who often is the
        # one that makes an instance: four frames up, by way of __init__ above.
        _adapters[cls] = TypeAdapter(cls, _parent_depth=4)
    return _adapters[cls]


Test = Callable[[Any], bool]


class _Fitting:
    """Says which arguments of one class pydantic would take as they are, none missing."""

    def __init__(self, cls: type, init: Callable[..., None]) -> None:
        self._cls = cls
        self._init = init

    def __call__(self, made: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        try:
            bound = self._signature.bind(made, *args, **kwargs)
        except TypeError:
            return False
        given = list(bound.arguments.items())[1:]
        return all(name in self._tests and self._tests[name](value) for name, value in given)

    @cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self._init)

    @cached_property
    def _tests(self) -> dict[str, Test]:
        try:
            hints = get_type_hints(self._cls, include_extras=True)
        except Exception:  # code in an annotation may raise anything; pydantic, asked then, says it
            return {}
        return {name: _test(hint) for name, hint in hints.items()}


def _test(hint: Any) -> Test:
    """A test that holds only for values that pydantic would give back as they are."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _test_bounds(inner[0], inner[1:])
    if origin in (Union, UnionType):
        tests = [_test(part) for part in inner]
        return lambda value: any(test(value) for test in tests)
    if origin is Literal:
        return lambda value: type(value) is str and value in inner
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        test = _test(inner[0])
        return lambda value: type(value) is tuple and all(map(test, value))
    if hint in (str, int, float, bool, None, NoneType) or _is_ours(hint):
        kind = NoneType if hint is None else hint
        return lambda value: type(value) is kind
    return lambda value: False


def _test_bounds(hint: Any, marks: tuple[Any, ...]) -> Test:
    test = _test(hint)
    if hint is not float or not all(isinstance(mark, Bounds) for mark in marks):
        return lambda value: False
    return lambda value: test(value) and all(mark.hold(value) for mark in marks)


def _is_ours(hint: Any) -> bool:
    """A plain dataclass of this package, such as ``Column``, into which pydantic does not look."""
    return (
        isinstance(hint, type)
        and dataclasses.is_dataclass(hint)
        and hint.__module__.partition(".")[0] == "rewardkit"
    )


_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")


def explain_validation(error: ValidationError, what: str, known: Sequence[str] = ()) -> str:
    """One line per mistake: where, what was expected, what was got; of an unknown name, which one
    of the ``known`` was probably meant, or all of them."""
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "(whole)"
        inner = item.get("ctx", {}).get("error")
        if isinstance(inner, UsageError):  # a part that has already explained itself
            lines.append(f"{what}: {where}: {inner}")
            continue
        line = f"{what}: {where}: {item['msg']}"
        if item["type"] not in ("missing", "missing_argument"):  # there pydantic shows all the rest
            line += f", got {brief(item.get('input'))}"
        if known and item["type"] in _UNKNOWN:
            line += meant(str(item["loc"][-1]), known) or f"; there are: {', '.join(known)}"
        lines.append(line)
    return "\n".join(lines)
