"""Tokens of an answer in LaTeX, plain text and what lies between."""

from __future__ import annotations

import re
from typing import NamedTuple

from rewardkit.verifiers.math.units import is_unit
from rewardkit.verifiers.math.vectors import UNIT_VECTORS

__all__ = ["MAX_TOKENS", "Token", "Unsupported", "is_function", "joins_values", "tokens"]

MAX_TOKENS = 20_000


class Unsupported(Exception):  # noqa: N818 - says what the text is, not that anything failed
    """The text is outside of the grammar; the message says where."""


class Token(NamedTuple):
    """``kind`` is a class of tokens ("number", "sym", "func") or the symbol itself ("+")."""

    kind: str
    text: str
    spaced: bool = False


_FUNCTIONS = {
    "sin": "sin", "cos": "cos", "tan": "tan", "cot": "cot", "sec": "sec", "csc": "csc",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "asin": "asin", "acos": "acos",
    "atan": "atan", "arccot": "acot", "arcsec": "asec", "arccsc": "acsc", "tg": "tan",
    "ctg": "cot", "arctg": "atan",
    "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "coth": "coth", "sech": "sech", "csch": "csch",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
    "log": "log", "ln": "ln", "lg": "lg", "exp": "exp", "abs": "abs",
    "gcd": "gcd", "lcm": "lcm", "det": "det", "floor": "floor", "ceil": "ceil", "max": "max",
    "min": "min", "binom": "choose", "Re": "re", "Im": "im", "arg": "arg",
    "cis": "cis",
}  # fmt: skip
_GREEK = frozenset(
    [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "varepsilon",
        "zeta",
        "eta",
        "theta",
        "vartheta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
        "rho",
        "varrho",
        "sigma",
        "tau",
        "upsilon",
        "phi",
        "varphi",
        "chi",
        "psi",
        "omega",
        "Gamma",
        "Delta",
        "Theta",
        "Lambda",
        "Xi",
        "Pi",
        "Sigma",
        "Phi",
        "Psi",
        "Omega",
        "ell",
        "hbar",
    ]
)
_COMMANDS = {
    "frac": ("frac", "frac"), "dfrac": ("frac", "frac"), "tfrac": ("frac", "frac"),
    "cfrac": ("frac", "frac"), "sfrac": ("frac", "frac"), "nicefrac": ("frac", "frac"),
    "sqrt": ("root", "sqrt"), "binom": ("binom", "binom"), "dbinom": ("binom", "binom"),
    "tbinom": ("binom", "binom"), "choose": ("choose", "choose"), "over": ("over", "over"),
    "cdot": ("*", "*"), "times": ("*", "*"), "ast": ("*", "*"), "bullet": ("*", "*"),
    "div": ("/", "/"), "pm": ("pm", "+-"), "mp": ("mp", "-+"),
    "le": ("rel", "<="), "leq": ("rel", "<="), "leqslant": ("rel", "<="),
    "ge": ("rel", ">="), "geq": ("rel", ">="), "geqslant": ("rel", ">="),
    "lt": ("rel", "<"), "gt": ("rel", ">"), "ne": ("rel", "!="), "neq": ("rel", "!="),
    "approx": ("rel", "~"), "simeq": ("rel", "~"), "in": ("rel", "in"), "equiv": ("rel", "=="),
    "infty": ("sym", "inf"), "pi": ("sym", "pi"), "varnothing": ("empty", ""),
    "emptyset": ("empty", ""), "cup": ("union", "u"), "bigcup": ("union", "u"),
    "bigcap": ("meet", "n"), "cap": ("meet", "n"),
    "setminus": ("minus", "\\"), "backslash": ("minus", "\\"),
    "circ": ("circ", "o"), "degree": ("degree", "°"), "prime": ("prime", "'"),
    "ldots": ("dots", "..."), "dots": ("dots", "..."), "cdots": ("dots", "..."),
    "lfloor": ("[floor", "floor"), "rfloor": ("]floor", "floor"),
    "lceil": ("[ceil", "ceil"), "rceil": ("]ceil", "ceil"),
    "lvert": ("|", "|"), "rvert": ("|", "|"), "vert": ("|", "|"), "mid": ("|", "|"),
    "lVert": ("norm", "||"), "rVert": ("norm", "||"), "Vert": ("norm", "||"),
    "langle": ("(", "<"), "rangle": (")", ">"), "lbrace": ("set{", "{"), "rbrace": ("}set", "}"),
    "lbrack": ("[", "["), "rbrack": ("]", "]"), "lparen": ("(", "("), "rparen": (")", ")"),
    "sum": ("big", "sum"), "prod": ("big", "prod"), "int": ("big", "int"), "iint": ("big", "int"),
    "oint": ("big", "int"), "lim": ("big", "lim"),
    "to": ("to", "to"), "rightarrow": ("to", "to"),
    "bmod": ("mod", "mod"), "mod": ("pmod", "mod"), "pmod": ("pmod", "mod"),
    "land": ("and", "and"), "wedge": ("and", "and"), "lor": ("or", "or"), "vee": ("or", "or"),
    "overline": ("bar", "overline"), "bar": ("bar", "overline"), "dot": ("bar", "dot"),
    "vec": ("mark", "vec"), "hat": ("mark", "hat"), "overrightarrow": ("mark", "vec"),
    "widehat": ("mark", "hat"), "angle": ("mark", "angle"), "triangle": ("mark", "triangle"),
    "colon": (":", ":"), "imath": ("sym", "i"), "euro": ("money", "€"), "pounds": ("money", "£"),
    "cents": ("unit", "cents"), "percent": ("%", "%"), "partial": ("sym", "d"),
    "dotsc": ("dots", "..."), "dotsb": ("dots", "..."),
}  # fmt: skip
_WORDS = {
    "or": ("or", "or"), "and": ("and", "and"), "pi": ("sym", "pi"), "inf": ("sym", "inf"),
    "infinity": ("sym", "inf"), "oo": ("sym", "inf"), "sqrt": ("root", "sqrt"),
    "cbrt": ("cbrt", "cbrt"), "mod": ("mod", "mod"), "in": ("rel", "in"), "U": ("union", "u"),
    "plusminus": ("pm", "+-"), "percent": ("%", "%"), "pct": ("%", "%"),
    "percentage": ("%", "%"), "percents": ("%", "%"), "degrees": ("degree", "°"),
    "degree": ("degree", "°"), "deg": ("degree", "°"), "union": ("union", "u"),
    **{g: ("sym", g) for g in ("theta", "alpha", "beta", "gamma", "lambda", "phi", "omega")},
}  # fmt: skip
_CJK_WORDS = {"或": ("or", "or"), "或者": ("or", "or"), "和": ("and", "and"), "且": ("and", "and")}

