"""Promise: a fingerprint is the same wherever the same code runs, and changes whenever a score
might."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import field
from pathlib import Path

import pytest

from rewardkit import FunctionReward, Reward, Rubric, Sample, Verdict, Verifier
from rewardkit.fingerprint import describe
from rewardkit.rewards import Outcome
from rewardkit.verifiers import Between, NumberVerifier

CODE = """
import collections, datetime, decimal, enum, functools, operator, pathlib, random, re, threading
from dataclasses import dataclass, field
import regex
from rewardkit import FunctionReward, Reward, Rubric, Verdict, Verifier, reward
from rewardkit.rewards import Outcome
from rewardkit.verifiers import NumberVerifier

WORDS = {"one", "two", "three", "four", "five"}
FROZEN = frozenset({("a", 1), ("b", 2), ("c", 3)})
TABLE = {word: {word, word * 2} for word in WORDS}
PATTERN, OTHER = re.compile("a+", re.I), regex.compile("b+")
LOCK, RANDOM = threading.Lock(), random.Random()
MIXED = [datetime.date(2020, 1, 2), decimal.Decimal("1.5"), pathlib.PurePath("x"), 10**5000,
         collections.Counter("abca"), operator.itemgetter(1), float("inf")]

class Colour(enum.Enum):
    RED, BLUE = "red", "blue"

class Plain:
    def __init__(self):
        self.words, self.me = WORDS, self

@dataclass
class Scorer:
    scale: float
    words: set = field(default_factory=lambda: set(WORDS))
    def __call__(self, completion):
        return self.scale * helper(completion)
    def method(self, completion):
        return self.scale

def helper(text, among=frozenset({"x", "y", "z"})):
    return float(text in among or text in {"p", "q", "r"} or bool(PATTERN.match(text)))

def even(n): return n == 0 or odd(n - 1)
def odd(n): return n != 0 and even(n - 1)

def shouted(fn):
    @functools.wraps(fn)
    def wrapper(completion):
        return fn(completion.upper())
    return wrapper

@shouted
def decorated(completion): return float(len(completion))

@functools.lru_cache
def cached(text): return helper(text)

def uses(completion, fn=helper, thing=Plain(), *, keyword=Scorer(2.0)):
    with LOCK:
        found = TABLE.get(completion), MIXED, RANDOM, OTHER, Colour.RED, FROZEN
    return float(even(3)) + cached(completion)

class Mine(Verifier):
    words: frozenset = frozenset(WORDS)
    def _verify(self, sample):
        return Verdict.correct() if helper(sample.text) else Verdict.incorrect()

class Own(Reward):
    def __init__(self, thing):
        super().__init__()
        object.__setattr__(self, "thing", thing)
    def outcomes(self, samples, limit_s=None):
        return [Outcome(1.0) for _ in samples]

FUNCTIONS = [helper, even, lambda t: 1.0]
inner = Rubric(a=helper, b=NumberVerifier())
def nested(completion): return inner.score(completion=completion).total
def listed(completion): return FUNCTIONS[0](completion)

RUBRIC = Rubric(
    uses=uses, decorated=decorated, mine=Mine(), own=Own(Plain()), listed=listed, nested=nested,
    scorer=Scorer(1.0), bound=Scorer(3.0).method, partial=functools.partial(uses, keyword=WORDS),
    number=NumberVerifier(), l1=lambda completion: 1.0, l2=lambda completion: 2.0,
)
"""


def printed(code: str, folder: Path, seed: int = 0) -> str:
    """What a script prints, run with a seed of the hashes."""
    (folder / "script.py").write_text(code)
    # No bytecode: a file that is changed within a second would be taken for the one compiled.
    own = {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, str(folder / "script.py")],
        capture_output=True, text=True, env={**os.environ, **own},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_same_code_has_the_same_fingerprint_in_every_process(tmp_path: Path) -> None:
    """Whatever the seed of the hashes, the addresses, and the folder it lies in."""
    code = CODE + "from rewardkit.fingerprint import describe\nprint(describe(RUBRIC))\n"
    code += "print(RUBRIC.fingerprint)\n"
    (tmp_path / "other").mkdir()
    first = printed(code, tmp_path, seed=1)
    assert "0x7f" not in first
    assert printed(code, tmp_path, seed=2) == first
    assert printed(code, tmp_path / "other", seed=3) == first


MAIN = """# nothing
import functools, re
from dataclasses import dataclass
import helpers
from helpers import check
from rewardkit import FunctionReward, Reward, Rubric, Verdict, Verifier
from rewardkit.rewards import Outcome

