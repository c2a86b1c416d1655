"""A fingerprint of all that a score depends on.

Covered: every part's arguments (defaults included), weights, policies, limits and gates; the
version of each verifier of ours and of the distributions it stands on; the source of functions and
classes of the user's, what they use of their own and of other modules of the user's (functions,
classes, constants, patterns), their defaults, closures and attributes, the state of their objects;
and the versions of the packages that they call. Not covered: files that code reads, what it imports
by a computed name, and the state of objects of other packages.

The same code has the same fingerprint in every process. See :mod:`rewardkit._canonical`.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from rewardkit._canonical import Encoder
from rewardkit._code import home_of, source_of
from rewardkit.function import FunctionReward
from rewardkit.rewards import Reward, VerifierReward
from rewardkit.verifier import Verifier

if TYPE_CHECKING:
    from rewardkit.rubric import Rubric

__all__ = ["describe", "fingerprint"]


def fingerprint(rubric: Rubric) -> str:
    """Sixteen hex digits of a SHA-256 over :func:`describe`."""
    text = json.dumps(describe(rubric), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def describe(rubric: Rubric) -> dict[str, Any]:
    """Everything the fingerprint covers, as plain data: two of them can be compared."""
    encoder = _Encoder()
    return {**encoder.rubric(rubric), "code": encoder.finish()}


class _Encoder(Encoder):
    """Knows rubrics, rewards and verifiers: what of them bears on a score, and what does not."""

    def special(self, value: Any) -> Any:
        if isinstance(value, Verifier):
            return ["verifier", self._verifier(value)]
        if isinstance(value, FunctionReward):  # a helper that happens to be a reward too
            return self.encode(value.fn)
        if isinstance(value, Reward):
            return ["reward", self.reward(value)]
        kind = type(value)
        if kind.__module__ == "rewardkit.rubric" and hasattr(value, "gates"):
            return ["rubric", self.rubric(value)]
        if kind.__module__.startswith("rewardkit.") and is_dataclass(value):
            # An argument, a pair of markers say: by what it holds and not by our version.
            return [kind.__qualname__, self._fields(value)]
        return None

    def rubric(self, rubric: Rubric) -> dict[str, Any]:
        return {
            "parts": [[name, self.reward(reward)] for name, reward in rubric.parts.items()],
            "gates": [[g.on, g.gated, g.at_least, g.cap] for g in rubric.gates],
        }

    def reward(self, reward: Reward) -> dict[str, Any]:
        common = {"weight": float(reward.weight), "unscorable": self.encode(reward.unscorable)}
        if isinstance(reward, VerifierReward) and type(reward) is VerifierReward:
            values = {label: float(value) for label, value in reward.values.items()}
            pays = [float(reward.correct), float(reward.incorrect), reward.partial, values]
            judge = self._verifier(reward.verifier)
            return {**common, "pays": self.encode(pays), "verifier": judge}
        if isinstance(reward, FunctionReward) and type(reward) is FunctionReward:
            options = [reward.signature.form, reward.bounds, reward.limit_s]
            return {
                **common,
                "options": self.encode(options),
                "function": self.encode(reward.fn),
            }
        return {**common, **self._custom(reward)}

    def _custom(self, reward: Reward) -> dict[str, Any]:
        """A reward of a class of its own: those of ours have no version, so the source counts."""
        kind = type(reward)
        ours = source_of(kind) if kind.__module__.partition(".")[0] == "rewardkit" else None
        return {"class": [self.encode(kind), ours], "state": self._fields(reward)}

    def _verifier(self, verifier: Verifier) -> dict[str, Any]:
        """A verifier by its class, arguments and versions; those inside it are arguments."""
        kind = type(verifier)
        ours = kind.__module__.partition(".")[0] == "rewardkit"
        return {
            # Ours state their version by hand; a user's class is identified by its source as well.
            "class": f"{kind.__module__}.{kind.__qualname__}" if ours else self.encode(kind),
            "version": verifier.version,
            "on": {name: _version(name) for name in verifier.stands_on},
            "args": self._fields(verifier),
        }

    def _fields(self, thing: Any) -> dict[str, Any]:
        own = home_of(type(thing)) is None
        names = {f.name for f in fields(thing)} if is_dataclass(thing) else set()
        state = {name: value for name, value in self._state(thing) if own or name in names}
        return {name: self.encode(value) for name, value in sorted(state.items())}


@functools.cache
def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