_TOKEN = re.compile(
    r"(?P<number>(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.(?!\.)[0-9]*)?"
    r"(?:[eE][-+]?[0-9]+(?![0-9A-Za-z]))?|\.[0-9]+(?:[eE][-+]?[0-9]+)?)"
    r"|\\text\s*\{(?P<text>[^{}]*)\}"
    r"|\\(?P<env>begin|end)\s*\{(?P<name>[a-z]*matrix|array|cases|aligned|align\*?)\}"
    r"(?:\s*\{[lcr| ]*\})?"
    r"|\\math(?:bb|bf)?\s*\{?(?P<field>[RZNQC])\}?"
    r"|\\(?P<command>[A-Za-z]+)"
    r"|(?P<word>[A-Za-z]+)"
    r"|(?P<op>\\\\|\\\{|\\\}|\\\||\\\$|\*\*|<=|>=|!=|\+-|\+/-|==|\|\||\.\.\.|[-+*/^_(){}\[\]%|,;:=<>!&'√∛€£¥¢])"
    r"|(?P<cjk>[\u3400-\u9fff]+)"
)
# Commands beside a value that are no factor, root, sign or operator of it.
_APART = frozenset(
    {"rel", "dots", "and", "or", "to", "pmod", "circ", "degree", "%", "unit", "mark", "|", ":"}
)


def is_function(word: str) -> bool:
    """True for the name of a function, as of ``sin x`` or ``sqrt 2``."""
    return word in _FUNCTIONS or word in ("sqrt", "cbrt")