PATTERN = re.compile("a")
CONSTANT = {"a", "b"}

def pattern(completion): return float(bool(PATTERN.search(completion)))
def constant(completion): return float(completion in CONSTANT)
def keyword(completion, *, scale=1.0): return scale
def by_module(completion): return helpers.check(completion)
def by_name(completion): return check(completion)
def by_inner_import(completion):
    from helpers import check
    return check(completion)
def make(scale):
    def closed(completion): return scale
    return closed
@dataclass
class Scorer:
    scale: float
    def __call__(self, completion): return self.scale
def wrapping(fn):
    @functools.wraps(fn)
    def wrapper(completion): return fn(completion) + 0.0
    return wrapper
@wrapping
def wrapped(completion): return 1.0

LIMIT = 0.5
def limit(text): return LIMIT
class Base(Verifier):
    def reason(self): return "base"
class Mine(Base):
    def _verify(self, sample):
        return Verdict.incorrect(self.reason(), credit=limit(sample.text))
class Own(Reward):
    def outcomes(self, samples, limit_s=None): return [Outcome(1.0) for _ in samples]

RUBRICS = dict(
    pattern=Rubric(p=pattern), constant=Rubric(p=constant), keyword=Rubric(p=keyword),
    by_module=Rubric(p=by_module), by_name=Rubric(p=by_name),
    by_inner_import=Rubric(p=by_inner_import), closure=Rubric(p=make(1.0)),
    state=Rubric(p=Scorer(1.0)), wrapper=Rubric(p=wrapped), mine=Rubric(p=Mine()),
    limit=Rubric(p=FunctionReward(keyword, limit_s=1.0)), own=Rubric(p=Own()),
    partial=Rubric(p=functools.partial(keyword, scale=3.0)),
)
print({name: rubric.fingerprint for name, rubric in RUBRICS.items()})
"""
HELPERS = "FACTOR = 2.0\ndef inner(text): return FACTOR * len(text)\ndef check(text): return inner(text)\nunused = 1\n"


def prints(folder: Path, main: str, helpers: str = HELPERS) -> dict[str, str]:
    (folder / "helpers.py").write_text(helpers)
    found: dict[str, str] = eval(printed(main, folder))
    return found


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The fingerprints of the code as it stands."""
    return prints(tmp_path_factory.mktemp("before"), MAIN)


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ('re.compile("a")', 're.compile("b")', {"pattern"}),
        ('re.compile("a")', 're.compile("a", re.I)', {"pattern"}),
        ('{"a", "b"}', '{"a", "c"}', {"constant"}),
        ("scale=1.0)", "scale=2.0)", {"keyword", "limit", "partial"}),
        ("make(1.0)", "make(2.0)", {"closure"}),
        ("Scorer(1.0)", "Scorer(2.0)", {"state"}),
        ("return self.scale", "return -self.scale", {"state"}),
        ("fn(completion) + 0.0", "fn(completion) + 1.0", {"wrapper"}),
        ("wrapped(completion): return 1.0", "wrapped(completion): return 2.0", {"wrapper"}),
        ("LIMIT = 0.5", "LIMIT = 0.25", {"mine"}),
        ("return LIMIT", "return LIMIT / 2", {"mine"}),
        ('return "base"', 'return "bases"', {"mine"}),
        ("limit_s=1.0)", "limit_s=2.0)", {"limit"}),
        ("Outcome(1.0)", "Outcome(2.0)", {"own"}),
        ("scale=3.0", "scale=4.0", {"partial"}),
        ("# nothing", "# something else", set()),
    ],
)
def test_it_changes_for_exactly_what_uses_what_changed(
    before: dict[str, str], tmp_path: Path, old: str, new: str, changed: set[str]
) -> None:
    assert old in MAIN
    after = prints(tmp_path, MAIN.replace(old, new))
    assert {name for name in before if before[name] != after[name]} == changed


