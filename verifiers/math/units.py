"""Units of measure: what they come to in base units, and which are the same."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from rewardkit.verifiers.math.words import NOT_UNITS

__all__ = ["UNIT_NAMES", "Unit", "is_unit", "unit"]


class Unit(NamedTuple):
    """A unit: its size in base units, and the power of each of them.

    A word that no table knows ("apples") is a base unit by itself.
    """

    factor: Fraction
    powers: tuple[tuple[str, int], ...]


def _table() -> dict[str, tuple[Fraction, str]]:
    rows = """
    m 1 L metre meter metres meters 米|cm 0.01 L centimetre centimeter centimetres centimeters 厘米
    mm 0.001 L millimetre millimeter millimetres millimeters 毫米|dm 0.1 L decimeter decimeters 分米
    km 1000 L kilometre kilometer kilometres kilometers 千米 公里
    inch 0.0254 L inches in|ft 0.3048 L foot feet|yd 0.9144 L yard yards
    mi 1609.344 L mile miles|nm 0.000000001 L nanometer nanometers
    kg 1 M kilogram kilograms kilo kilos 千克 公斤|g 0.001 M gram grams 克
    mg 0.000001 M milligram milligrams 毫克|ton 1000 M tons tonne tonnes 吨
    lb 0.45359237 M lbs pound pounds|oz 0.028349523125 M ounce ounces
    s 1 T sec secs second seconds 秒|min 60 T mins minute minutes 分钟
    h 3600 T hr hrs hour hours 小时|day 86400 T days 天|week 604800 T weeks 周
    ms 0.001 T millisecond milliseconds|month 1 months 个月|year 1 years yr yrs 年
    平方米 1 L2|平方厘米 0.0001 L2|平方千米 1000000 L2|acre 4046.8564224 L2 acres
    立方米 1 L3|立方厘米 0.000001 L3 cc|l 0.001 L3 liter liters litre litres L 升
    ml 0.000001 L3 mL milliliter milliliters millilitre 毫升
    gal 0.003785411784 L3 gallon gallons|quart 0.000946352946 L3 quarts
    pint 0.000473176473 L3 pints|cup 0.0002365882365 L3 cups
    tbsp 0.00001478676478125 L3 tablespoon tablespoons
    tsp 0.00000492892159375 L3 teaspoon teaspoons|hectare 10000 L2 hectares ha
    dollar 1 money dollars usd USD bucks|cent 0.01 money cents ¢|euro 1 euros eur EUR €
    sterling 1 £ GBP|yuan 1 元 人民币 RMB ¥|rupee 1 rupees Rs INR ₹
    deg 1 angle degree degrees 度|rad 1 radian radians rads
    celsius 1 °C|fahrenheit 1 °F|kelvin 1 K
    n 1 N newton newtons|j 1 J joule joules|kj 1000 j kJ|w 1 W watt watts|kw 1000 w kW
    v 1 V volt volts|hz 1 Hz hertz|khz 1000 hz kHz kilohertz|pa 1 Pa pascal pascals
    kpa 1000 pa kPa kilopascal kilopascals|mol 1 moles mole|amp 1 A amps ampere amperes
    cal 1 calorie calories|kcal 1000 cal kilocalorie kilocalories
    """
    table: dict[str, tuple[Fraction, str]] = {}
    for row in rows.replace("\n", "|").split("|"):
        words = row.split()
        if len(words) < 2:
            continue
        known = len(words) > 2 and words[2] in _DIMENSIONS
        base = words[2] if known else words[0]
        for name in (words[0], *words[3 if known else 2 :]):
            table[name] = (Fraction(words[1]), base)
    return table


_DIMENSIONS = frozenset({"L", "M", "T", "L2", "L3", "money", "angle", "j", "w", "hz", "pa", "cal"})
_UNITS = _table()
# Upper-case single letters of the table are units only where a space stands before them.
UNIT_NAMES = frozenset(_UNITS)
_PACKED = {"L2": ("L", 2), "L3": ("L", 3)}

_TEMPERATURES = re.compile(r"\b(?:degrees?|deg)\s+(celsius|fahrenheit)", re.IGNORECASE)
_SPEEDS = re.compile(r"\b(m|k|km)ph\b")
_PART = re.compile(r"\s*(per|/|\*|·)?\s*(?:(square|cubic|sq|cu)\b)?\.?\s*([^\W\d_]+|°[CF]|[€£¢₹¥])"
                   r"\s*(?:\^?\{?(-?[0-9])\}?|(squared|cubed))?")  # fmt: skip


def is_unit(word: str) -> bool:
    """True for a unit of the table, of two letters or more (one letter may be a variable)."""
    return len(word) > 1 and (word in _UNITS or word in ("mph", "kph", "kmph"))


def unit(text: str) -> Unit | None:
    """A unit such as ``cm^2``, ``km/h``, ``square feet`` or ``apples``; ``None`` if it is none."""
    factor, powers = Fraction(1), dict[str, int]()
    at, first = 0, True
    text = _SPEEDS.sub(lambda m: "mi/h" if m[1] == "m" else "km/h", text.strip().rstrip("."))
    text = _TEMPERATURES.sub(lambda m: m[1].lower(), text)
    if not text or len(text) > 60:
        return None
    unknown: list[str] = []
    while at < len(text):
        match = _PART.match(text, at)
        if match is None:
            return None
        joint, shape, word, power, worded = match.groups()
        sign = -1 if joint in ("per", "/") else 1
        times = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}.get(shape or "", 1)
        times *= int(power) if power else {"squared": 2, "cubed": 3}.get(worded or "", 1)
        if word.lower() in NOT_UNITS or (first and joint):
            return None
        size = _UNITS.get(word) or (_UNITS.get(word.lower()) if len(word) > 1 else None)
        if size is None:
            unknown.append(word.casefold())
            _count(powers, _singular(word.casefold()), sign * times)
        else:
            dimension, packed = _PACKED.get(size[1], (size[1], 1))
            factor *= size[0] ** (sign * times)
            _count(powers, dimension, sign * times * packed)
        at, first = match.end(), False
    if len(unknown) > 4:
        return None  # a sentence, not a unit
    return Unit(factor, tuple(sorted((k, v) for k, v in powers.items() if v)))


def _count(powers: dict[str, int], name: str, times: int) -> None:
    powers[name] = powers.get(name, 0) + times


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word
