r"""The formula that a box is a part of: ``\boxed{5}\pi`` says five times pi, not five.

Models often draw the box around a part of what they say. The answer is the side of the formula in
which the box stands, as if the box were drawn around all of it. A side ends at a relation sign, a
comma, a line break or at words; the box alone is the answer where nothing of its side is left.

Only what stands within a few hundred characters of the box is looked at, each once.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rewardkit.verdict import Span
from rewardkit.verifiers.math.lexer import is_function, joins_values
from rewardkit.verifiers.math.units import is_unit

__all__ = ["Side", "side_of"]

_REACH = 300
"""Characters before and after a box in which its side is looked for."""
_DEEPEST = 40
"""Most groups around a box; what is deeper is no value of our grammar."""
_LOOK_BACK = 2000
"""Characters before a box in which the formula's opening mark is looked for."""


class Side(NamedTuple):
    """The side of a formula in which a box stands.

    Attributes:
        span: its character offsets; those of the box, braces and name included, if it is alone.
        equal: the other side of an equation, where there is one beside it; else ``""``.
    """

    span: Span
    equal: str


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    stop: int
    tight: bool  # no space before it


_RELATIONS = (
    "le|leq|leqslant|ge|geq|geqslant|lt|gt|ne|neq|approx|simeq|sim|equiv|cong|in|notin|to|mapsto|"
    "rightarrow|Rightarrow|longrightarrow|Longrightarrow|implies|iff|Leftrightarrow|therefore|"
    "because|mid|quad|qquad|pmod|mod|land|lor|wedge|vee|newline|hfill"
)
_TOKEN = re.compile(
    r"(?P<space>(?:\s|~|\\[,;:!> ]|\{\}|\\(?:displaystyle|textstyle|limits|left|right|tiny|small|"
    r"large|Large|LARGE|huge|Huge|bf|rm|it|[bB]igg?[lrm]?)(?![A-Za-z])"
    r"|\\(?:(?:text)?color(?:box)?|[hv]?phantom)\s?\{[^{}]{0,40}\})+)"
    rf"|(?P<end>\\(?:{_RELATIONS})(?![A-Za-z])|\\begin\s?\{{[^{{}}]*\}}(?:\s?\{{[^{{}}]*\}})?"
    r"|\\(?:end|tag|label|hspace|vspace)\*?\s?\{[^{}]*\}|\\\\|!=|[=<>≤≥≠≈∈→⇒,;，；。、&])"
    r"|(?P<number>[0-9]+(?:[.,][0-9]+)*\.?)"
    r"|(?P<text>\\(?:text[a-z]*|mathrm|mbox|hbox|operatorname\*?)\s?\{[^{}]*\})"
    r"|(?P<wrap>\\(?:text[a-z]*|math(?:bf|rm|it|sf|tt|bb|cal)|bm|boldsymbol|underline|mbox|hbox|"
    r"ensuremath|framebox)\s?\{)"
    r"|(?P<money>\\\$|[€£¥])"
    r"|(?P<open>[({\[]|\\[{]|\\(?:langle|lfloor|lceil|lvert|lVert)(?![A-Za-z]))"
    r"|(?P<close>[)}\]]|\\[}]|\\(?:rangle|rfloor|rceil|rvert|rVert)(?![A-Za-z]))"
    r"|(?P<command>\\[A-Za-z]+)"
    r"|(?P<word>[^\W\d_]+)"
    r"|(?P<op>.)",
    re.DOTALL,
)
_OPERATORS = frozenset("+-−–*/×·⋅÷±∓√∛")
_POSTFIX = frozenset("^_!'")
_SHORT = frozenset(
    {"or", "as", "is", "so", "to", "in", "we", "if", "of", "by", "at", "be", "it", "no", "on", "do"}
)
_DEGREE = re.compile(r"\^\s?\{?\s?\\circ|°")
_ORDINAL = re.compile(r"\^\s?\{?\s?(?:\\(?:text|mathrm)\s?\{)?\s?(?:st|nd|rd|th)\b")
_CONSTANT = re.compile(r"\\[a-z]+\s?\{\s?[ei]\s?\}")
_EQUATION = re.compile(r"\(\s?[0-9]{1,2}\s?\)")
_LABEL = re.compile(r"\(\s?[A-Za-z0-9]{1,3}\s?\)")


def side_of(text: str, start: int, stop: int) -> Side:
    """The side of a formula that holds what stands in ``text[start:stop]``."""
    begin = _formula_begins(text, start)
    low = max(0, start - _REACH)
    first = max(begin, low) if begin >= 0 else max(low, text.rfind("\n\n", low, start))
    return _Reader(text, (start, stop), first, begin >= 0).side()


_MARK = re.compile(r"\\.|\$\$?", re.DOTALL)
_ENVIRONMENTS = (
    *("align", "aligned", "gather", "equation", "split", "cases", "array", "multline"),
    *("eqnarray", "pmatrix", "bmatrix", "matrix", "displaymath", "math"),
)