def test_it_follows_into_modules_of_the_users_own(before: dict[str, str], tmp_path: Path) -> None:
    after = prints(tmp_path, MAIN, HELPERS.replace("FACTOR = 2.0", "FACTOR = 3.0"))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"by_module", "by_name", "by_inner_import"}
    other = prints(tmp_path, MAIN, HELPERS.replace("unused = 1", "unused = 2"))
    assert {name for name in before if before[name] != other[name]} == {"by_inner_import"}


def test_scoring_first_does_not_change_it(tmp_path: Path) -> None:
    """Caches and counts of the rubric itself are no part of it."""
    code = CODE + "s = RUBRIC.score_many([], on_error='abstain')\n"
    code += "inner.score(completion='4', answer='4', text='x')\nprint(RUBRIC.fingerprint)\n"
    plain = CODE + "print(RUBRIC.fingerprint)\n"
    assert printed(code, tmp_path) == printed(plain, tmp_path)


class Opaque:
    """Something for which pydantic has no schema."""


class Arbitrary(Reward):
    def __init__(self, thing: object) -> None:
        super().__init__()
        object.__setattr__(self, "thing", thing)

    def outcomes(self, samples: object, limit_s: float | None = None) -> list[Outcome]:
        return [Outcome(1.0) for _ in samples]  # type: ignore[attr-defined]


class OfAnything(Verifier):
    thing: object

    def _verify(self, sample: Sample) -> Verdict:
        return Verdict.correct()


@pytest.mark.parametrize("part", [Arbitrary(Opaque()), OfAnything(Opaque()), OfAnything(object())])
def test_what_no_schema_describes_can_score(part: object) -> None:
    assert Rubric(p=part).score(completion="x").total == 1.0  # type: ignore[arg-type]


class Hostile:
    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return Hostile()

    def __getstate__(self) -> object:
        raise RuntimeError("not today")

    def __repr__(self) -> str:
        raise RuntimeError("nor this")

    def __call__(self, completion: str) -> float:
        return 1.0


def test_an_object_that_resists_and_a_huge_one_do_not_stop_it() -> None:
    deep: list[object] = []
    for _ in range(5_000):
        deep = [deep]
    deep.append(deep)
    wide = {(str(i), i) for i in range(50_000)}

    def fn(completion: str, a: object = deep, b: object = wide) -> float:
        return 1.0

    rubric = Rubric(a=FunctionReward(fn), b=FunctionReward(Hostile()))
    assert (
        rubric.fingerprint == Rubric(a=FunctionReward(fn), b=FunctionReward(Hostile())).fingerprint
    )


def test_arrays_count_by_what_is_in_them() -> None:
    numpy = pytest.importorskip("numpy")

    def weighted(weights: object) -> str:
        return Rubric(p=lambda completion: float(bool(weights))).fingerprint

    assert weighted(numpy.arange(5.0)) == weighted(numpy.arange(5.0))
    assert len({weighted(numpy.arange(n, dtype=t)) for n in (4, 5) for t in ("f4", "f8")}) == 4


SEEN: list[str] = []


def remembers(completion: str) -> float:
    SEEN.append(completion)
    return float(len(SEEN))


def test_what_a_function_keeps_of_the_texts_it_judged_is_no_part_of_it() -> None:
    SEEN.clear()
    first = Rubric(remembers).score(completion="x").fingerprint
    SEEN.clear()
    assert Rubric(remembers).fingerprint == first


class WithHandle(Verifier):
    text: str
    handle: object = field(default=None, compare=False)

    def _verify(self, sample: Sample) -> Verdict:
        return Verdict.correct()


def test_a_field_that_equality_leaves_out_is_no_part_of_it() -> None:
    """A sandbox, a client: where something runs, and not what it comes to."""
    prints = {Rubric(p=WithHandle("a", handle)).fingerprint for handle in (None, 1, Opaque())}
    assert len(prints) == 1
    assert Rubric(p=WithHandle("b")).fingerprint not in prints


def test_our_own_version_is_no_part_of_an_argument_of_a_verifier_of_ours() -> None:
    """Verifiers of ours have versions of their own, which change when their verdicts do."""
    parts = describe(Rubric(p=NumberVerifier(extract=Between("<a>", "</a>"))))
    assert "Between" in str(parts)
    assert "0.1.0" not in str(parts)
