"""The warm interpreter's memory: fewer mappings, code in huge pages, and nothing else about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rewardkit.sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux runs judged code")

FOLDER = str(Path(rewardkit.sandbox.__file__).parent)
SCRIPT = """
import ctypes, decimal, hashlib, json, sys
sys.path.append(sys.argv[1])
from inside import pages

def code():
    lines = [line.split() for line in open("/proc/self/maps")]
    core = ctypes.cast(ctypes.pythonapi.Py_IncRef, ctypes.c_void_p).value
    for place, rights, *_ in lines:
        start, end = (int(part, 16) for part in place.split("-"))
        if start <= core < end:
            around = core - core % 4096
            return hashlib.md5(ctypes.string_at(around, 4096)).hexdigest(), rights, len(lines)

before = code()
if len(sys.argv) > 2:
    setattr(pages, sys.argv[2], json.loads(sys.argv[3]))
pages.make_compact()
found = {}
for line in open("/proc/self/maps"):
    words = line.split(None, 5)
    if len(words) > 5 and ".so" in words[5] and words[1].endswith("p"):
        found.setdefault(words[5], []).append(words[1])
after = code()
try:
    [][1]
except IndexError as error:
    raised = str(error)
print(json.dumps({
    "before": before, "after": after, "rights": list(found.values()), "raised": raised,
    "sum": str(sum(decimal.Decimal(n) / 7 for n in range(100))),
}))
"""


def compact(*change: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, FOLDER, *change],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_there_are_fewer_mappings_and_the_code_is_the_same() -> None:
    found = compact()
    (text, rights, many), (text_after, rights_after, fewer) = found["before"], found["after"]
    assert fewer < many * 0.7
    assert text_after == text
    assert rights[:3] == rights_after[:3] == "r-x"  # never to be written
    assert all(len(rights) <= 3 for rights in found["rights"])
    assert not any("w" in one and "x" in one for rights in found["rights"] for one in rights)
    assert found["raised"] == "list index out of range"
    assert found["sum"].startswith("707.142857")


@pytest.mark.parametrize(
    "change",
    [
        ("_MADV_COLLAPSE", "12345"),  # an older kernel
        ("_PRIVATE_ANONYMOUS", "0"),  # no memory
        ("_MREMAP_MAYMOVE_FIXED", "2"),  # refused at the last step
        ("_HUGE", "1073741824"),  # code that is too small for it
    ],
)
def test_where_the_kernel_refuses_the_code_stays_as_it_is(change: tuple[str, str]) -> None:
    found = compact(*change)
    assert found["after"][0] == found["before"][0]
    assert found["after"][1] == "r-xp"
    assert found["raised"] == "list index out of range"
