"""Names that are nearly right: what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["meant", "slip_of"]


def meant(name: str, known: Iterable[str]) -> str:
    """A question for the end of a message, ``"; did you mean 'total'?"``, or nothing."""
    import difflib  # only for a message: it costs more to import than all of this

    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""


def slip_of(name: str, known: Iterable[str]) -> str | None:
    """The known name of which this one is a slip of the pen: other case, or a letter or two."""
    import difflib

    folded = name.casefold()
    for other in known:
        alike = difflib.SequenceMatcher(None, folded, other).ratio() > 0.8
        if folded == other or (alike and abs(len(folded) - len(other)) <= 2):
            return other
    return None