def joins_values(name: str) -> bool:
    r"""True for a command that makes one value of what stands beside it: ``\pi``, ``\cdot``."""
    if name in _COMMANDS:
        return _COMMANDS[name][0] not in _APART
    return name in _FUNCTIONS or name in _GREEK


_PLAIN_NUMBER = re.compile(r"(?P<number>[0-9]+(?:\.(?!\.)[0-9]*)?)")
_OPENING, _CLOSING = frozenset({"(", "[", "\\{"}), frozenset({")", "]", "\\}"})
_OPS = {
    "\\{": "set{", "\\}": "}set", "\\|": "norm", "||": "norm", "\\\\": "row", "**": "^",
    "+-": "pm", "+/-": "pm", "...": "dots", "=": "rel", "<": "rel", ">": "rel", "<=": "rel",
    ">=": "rel", "!=": "rel", "==": "rel", "'": "prime", "√": "root", "∛": "cbrt", "\\$": "money",
    "€": "money", "£": "money", "¥": "money", "¢": "unit",
}  # fmt: skip
_VALUE_ENDS = frozenset({"number", ")", "}", "%", "sym", "degree", "]", "text", "unit"})


def tokens(text: str) -> list[Token]:
    """The tokens of a text.

    Raises:
        Unsupported: for a character or command that the grammar does not know, or too many.
    """
    found: list[Token] = []
    at, end = 0, len(text)
    depth = 1 if "," in text and _is_plain_list(text) else 0
    while at < end:
        spaced = text[at] == " "
        if spaced:
            at += 1
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            raise Unsupported(f"{text[at : at + 20]!r}")
        if len(found) >= MAX_TOKENS:
            raise Unsupported("too long")
        op = match["op"]
        if op:
            depth += (op in _OPENING) - (op in _CLOSING)
        elif depth and match["number"] and "," in match["number"]:
            # In brackets a comma separates: (12,102) has two coordinates.
            match = _PLAIN_NUMBER.match(text, at) or match
        _add(found, match, at > 0 and text[at - 1] == " ")
        at = match.end()
    if len(found) > 1 and found[-1][:2] == ("func", "sec"):  # 45 sec: of nothing, no secant
        inverse = found[-2].kind == "/"
        found[-1] = Token("sym", "s") if inverse else Token("unit", "sec", found[-1].spaced)
    return found


_PLAIN_LIST = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?(?:,[-+]?[0-9]+(?:\.[0-9]+)?)+")
_GROUPED = re.compile(r"[-+]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?")


def _is_plain_list(text: str) -> bool:
    """True for 1,10,100: its last two are no 10,100, since the whole is not one grouped number."""
    return _PLAIN_LIST.fullmatch(text) is not None and _GROUPED.fullmatch(text) is None


def _add(found: list[Token], match: re.Match[str], spaced: bool) -> None:
    kind = match.lastgroup
    if kind == "number":
        found.append(Token("number", match["number"], spaced))
    elif kind == "op":
        word = match["op"]
        if word == "==":
            word = "="
        found.append(Token(_OPS.get(match["op"], word), word, spaced))
    elif kind == "word":
        _word(found, match["word"], spaced)
    elif kind == "command":
        found.append(_command(match["command"], spaced))
    elif kind == "text":
        _text(found, match["text"], spaced)
    elif kind == "name":
        found.append(Token(match["env"], match["name"], spaced))
    elif kind == "field":
        found.append(Token("field", match["field"], spaced))
    else:
        word = match["cjk"]
        meaning = _CJK_WORDS.get(word)
        found.append(Token(*meaning, spaced) if meaning else Token("text", word, spaced))


_VECTORS = {f"unit{letter}": name for letter, name in UNIT_VECTORS.items()}  # by spelling.py


def _command(name: str, spaced: bool) -> Token:
    if name in _VECTORS:
        return Token("sym", _VECTORS[name], spaced)
    if name in _COMMANDS:
        return Token(*_COMMANDS[name], spaced)
    if name in _FUNCTIONS:
        return Token("func", _FUNCTIONS[name], spaced)
    if name in _GREEK:
        return Token("sym", name.removeprefix("var"), spaced)
    raise Unsupported(f"\\{name[:20]}")


