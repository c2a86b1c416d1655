r"""One spelling for what is written in many: Unicode, full-width forms, spacing, LaTeX decoration.

Only what says nothing is dropped, and always a space is left: ``$4$$2$`` must not become 42.
Characters that cannot be seen and digits of other scripts stay, and the grammar refuses them: what
a person does not read as the number is not paid as the number.
"""

from __future__ import annotations

import re

from rewardkit.verifiers._boxes import as_list

__all__ = ["bare", "normal"]

_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5",
    "⅘": "4/5", "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
    "⅐": "1/7", "⅑": "1/9", "⅒": "1/10",
}  # fmt: skip
_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξπρστυφχψωϕϵΓΔΘΛΞΠΣΦΨΩ",
        [
            "alpha",
            "beta",
            "gamma",
            "delta",
            "epsilon",
            "zeta",
            "eta",
            "theta",
            "iota",
            "kappa",
            "lambda",
            "mu",
            "nu",
            "xi",
            "pi",
            "rho",
            "sigma",
            "tau",
            "upsilon",
            "phi",
            "chi",
            "psi",
            "omega",
            "phi",
            "epsilon",
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
        ],
        strict=True,
    )
)
_TABLE: dict[int, str] = {
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    **{ord(c): "-" for c in "−–—‐‑‒﹣"},
    **{ord(c): " " for c in "\u00a0\u2002\u2003\u2009\u202f\u3000\u2005\u2006\u2007\u2008\u200a"},
    **{ord(c): rf"\frac{{{v.replace('/', '}{')}}}" for c, v in _VULGAR.items()},
    **{ord(c): rf"\{name} " for c, name in _GREEK.items()},
    **{ord(c): "*" for c in "×·⋅∙✕∗"},
    **{ord(c): "/" for c in "÷∕⁄"},
    **{
        ord(c): f" {v} "
        for c, v in {
            "∞": r"\infty", "≤": "<=", "⩽": "<=", "≦": "<=", "≥": ">=", "⩾": ">=", "≧": ">=",
            "≠": "!=", "≈": r"\approx", "±": r"\pm", "∓": r"\mp", "∪": r"\cup", "∩": r"\cap",
            "∈": r"\in", "ℝ": r"\mathbb{R}", "∅": r"\emptyset", "∠": r"\angle", "∖": r"\setminus",
            "⌊": r"\lfloor", "⌋": r"\rfloor", "⌈": r"\lceil", "⌉": r"\rceil", "∫": r"\int",
            "∑": r"\sum", "∏": r"\prod", "∧": r"\land", "∨": r"\lor", "≡": r"\equiv",
            "△": r"\triangle", "⟨": r"\langle", "⟩": r"\rangle", "ℤ": r"\mathbb{Z}",
            "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}",
        }.items()
    },
    ord("°"): r"^\circ ", ord("′"): "'", ord("″"): "''", ord("。"): ".", ord("、"): ", ",
    ord("【"): "[", ord("】"): "]", ord("…"): r"\ldots ", ord("⋯"): r"\ldots ",
}  # fmt: skip

_RUNS = re.compile("([⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+)|([₀₁₂₃₄₅₆₇₈₉]+)")
_WRAPPERS = re.compile(
    r"\\(?:mathbf|mathit|mathsf|boldsymbol|bm|mathcal|mathnormal|ensuremath|underline)"
    r"(?![A-Za-z])\s*"
)
_MARK = r"\\(?:mathbf|boldsymbol|bm|vec|hat|overrightarrow)\s*"
_UNIT_VECTOR = re.compile(
    rf"{_MARK}(?:\{{\s*{_MARK}\{{?\s*\\?([ijk])(?:math)?\s*\}}?\s*\}}"
    r"|\{\s*\\?([ijk])(?:math)?\s*\}|(?<=vec )([ijk])(?![A-Za-z]))"
)
_NOTHING = re.compile(
    r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|scriptstyle|limits|nolimits|rm|bf|it|"
    r"hspace\{[^{}]*\}|hfill|phantom\{[^{}]*\}|thinspace|allowbreak|mathstrut|strut|"
    r"nonumber|space|enspace|middle)(?![A-Za-z])(?:\s*\.(?![0-9]))?|\\q?quad|\\[,;:! /()\[\]]|\$|~"
)
# 3{,}14 and 0{,}125 in the countries of the decimal comma; 1{,}234 is a thousand and more.
_COMMA = re.compile(
    r"(?<=[0-9])\{,\}(?=[0-9]{1,2}(?![0-9{])|[0-9]{4})|(?<=(?<![0-9])0)\{,\}(?=[0-9])"
)
_SIGN = re.compile(r"(?<![A-Za-z])\{-\}")
_INDIAN = re.compile(r"(?<![0-9])[0-9]{1,2}(?:\{,\}[0-9]{2})+\{,\}[0-9]{3}(?![0-9])")
_GROUPED = re.compile(
    r"(?<=[0-9])(?:\s?\{\s*,\s*\}|\{\\,\}|,?\\[,!;:]|,\\!|\\ |~)\s*(?=[0-9]{3}(?![0-9]))"
)
_SPACED = re.compile(r"([-+]?[0-9]{1,3})((?: [0-9]{3})+(?:\.[0-9]+)?)")
_FONTS = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal|up|sc)|mathrm|mathtt|mbox|hbox|operatorname\*?)(?=\s*\{)"
)
_TEXT = re.compile(r"\\text\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{(.*)\}", re.DOTALL)
_BOX_IN = re.compile(r"\\(?:boxed|fbox)(?=\s*\{)")
# (1010)_2 and \text{FF}_{16} as 1010_2 and FF_{16}; Rs. 500 as 500 Rs.
_BASE = re.compile(r"\(([0-9A-Fa-f]+)\)_|\\text\s*\{([0-9A-F]+)\}_")
_CURRENCY = re.compile(r"(Rs|USD|EUR|RMB|GBP|INR|US\\\$)\.?\s?(?=[0-9])")
_QUOTIENT = re.compile(r"(?<![A-Za-z\\])d\s?([A-Za-z])\s?/d\s?([A-Za-z])(?![A-Za-z])")
_ABBREVIATED = re.compile(
    r"(?<![A-Za-z])((?:sq|cu|ft|in|yd|mi|lbs?|oz|hrs?|mins?|secs?|gal|[cmk]?m|k?g))\.(?= )"
)
_PRIMES = re.compile(r"\s+")
_DOTTED = re.compile(r"\s*\.\s*$")


