"""Judged text on its way to a terminal.

It is hostile: control characters could move the cursor, recolour or overwrite the lines that tell
the score; reversing marks could turn them round; line breaks could forge more of them.
"""

from __future__ import annotations

__all__ = ["one_line", "safe_lines"]


def one_line(text: str, most: int | None = None) -> str:
    """The text on one line, what cannot be printed written as ``\\n``, ``\\x1b``, ``\\u202e``.

    Args:
        text: any text, half surrogate pairs included.
        most: characters of the text to keep; where it is longer, an ellipsis ends it.
    """
    kept = text if most is None or len(text) <= most else text[:most]
    line = "".join(c if c.isprintable() else _escaped(c) for c in kept)
    return line if len(kept) == len(text) else line + "…"


def safe_lines(text: str) -> str:
    """The text with its line breaks, all else that cannot be printed escaped."""
    return "\n".join(one_line(line) for line in text.split("\n"))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