def _formula_begins(text: str, at: int) -> int:
    """Where the formula begins in which this offset is; -1 if it is in none."""
    low = max(0, at - _LOOK_BACK)
    for opening, closing in (("\\[", "\\]"), ("\\(", "\\)"), ("\\begin{", "\\end{")):
        found = text.rfind(opening, low, at)
        if found >= 0 and text.rfind(closing, found, at) < 0:
            after = found + len(opening)
            if opening[-1] != "{":
                return after
            if text.startswith(_ENVIRONMENTS, after):
                return found
    low = max(low, text.rfind("\n\n", low, at) + 1)
    begin, mark = -1, ""
    for found_mark in _MARK.finditer(text, low, at):
        sign = found_mark.group()
        if sign[0] == "\\":
            continue
        if begin < 0:
            begin, mark = found_mark.end(), sign
        elif sign == mark:
            begin = -1
        elif mark == "$":  # $a$$b$: one formula ends and the next begins
            begin = found_mark.end()
    return begin


class _Reader:
    """One walk from a box outwards through the groups that it stands in."""

    def __init__(self, text: str, box: Span, first: int, math: bool) -> None:
        self._text = text
        self._math = math
        self._box = box
        self._before = self._read(first, box[0])
        self._after = self._read(box[1], self._formula_ends(box[1]))

    def _formula_ends(self, at: int) -> int:
        limit = min(len(self._text), at + _REACH)
        for mark in _CLOSING.finditer(self._text, at, limit):
            if mark.group() not in ("\\$", "\\\\"):
                return mark.start()
        return limit

    def _read(self, start: int, stop: int) -> list[_Token]:
        found: list[_Token] = []
        tight = True
        for match in _TOKEN.finditer(self._text, start, stop):
            kind = match.lastgroup or "op"
            if kind == "space" and "\n" not in match.group():
                tight = False
                continue
            kind = self._kind("end" if kind == "space" and not self._math else kind, match.group())
            if kind != "space":
                found.append(_Token(kind, match.group(), match.start(), match.end(), tight))
            tight = kind != "space"
        return found

    def _kind(self, kind: str, text: str) -> str:
        if kind == "word" and not is_function(text):
            few = len(text) <= (2 if self._math else 1) and text.lower() not in _SHORT
            return "word" if few else "end"
        if kind == "text" and _CONSTANT.fullmatch(text):
            return "word"
        if kind == "text":
            return "end"
        if kind == "command" and not joins_values(text[1:]) and not _CANCEL.fullmatch(text):
            return "end"
        if kind in ("open", "close") and not self._math and text in "()[]":
            return "end"  # of the prose
        return "end" if kind == "op" and text in ".?%" else kind

    # -- the walk --------------------------------------------------------------------------------

    def side(self) -> Side:
        """The side of the box at the outermost of its groups that adds to it."""
        opened = self._unclosed()
        if len(opened) > _DEEPEST:
            return Side((self._before[0].start, self._box[1]), "")
        span, item, alone, forced = self._box, self._box, True, False
        left, right = len(self._before), 0
        while True:
            opener = opened.pop() if opened else -1
            low, high = self._bounds(opener, left, right)
            before, after = self._before[low:left], self._after[right:high]
            inside = opener >= 0 and self._is_listed(opener, left, right)
            if forced or inside or self._joined(before, after, item):
                alone, forced = False, False
                span = (
                    before[0].start if before else item[0],
                    after[-1].stop if after else item[1],
                )
            if opener < 0:
                break
            closing = self._closing(right)
            if closing < 0:
                if not self._is_transparent(opener):
                    span = self._before[opener].start, self._box[1]  # of a root left open
                break
            group = self._before[opener].start, self._after[closing].stop
            if not self._is_transparent(opener):
                forced, span = True, group
            elif not alone and self._before[opener].kind == "open":
                span = group
            left, right, item = opener, closing + 1, group
        return Side(span, self._equal(low, high))

    def _unclosed(self) -> list[int]:
        opened: list[int] = []
        for at, token in enumerate(self._before):
            if token.kind in ("open", "wrap"):
                opened.append(at)
            elif token.kind == "close" and opened:
                opened.pop()
        return opened

    def _bounds(self, opener: int, left: int, right: int) -> tuple[int, int]:
        """The first token of the side before the item and one past the last after it."""
        depth, low = 0, opener + 1
        for at in range(left - 1, opener, -1):
            kind = self._before[at].kind
            depth += (kind == "close") - (kind in ("open", "wrap"))
            if depth <= 0 and (kind == "end" or self._is_colon(at)):
                low = at + 1
                break
        depth = 0
        for at in range(right, len(self._after)):
            kind = self._after[at].kind
            depth += (kind in ("open", "wrap")) - (kind == "close")
            if depth < 0 or (depth == 0 and kind == "end"):
                return low, at
        return low, len(self._after)

    def _is_colon(self, at: int) -> bool:
        """A colon after words, as in "Total: 5"; that of a ratio stands between numbers."""
        if self._before[at].text != ":":
            return False
        return not (self._math and at and self._before[at - 1].kind == "number")

    def _closing(self, right: int) -> int:
        depth = 0
        for at in range(right, len(self._after)):
            kind = self._after[at].kind
            depth += (kind in ("open", "wrap")) - (kind == "close")
            if depth < 0:
                return at
        return -1

    def _is_listed(self, opener: int, left: int, right: int) -> bool:
        """True for a coordinate of ``(8, \\boxed{9})``."""
        if self._before[opener].text in ("{", "\\{") or self._before[opener].kind == "wrap":
            return False
        closing = self._closing(right)
        around = self._before[opener + 1 : left] + self._after[right : max(closing, right)]
        return closing >= 0 and any(token.text == "," for token in around)

    def _is_transparent(self, opener: int) -> bool:
        r"""Fonts, colours, bare groups and brackets say what is in them; ``\sqrt{`` does not."""
        token = self._before[opener]
        if token.kind == "wrap" or token.text in ("(", "[", "\\{"):
            return True
        if token.text != "{":
            return False
        previous = self._before[opener - 1] if opener else None
        return previous is None or (
            previous.kind not in ("command", "close") and previous.text not in ("^", "_")
        )

    # -- what joins ------------------------------------------------------------------------------

    def _joined(self, before: list[_Token], after: list[_Token], item: Span) -> bool:
        if before and after and before[-1].text == after[0].text == "|":
            return True
        return (bool(before) and self._joins_before(before, item[0])) or (
            bool(after) and self._joins_after(after)
        )

    def _joins_before(self, before: list[_Token], start: int) -> bool:
        last = before[-1]
        tight = self._math or last.stop == start
        if last.kind in ("command", "money"):
            return True
        if last.kind in ("number", "word"):
            return tight and (self._math or last.text[-1] != ".")
        if last.kind == "close":
            return tight and not _LABEL.fullmatch(self._text, before[0].start, last.stop)
        if last.text in ("^", "_"):
            return self._math or len(before) > 1  # _5_ is Markdown
        if last.text == ":":
            return True
        if last.text not in _OPERATORS:
            return self._math and last.text in ("!", "'")
        if self._math or last.text in "√∛±∓":
            return True
        # In prose a dash and a star may be punctuation; the minus of a value is looked at apart.
        if len(before) < 2 or before[-2].kind not in ("number", "close", "word", "command"):
            return False
        return last.text not in "-−–*" or (tight and last.tight)

    def _joins_after(self, after: list[_Token]) -> bool:
        first, more = after[0], after[1:]
        if first.kind == "command":
            return first.text != "\\bmod"  # "3 mod 7" says which 3 is meant
        if first.kind in ("number", "word"):
            return not is_unit(first.text) and (self._math or first.tight)
        if first.kind == "open":
            numbered = not first.tight and _EQUATION.match(self._text, first.start)
            return self._math and first.text != "[" and not numbered and self._is_factor(more)
        if first.text == "^" and (
            _DEGREE.match(self._text, first.start) or _ORDINAL.match(self._text, first.start)
        ):
            return False
        if first.text in ("^", "_"):
            return bool(more) and more[0].text not in ("*", "_")  # a footnote, or Markdown
        if first.text in _POSTFIX:
            return self._math
        if not more or more[0].kind not in ("number", "word", "command", "open"):
            return False
        if first.text == ":":
            return self._math or (first.tight and more[0].kind == "number")
        if first.text not in _OPERATORS:
            return False
        if self._math:
            return True
        tight = first.tight and more[0].tight
        return more[0].kind in ("number", "command") and (tight or first.text not in "-−–*/")

    def _is_factor(self, inside: list[_Token]) -> bool:
        """False for brackets with words or a condition in them: ``\\boxed{x} (x > 0)``."""
        for token in inside:
            if token.kind == "close":
                return True
            if token.kind == "end" and token.text != ",":
                return False
        return False

    def _equal(self, low: int, high: int) -> str:
        """The side after the next sign of equality, or before the last one."""
        if high < len(self._after) and self._after[high].text == "=":
            start = self._after[high].stop
            ends = [t.start for t in self._after[high + 1 :] if t.kind == "end"]
            last = self._after[-1].stop
            return self._text[start : ends[0] if ends else last].strip()
        if low > 0 and self._before[low - 1].text == "=":
            stop = self._before[low - 1].start
            starts = [t.stop for t in self._before[: low - 1] if t.kind == "end"]
            return self._text[starts[-1] if starts else self._before[0].start : stop].strip()
        return ""


_CLOSING = re.compile(r"\\\\|\\\$|\$|\\[\])(\[]|\n\n|\n(?=#)")
_CANCEL = re.compile(r"\\(?:[bx]?cancel|sout|not)")
