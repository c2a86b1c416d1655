"""Fewer and larger pieces of memory, so that a fork of the warm interpreter has less to do.

A fork copies the list of all mappings, and the copy meets each page of the interpreter's own code
anew, by one fault for every few pages: on the way of a small program that is a good part of all it
costs. None of this changes what the memory holds, and where the kernel will not do it, all stays as
it is.
"""

from __future__ import annotations

import ctypes
import itertools
from typing import NamedTuple

__all__ = ["make_compact"]

_HUGE = 2 << 20
_READ, _WRITE, _EXECUTE = 1, 2, 4
_PRIVATE_ANONYMOUS = 0x22
_MADV_HUGEPAGE, _MADV_COLLAPSE = 14, 25  # the second since Linux 6.1
_MREMAP_MAYMOVE_FIXED = 3
_FAILED = ctypes.c_void_p(-1).value

_libc = ctypes.PyDLL(None)
_address, _size = ctypes.c_void_p, ctypes.c_size_t
_mprotect, _madvise, _munmap = _libc["mprotect"], _libc["madvise"], _libc["munmap"]
_mmap, _mremap = _libc["mmap"], _libc["mremap"]
_mprotect.argtypes = _madvise.argtypes = (_address, _size, ctypes.c_int)
_munmap.argtypes = (_address, _size)
_mmap.argtypes = (_address, _size, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_mremap.argtypes = (_address, _size, _size, ctypes.c_int, _address)
_mmap.restype = _mremap.restype = _address


class _Mapping(NamedTuple):
    start: int
    end: int
    rights: str
    file: str


def make_compact() -> None:
    """Join the mappings of each library, and put the interpreter's code into huge pages; in a
    process of one thread, once all is loaded."""
    for _, parts in itertools.groupby(_libraries(), key=lambda one: one.file):
        _join(list(parts))
    core = ctypes.cast(ctypes.pythonapi.Py_IncRef, _address).value or 0
    for mapping in _libraries():
        if mapping.start <= core < mapping.end:
            _enlarge(mapping)


def _libraries() -> list[_Mapping]:
    """What is mapped of files, privately: programs and libraries, in the order of addresses."""
    found = []
    with open("/proc/self/maps") as maps:
        for line in maps:
            place, rights, _, _, _, *file = line.split(None, 5)
            start, end = (int(part, 16) for part in place.split("-"))
            if file and file[0].startswith("/") and rights.endswith("p"):
                found.append(_Mapping(start, end, rights, file[0].rstrip("\n")))
    return found


def _join(parts: list[_Mapping]) -> None:
    """Give neighbours the same rights: the kernel then makes one mapping of them.

    That takes back what guards a library's constants against mistakes in other code of the same
    process. Judged code could do as much in its own, and the others run none.
    """
    if not any("x" in part.rights for part in parts):
        return  # data, not a library
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        if not part.rights.startswith("r--"):
            continue
        # What was relocated and then locked stands before what can still be written.
        is_relocated = following is not None and "w" in following.rights
        rights = _READ | (_WRITE if is_relocated else _EXECUTE)
        _mprotect(part.start, part.end - part.start, rights)


def _enlarge(code: _Mapping) -> None:
    """Replace code by a copy of itself in huge pages, as far as whole ones fit into it. They are
    inherited by one entry each, and looked up faster."""
    start = -(-code.start // _HUGE) * _HUGE
    size = (code.end - start) // _HUGE * _HUGE
    if "w" in code.rights or size <= 0:
        return
    room = _mmap(None, size + _HUGE, _READ | _WRITE, _PRIVATE_ANONYMOUS, -1, 0)
    if room == _FAILED:
        return
    copy = -(-room // _HUGE) * _HUGE
    _madvise(copy, size, _MADV_HUGEPAGE)
    ctypes.memmove(copy, start, size)
    # In small pages it would be worse than as it was.
    if _madvise(copy, size, _MADV_COLLAPSE) == 0 and not _mprotect(copy, size, _READ | _EXECUTE):
        _mremap(copy, size, size, _MREMAP_MAYMOVE_FIXED, start)  # at one stroke
    _munmap(room, copy - room)
    _munmap(copy, room + _HUGE + size - copy)  # what is left of it
