"""Answers that are choices or words: the letter that is chosen, the words that are said."""

from __future__ import annotations

import re

from rewardkit.verifiers.math.tree import Node, Op, Sym, Text
from rewardkit.verifiers.math.understood import Understood
from rewardkit.verifiers.math.values import Study
from rewardkit.verifiers.math.words import plain_words

__all__ = ["chosen", "letter_of", "letters_of", "says", "words_only"]

_LETTERS = frozenset("ABCDEFGHIJ")
_CHOICE = re.compile(
    r"(?:the )?(?:option|choice|answer)?\s*(?:\(([A-J])\)|([A-J])(?=$|[\s.:),;!，。；：]))"
    r"(?:\s*[.:)]?\s*(?!(?:or|and)\b)(.*))",
    re.IGNORECASE | re.DOTALL,
)
_ANOTHER = re.compile(r"[,;、&]\s*\(?[A-J]\)?(?![A-Za-z])|\(?[A-J]\)?\s*$")
_TEXTS = re.compile(r"\\text(?:bf|rm|it)?\s*\{([^{}]*)\}")


def letter_of(tree: Node) -> str:
    """The letter of a choice, if the gold is one."""
    if isinstance(tree, Sym) and tree.name in _LETTERS:
        return tree.name
    if isinstance(tree, Text) and tree.words.strip("()").upper() in _LETTERS:
        return tree.words.strip("()").upper()
    return ""


def letters_of(tree: Node) -> frozenset[str]:
    """The letters of a choice of several, such as "A, C", "ABD" or "A and C"; none otherwise."""
    if not isinstance(tree, Op) or tree.kind not in ("list", "set", "mul") or tree.name == "or":
        return frozenset()
    names = [letter_of(arg) for arg in tree.args]
    in_order = tree.kind != "mul" or names == sorted(names)
    return frozenset(names) if all(names) and in_order and len(names) > 1 else frozenset()


def _unwrapped(text: str) -> str:
    text = _TEXTS.sub(r" \1 ", text).replace("~", " ").strip("{} ")
    return " ".join(text.split()).replace("( ", "(").replace(" )", ")")


def chosen(text: str) -> str:
    """The letter that an answer names, alone or before what it stands for."""
    text = _unwrapped(text)
    match = _CHOICE.fullmatch(text)
    if match is None:
        return ""
    rest = (match[3] or "").strip()
    if _ANOTHER.match(rest):
        return ""
    bare_letter = match[2] and rest and text[match.end(2) : match.end(2) + 1] in ("", " ")
    if bare_letter or re.search(r"\([A-J]\)|\b(?:or|and|not)\b", rest):
        return ""  # "A man", "(A) or (B)"
    return (match[1] or match[2]).upper()


def says(text: str, words: str) -> bool:
    """Whether a text is these words, whatever is put around them."""
    return plain_words(_unwrapped(text)) == words


def words_only(text: str) -> Understood:
    """A text that is no mathematics, as words."""
    spelled = " ".join(text.split())[:300]
    return Understood(Text(plain_words(spelled)), Study(None), spelled, spelled, spelled)
