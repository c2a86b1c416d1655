"""A verifier whose verdicts tests set, and rows that say them."""

from __future__ import annotations

from typing import Any

from rewardkit import Sample, Verdict, Verifier


class Says(Verifier):
    """Reads its verdict from a column, so that tests can set every case."""

    column: str

    def _verify(self, sample: Sample) -> Verdict:
        said = sample.get(self.column, wanted_by="Says")
        if said == "unscorable":
            return Verdict.unscorable("nobody knows", fault="dataset", rule="said")
        if isinstance(said, float):
            return Verdict.incorrect("partly", credit=said, label="part", rule="said")
        made = Verdict.correct if said == "correct" else Verdict.incorrect
        return made(f"it is {said}", rule="said", text=sample.text, span=(0, len(sample.text)))


def row(**columns: Any) -> Sample:
    """A row with these columns."""
    return Sample(completion="text", columns=columns)