def bare(text: str) -> str:
    """An answer without what is written around or inside of it but says nothing."""
    text = text.strip()
    if text[-1:] == "\\":  # a control space, or the break of a line, of which the end is cut off
        text = text.rstrip("\\ \t\r\n")
    if not text.isascii():
        text = _RUNS.sub(_run, text).translate(_TABLE)
    text = _without_marks(text.strip())
    if "\\" in text or "$" in text or "{" in text or "~" in text:
        text = _latex(text)
    text = _PRIMES.sub(" ", text).strip(" ")
    if ")_" in text or "}_" in text:
        text = _BASE.sub(r"\1\2_", text)
    if (prefix := _CURRENCY.match(text)) is not None:
        text = f"{text[prefix.end() :]} {prefix[1]}"
    if "/d" in text:
        text = _QUOTIENT.sub(r"\\frac{d\1}{d\2}", text)
    if ". " in text:
        text = _ABBREVIATED.sub(r"\1", text)
    while text[-1:] in (".", ",", ";", ":") and text[-2:-1] not in (".", ""):
        text = text[:-1].rstrip(" ")  # the end of a sentence, also within a box
    if match := _SPACED.fullmatch(text):
        text = match[1] + match[2].replace(" ", "")
    return text


def _latex(text: str) -> str:
    if (box := _BOX.fullmatch(text.strip("$ ."))) and _balanced(box[1]):
        text = box[1]
    elif "\\boxed" in text or "\\fbox" in text:
        text = as_list(text) or _BOX_IN.sub("", text)
    if "{-}" in text:
        text = _SIGN.sub("-", text)
    if "{,}" in text:
        text = _INDIAN.sub(lambda m: m[0].replace("{,}", ""), text)
        text = _COMMA.sub(".", text)
    text = _GROUPED.sub("", text)
    if "\\\\" in text and "\\begin" not in text:
        text = _DOUBLED.sub(r"\\", text)  # LaTeX that was escaped twice on its way here
    text = text.replace("\\$", "\ue000").replace("\\%", "%").replace("\\&", "&")
    text = _FONTS.sub(r"\\text", text)
    if "\\text" in text and ("^" in text or "\\circ" in text):
        text = _TEXT.sub(_plain_text, text)
    if "{i" in text or "{j" in text or "{\\" in text or "vec " in text:
        text = _UNIT_VECTOR.sub(lambda m: rf"\unit{m[1] or m[2] or m[3]} ", text)
    text = _WRAPPERS.sub(" ", text)
    text = _ROW.sub("\ue001", text).replace("{:}", ":")
    text = _NOTHING.sub(" ", text)
    return text.replace("\ue000", "\\$").replace("\ue001", "\\\\")


def _plain_text(match: re.Match[str]) -> str:
    r"""Powers and degrees within ``\text``, without the braces that our table put there."""
    inner = re.sub(r"\^(?:\\circ\s*|\{\\circ\s*\})", "°", match[1])
    return "\\text{" + re.sub(r"\^\{(-?[0-9])\}", r"^\1", inner) + "}"


def _balanced(text: str) -> bool:
    """True if no brace closes what was opened before the text: two boxes are not one."""
    depth = 0
    for brace in _BRACE.findall(text):
        depth += (brace == "{") - (brace == "}")
        if depth < 0:
            return False
    return True


_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def _run(match: re.Match[str]) -> str:
    if match[1]:
        return "^{" + "".join(_RAISED[c] for c in match[1]) + "}"
    return "_{" + "".join(_LOWERED[c] for c in match[2]) + "}"


def _without_marks(text: str) -> str:
    """Without Markdown's bold around all of it."""
    while text[:2] == "**" and text[-2:] == "**" and len(text) > 4:
        text = text[2:-2].strip()
    if text[:2] == "**" and text.count("**") == 2:  # **B**. or **B) Paris** so
        head, tail = text[2:].split("**")
        if not any(c.isalnum() for c in tail):
            return head + tail
    return text


_DOUBLED = re.compile(r"\\\\(?=[A-Za-z{}])")
_ROW = re.compile(r"\\\\(?:\[-?[0-9.]+(?:ex|pt|em|mm|cm)\])?")
_LOOSE = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_GAPS = re.compile(r"\s+")
_SINGLE = re.compile(r"\{([A-Za-z0-9])\}")


def normal(text: str) -> str:
    """The normal form of a string: two answers of one normal form are written the same."""
    text = _LOOSE.sub(r"\\frac", text)
    # A space between two letters or digits says something ("4 2" is not 42), all others nothing.
    return re.sub(r"(?<![A-Za-z0-9])\s+|\s+(?![A-Za-z0-9])", "", text)
