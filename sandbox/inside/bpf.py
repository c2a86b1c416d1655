"""A small assembler for classic BPF, the language of system-call filters.

Programs are lists of instructions and labels; jumps name labels, which only lie ahead.
"""

from __future__ import annotations

import struct

__all__ = [
    "Line",
    "any_bit",
    "assemble",
    "at_least",
    "equal",
    "give",
    "jump",
    "label",
    "load",
]

_LOAD, _JUMP, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
_FARTHEST = 255  # a conditional jump has one byte for how far

Line = tuple[int, int, str, str]
"""An instruction (code, operand, label if true, label if false); ``""`` is the next line. A label
is ``(-1, 0, its name, "")``."""


def load(offset: int) -> Line:
    """Take 32 bits of the call's description into the register."""
    return (_LOAD, offset, "", "")


def give(value: int) -> Line:
    """End, with this verdict."""
    return (_RETURN, value, "", "")


def jump(target: str) -> Line:
    """Go on there, however far."""
    return (_JUMP, 0, target, "")


def equal(value: int, yes: str = "", no: str = "") -> Line:
    """Whether the register equals ``value``."""
    return (_EQUAL, value, yes, no)


def at_least(value: int, yes: str = "", no: str = "") -> Line:
    """Whether the register, without sign, is at least ``value``."""
    return (_AT_LEAST, value, yes, no)


def any_bit(mask: int, yes: str = "", no: str = "") -> Line:
    """Whether the register and ``mask`` have a bit in common."""
    return (_ANY_BIT, mask, yes, no)


def label(name: str) -> Line:
    """A place to jump to."""
    return (-1, 0, name, "")


def assemble(lines: list[Line]) -> bytes:
    """The program as the kernel takes it: 8 bytes per instruction.

    Raises:
        ValueError: a label that is missing, doubled, behind or too far ahead.
    """
    places = _places(lines)
    out: list[bytes] = []
    for code, value, yes, no in lines:
        if code < 0:
            continue
        here = len(out)
        if code == _JUMP:
            out.append(struct.pack("<HBBI", code, 0, 0, _distance(places, yes, here)))
            continue
        true, false = (_distance(places, name, here) if name else 0 for name in (yes, no))
        if max(true, false) > _FARTHEST:
            raise ValueError(f"a conditional jump of {max(true, false)}; at most {_FARTHEST}")
        out.append(struct.pack("<HBBI", code, true, false, value & 0xFFFFFFFF))
    return b"".join(out)


def _places(lines: list[Line]) -> dict[str, int]:
    places: dict[str, int] = {}
    count = 0
    for code, _, name, _ in lines:
        if code >= 0:
            count += 1
        elif name in places:
            raise ValueError(f"label {name!r} twice")
        else:
            places[name] = count
    return places


def _distance(places: dict[str, int], name: str, here: int) -> int:
    if name not in places:
        raise ValueError(f"no label {name!r}")
    distance = places[name] - here - 1
    if distance < 0:
        raise ValueError(f"a jump back to {name!r}")
    return distance