def _text(found: list[Token], inner: str, spaced: bool) -> None:
    r"""The content of ``\text{}``: words, a joint of a list, or mathematics in another font."""
    words = inner.strip()
    if words in ("or", "and", "或", "和", "或者", ", and", ",and", ", or", "and ", "；", "，"):
        found.append(Token(words.strip(", ") if words.strip(", ") in ("or", "and") else "and",
                           words, spaced))  # fmt: skip
    elif words[-1:] in (":", "：") and not found:  # a label: \text{Answer: } 7
        found += [Token("text", words[:-1], spaced), Token(":", ":", spaced)]
    elif words in _FUNCTIONS and not _is_unit_here(found, words):
        found.append(Token("func", _FUNCTIONS[words], spaced))
    elif words == "to" and found and found[-1].kind in _VALUE_ENDS:
        found.append(Token(":", ":", spaced))
    elif words == "in" and found and found[-1].kind == "sym":
        found.append(Token("rel", "in", spaced))
    elif words in ("percent", "pct", "percentage", "per cent"):
        found.append(Token("%", "%", spaced))
    elif words == "°":
        found.append(Token("degree", words, spaced))
    elif words == "i" or words == "e":
        found.append(Token("sym", words, spaced))
    elif words and (not any(c.isalpha() for c in words) or _MEASURED.match(words)):
        found.extend(tokens(words))
    elif words:
        found.append(Token("text", words, spaced))


_MEASURED = re.compile(r"[-+]?[0-9][0-9.,]*\s+[A-Za-z]")  # \text{50 mph}
_SHORT = frozenset(
    {"no", "yes", "odd", "even", "not", "is", "the", "of", "to", "for", "all", "any", "so", "we"}
    | {"are", "was", "get", "but", "has"}
)


def _is_words(word: str) -> bool:
    """A word of prose; AB, xyz and the Ce of Ce^x are products of letters."""
    short = word.lower() in _SHORT and not word.isupper()
    return len(word) > 3 or short or (len(word) > 2 and word[0].isupper() and word[1:].islower())


def _is_unit_here(found: list[Token], word: str) -> bool:
    """A word after a value is a unit, or at least a decoration; ``in`` only after a number."""
    last = found[-1].kind if found else ""
    if last in ("unit", "text"):
        return word not in ("or", "and")
    if word in _WORDS or word in _FUNCTIONS:
        return (word == "in" and last in ("number", "}")) or (word == "min" and last in _VALUE_ENDS)
    return last in _VALUE_ENDS and (is_unit(word) or len(word) > 3 or word in ("sq", "cu"))


_GLUED = re.compile("(or|and)([A-Za-z])")


def _word(found: list[Token], word: str, spaced: bool) -> None:
    """A run of letters: a name we know, a unit after a number, words, or a product of letters."""
    if len(word) == 1:
        kind = "union" if word == "U" and found and found[-1].kind in (")", "]") else "sym"
        found.append(Token(kind, word if kind == "sym" else "u", spaced))
    elif _is_unit_here(found, word):
        found.append(Token("unit", word, spaced))
    elif word == "to" and found and found[-1].kind == "number":
        found.append(Token(":", ":", spaced))  # 3 to 2
    elif word == "DNE":
        found.append(Token("text", word, spaced))
    elif word in _WORDS and word != "U":
        found.append(Token(*_WORDS[word], spaced))
    elif word in _FUNCTIONS or word.lower() in ("sin", "cos", "tan", "ln", "log", "sqrt"):
        name = word if word in _FUNCTIONS else word.lower()
        if name == "sqrt":
            found.append(Token("root", "sqrt", spaced))
        else:
            found.append(Token("func", _FUNCTIONS[name], spaced))
    elif _is_words(word):
        found.append(Token("text", word, spaced))
    elif (joint := _GLUED.fullmatch(word)) and found and found[-1].kind in _VALUE_ENDS:
        found.append(Token(joint[1], joint[1], spaced))  # x=1orx=3
        _word(found, joint[2], False)
    elif word.startswith("pi") and len(word) > 2:
        found.append(Token("sym", "pi", spaced))
        _word(found, word[2:], False)
    elif word.endswith("pi") and len(word) > 2:
        _word(found, word[:-2], spaced)
        found.append(Token("sym", "pi", False))
    else:
        for letter in word:
            found.append(Token("sym", letter, spaced))
            spaced = False
