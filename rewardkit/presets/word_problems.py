"""Word problems in the manner of GSM8K (arXiv 2110.14168), with golds plain or after ``####``."""

from __future__ import annotations

from rewardkit.rewards import VerifierReward
from rewardkit.rubric import Rubric
from rewardkit.verifiers.extraction import Between, Pattern
from rewardkit.verifiers.format import TagFormat
from rewardkit.verifiers.number import IsInteger, NumberVerifier
from rewardkit.verifiers.shaping import TagCount
from rewardkit.verifiers.text import Contains, ExactText

__all__ = ["gsm8k", "gsm8k_eval_matched", "gsm8k_two_part"]

# What lm-evaluation-harness reads as "strict-match": the number after the first "#### ".
_FIRST_HASH = Pattern(r"\A.*?#### (-?[0-9.,]+)")


def gsm8k(
    *, reasoning: str = "reasoning", answer: str = "answer", least: float | None = None
) -> Rubric:
    r"""The popular five rewards.

    =============  ======================================================================
    part           earns
    =============  ======================================================================
    correctness    2.0 if the answer is the gold, letter by letter
    integer        0.5 if the answer is a whole number
    soft_format    0.5 if the tags stand in order, whitespace free
    strict_format  0.5 if the line breaks are exact: each tag on a line of its own
    tags           0.125 for each of the four tags that occurs exactly once, less 0.001
                   for each character after the last tag
    =============  ======================================================================

    Both formats refuse empty blocks and text outside of them.

    Farmable: form and any whole number earn 2.0, as much as the answer itself, and empty tags 0.5.
    Gate with ``gsm8k(least=0.0).gate("integer", "tags", on="soft_format")``, and weigh the form
    down once it is learned.

    Args:
        reasoning: name of the tag around the reasoning.
        answer: name of the tag around the answer.
        least: least value of ``tags``, which by the definition has none; needed to gate it.

    Example:
        >>> text = "<reasoning>\n2 + 2\n</reasoning>\n<answer>\n4\n</answer>"
        >>> gsm8k().score(completion=text, answer="#### 4").total
        4.0
    """
    tags = _tags(reasoning, answer)
    inside = Between(*tags[2:])
    strict = f"{tags[0]}\n...\n{tags[1]}\n{tags[2]}\n...\n{tags[3]}\n"
    return Rubric(
        correctness=ExactText(extract=inside, gold="final").reward(correct=2.0),
        integer=IsInteger(extract=inside).reward(correct=0.5),
        soft_format=TagFormat("{}...{}{}...{}".format(*tags)).reward(correct=0.5),
        strict_format=TagFormat(strict, strict=True).reward(correct=0.5),
        tags=TagCount(tags, each=0.125, per_trailing_character=-0.001, least=least),
    ).silence("form-outweighs-answer")


def gsm8k_two_part(*, reasoning: str = "reasoning", answer: str = "answer") -> Rubric:
    """The two-part variant.

    ======  ==========================================================================
    part    earns
    ======  ==========================================================================
    format  0.2 for each of the four tags that is there
    answer  2.0 for the text of the gold, 1.5 for a number equal to it, else 0
    ======  ==========================================================================

    Farmable: the tags alone earn 0.8, in any order. Gate ``format`` on a ``TagFormat``, which
    refuses empty blocks, or weigh it down.

    Args:
        reasoning: name of the tag around the reasoning.
        answer: name of the tag around the answer.

    Example:
        >>> text = "<reasoning>2 + 2</reasoning><answer>4</answer>"
        >>> gsm8k_two_part().score(completion=text, answer="4").total
        2.8
    """
    tags = _tags(reasoning, answer)
    return Rubric(
        format=TagCount(tags, each=0.2, exactly_once=False, per_trailing_character=0.0),
        answer=_graded(NumberVerifier(extract=Between(*tags[2:]))),
    )


def gsm8k_eval_matched(
    *,
    reasoning: str = "reasoning",
    answer: str = "answer",
    per_trailing_character: float = -0.001,
    least: float | None = None,
) -> Rubric:
    """The two-part variant, matched to how lm-evaluation-harness reads an answer.

    ======  ==========================================================================
    part    earns
    ======  ==========================================================================
    format  0.2 for each of the four tags that is there, less 0.001 for each character
            after the closing answer tag
    hashes  0.2 if ``####`` is there
    answer  2.0 for the text of the gold, 1.5 for a number equal to it, else 0
    ======  ==========================================================================

    The answer is read as its ``strict-match`` does: the number after the first ``"#### "``; and
    text after the closing tag costs, because ``flexible-extract`` reads the last number of all.

    Farmable: tags and ``####`` alone earn 1.0; gate both as in :func:`gsm8k_two_part`, with
    ``least=0.0``. A right number among wrong ones ("4 or 97") is paid in full, as the harness reads
    one number; gate ``answer`` on a ``RegexFormat`` of the whole tag.

    Args:
        reasoning: name of the tag around the reasoning.
        answer: name of the tag around the answer.
        per_trailing_character: value of each character after the closing answer tag.
        least: least value of ``format``, which by the definition has none; needed to gate it.

    Example:
        >>> text = "<reasoning>2 + 2</reasoning><answer>#### 4</answer>"
        >>> gsm8k_eval_matched().score(completion=text, answer="4").total
        3.0
    """
    tags = _tags(reasoning, answer)
    return Rubric(
        format=TagCount(
            tags,
            each=0.2,
            exactly_once=False,
            per_trailing_character=per_trailing_character,
            least=least,
        ),
        hashes=Contains("####").reward(correct=0.2),
        answer=_graded(NumberVerifier(extract=_FIRST_HASH, thinking=None)),
    )


def _tags(reasoning: str, answer: str) -> tuple[str, str, str, str]:
    return f"<{reasoning}>", f"</{reasoning}>", f"<{answer}>", f"</{answer}>"


def _graded(number: NumberVerifier) -> VerifierReward:
    return number.reward(correct=1.5, values={"exact": 2.0})
