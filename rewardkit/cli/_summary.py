"""What many scores come to, as a short table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from rewardkit._escape import one_line
from rewardkit.metrics import CorrectShare, mean
from rewardkit.rubric import Rubric
from rewardkit.score import PartScore, Score

__all__ = ["Tally"]


@dataclass
class _Part:
    """Counts of one part."""

    values: list[float] = field(default_factory=list)
    correct: CorrectShare = field(default_factory=CorrectShare)
    unscorable: int = 0
    gated: int = 0

    def add(self, part: PartScore) -> None:
        self.unscorable += part.state == "unscorable"
        self.gated += part.state == "gated"
        if part.value is not None:
            self.values.append(part.value)
        self.correct.add(part)


class Tally:
    """Counts scores of one rubric."""

    def __init__(self, rubric: Rubric) -> None:
        self._fingerprint = rubric.fingerprint
        self._parts = {name: _Part() for name in rubric.parts}
        self._totals: list[float] = []
        self._rows = 0
        self._why: Counter[tuple[str, str, str]] = Counter()

    def add(self, score: Score) -> None:
        """Count one score."""
        self._rows += 1
        if score.total is not None:
            self._totals.append(score.total)
        for part in score:
            self._parts[part.name].add(part)
        for part in score.unscorable:
            fault = part.fault or "verifier"
            self._why[part.name, fault, one_line(part.why, 160)] += 1

    def text(self) -> str:
        """The table: the total, every part, and why what could not be judged could not."""
        without = self._rows - len(self._totals)
        counts = f"({len(self._totals)} scored, {without} unscorable)"
        lines = [
            f"{self._rows} rows, rubric {self._fingerprint}",
            f"total  mean {_mean(self._totals)}  {counts}",
            "",
            f"{'part':<{self._width}}  {'mean':>9}  {'correct':>8}  {'gated':>6}  unscorable",
        ]
        lines.extend(self._line(name, part) for name, part in self._parts.items())
        if self._why:
            lines += ["", "could not be judged:"]
            lines += [
                f"  {n} × {one_line(p)} ({fault}): {why}" for (p, fault, why), n in self._most()
            ]
        return "\n".join(lines)

    @property
    def _width(self) -> int:
        return max(4, *(len(one_line(name)) for name in self._parts))

    def _line(self, name: str, part: _Part) -> str:
        correct = part.correct.value
        share = "-" if correct is None else f"{100 * correct:.1f}%"
        figures = f"{_mean(part.values):>9}  {share:>8}  {part.gated:>6}  {part.unscorable}"
        return f"{one_line(name):<{self._width}}  {figures}"

    def _most(self) -> list[tuple[tuple[str, str, str], int]]:
        return self._why.most_common(10)


def _mean(values: list[float]) -> str:
    found = mean(values)
    return "none" if found is None else f"{found:+.4g}"
