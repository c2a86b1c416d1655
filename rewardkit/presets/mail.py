"""An e-mail that answers another."""

from __future__ import annotations

from typing import Literal

from rewardkit.combine import AllOf
from rewardkit.rubric import Rubric
from rewardkit.sample import Column
from rewardkit.verifiers.text import Contains, ExactText, Keywords, MaxLength

__all__ = ["email"]

SIGNATURE_LINES = 8
"""A signature stands within so many last lines (those that are not blank)."""

KEYWORDS, RECIPIENT = Column("keywords"), Column("recipient")
PHONE, ADDRESS, MAIL = Column("phone"), Column("address"), Column("email")


def email(
    *,
    keywords: tuple[str, ...] | Column = KEYWORDS,
    max_length: int | Column = 200,
    unit: Literal["characters", "words"] = "words",
    recipient: str | Column = RECIPIENT,
    phone: str | Column = PHONE,
    address: str | Column = ADDRESS,
    mail: str | Column = MAIL,
) -> Rubric:
    """An e-mail that answers another; the ideal answer is the row's ``answer``.

    =========  ===================================================  =====  =========
    part       holds if                                             holds  otherwise
    =========  ===================================================  =====  =========
    keyword    every required keyword occurs, as a word             +1     0
    ideal      it equals the ideal answer                           +1     0
    length     it is not longer than ``max_length``                 0      -1
    recipient  the recipient's name occurs, as words                +1     0
    signature  phone, e-mail and address in its last eight lines    +1     0
    =========  ===================================================  =====  =========

    Case is ignored, and any run of whitespace counts as one space (but for the ideal answer, where
    only whitespace around the whole is ignored).

    Farmable: a name, the keywords and a signature, and no letter between them, earn 3 of 4; so does
    the letter among others, or denied; the prompt again earns 2 where it holds name and keywords.
    Gate the three behind a judge of the text, or behind a similarity to the ideal answer.

    Args:
        keywords: the required keywords, or the column that holds them.
        max_length: greatest length, or the column that holds it.
        unit: ``"words"`` or ``"characters"``.
        recipient: the recipient's name, or the column that holds it.
        phone: the sender's telephone number as it is to be written, or its column.
        address: the sender's postal address, or its column.
        mail: the sender's e-mail address, or its column.

    Example:
        >>> sorted(email(keywords=("refund",)).columns)
        ['address', 'answer', 'email', 'phone', 'recipient']
    """
    signature = AllOf(
        tuple(
            Contains(text, casefold=True, last_lines=SIGNATURE_LINES)
            for text in (phone, mail, address)
        )
    )
    return Rubric(
        keyword=Keywords(all_of=keywords).reward(correct=1.0),
        ideal=ExactText().reward(correct=1.0),
        length=MaxLength(max_length, unit=unit).reward(correct=0.0, incorrect=-1.0),
        recipient=Contains(recipient, casefold=True, words=True).reward(correct=1.0),
        signature=signature.reward(correct=1.0),
    ).silence("form-outweighs-answer")
