"""A verifier of one's own, and rewards from plain functions: by name, in TRL's batch form, async.

    python examples/own_verifier.py

The task: a poem whose lines begin with the letters of a given word.
"""

import asyncio

from rewardkit import Column, Rubric, Sample, Verdict, Verifier, reward


class Acrostic(Verifier):
    """The lines begin with the letters of a word; the credit is the share of lines that do.

    Fields are arguments: checked, printed, compared, written to specs. ``Column`` lets a row of the
    data give the word.
    """

    word: str | Column = Column("word")

    def _verify(self, sample: Sample) -> Verdict:
        word = self._argument(self.word, sample)
        if not isinstance(word, str) or not word.isalpha():
            # Not the poem's fault: nobody could have got this right, so there is no verdict.
            return Verdict.unscorable(f"no word to spell: {word!r}", fault="dataset")
        lines = [line.strip() for line in sample.text.splitlines() if line.strip()]
        got = "".join(line[0] for line in lines)
        if got.casefold() == word.casefold():
            return Verdict.correct(f"spells {word}", rule="initials", text=got)
        right = sum(a == b for a, b in zip(got.casefold(), word.casefold(), strict=False))
        # Below 1 whatever happens: only a correct verdict has full credit.
        credit = min(right / max(len(word), len(lines)), 0.99)
        return Verdict.incorrect(f"spells {got[:40]!r}", credit=credit, rule="initials", text=got)


@reward(bounds=(-1.0, 0.0))
def brevity(completion: str) -> float:
    """By name: takes what it asks for (``completion``, ``prompt``, ``answer``, any column)."""
    return -min(len(completion) / 500, 1.0)


@reward(bounds=(0.0, 1.0))
def variety(completions: list[str], **columns: object) -> list[float | None]:
    """TRL's batch form: lists in, a list out; ``None`` where there is nothing to say."""
    words = [completion.lower().split() for completion in completions]
    return [len(set(w)) / len(w) if w else None for w in words]


@reward(bounds=(0.0, 1.0), limit_s=5.0)
async def charm(completion: str) -> float:
    """Async: stands for a service that is asked; many calls wait at the same time."""
    await asyncio.sleep(0)
    return min(completion.count("!") / 3, 1.0)


rubric = (
    Rubric(
        acrostic=Acrostic().reward(correct=2.0, partial=True),
        brevity=brevity,
        variety=variety,
        charm=charm,
    )
    .weighted(brevity=0.5)
    .metrics("charm")  # logged, and not learned from
    .gate("variety", on="acrostic")  # counts only where the lines spell the word
)

POEMS = (
    "Crumbs on the chair,\nA paw on the stair,\nTail in the air!",
    "Crumbs on the chair,\nBread everywhere!",
    "Cat cat cat\nAnd cat\nTo cat",
)


def main() -> None:
    """Score the poems side by side, and one row whose word is missing."""
    rows = [*((poem, "cat") for poem in POEMS), (POEMS[0], "")]
    samples = [Sample(completion=poem, columns={"word": word}) for poem, word in rows]
    for score in rubric.score_many(samples):
        print(score.explain(), end="\n\n")


if __name__ == "__main__":
    main()
