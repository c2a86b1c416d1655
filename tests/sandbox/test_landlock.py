"""Landlock lets through what its rules name, in every version that the kernel can speak."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rewardkit.sandbox.inside import landlock

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not landlock.version(), reason="the kernel has no Landlock"
)

_CONFINED = """
import os, sys
from rewardkit.sandbox.inside import landlock, linux
version, readable, writable = int(sys.argv[1]), *sys.argv[2:]
landlock.version = lambda: version
rules = [(readable, landlock.READ), (writable, landlock.ALL), ("/does/not/exist", landlock.READ)]
ruleset = landlock.prepared(rules)
linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
landlock.confine(ruleset)

def works(attempt):
    try:
        attempt()
    except OSError:
        return False
    return True

print(
    works(lambda: open(f"{readable}/file").read()),
    works(lambda: os.listdir(readable)),
    works(lambda: open(f"{writable}/new", "w").write("x")),
    works(lambda: open(f"{readable}/file", "w")),
    works(lambda: open(f"{readable}/new", "w")),
    works(lambda: os.unlink(f"{readable}/file")),
    works(lambda: open(f"{readable}/../outside").read()),
    works(lambda: open(f"{readable}/link").read()),
    works(lambda: os.listdir("/")),
    works(lambda: os.fstat(ruleset)),
)
"""


@pytest.mark.parametrize("version", range(1, 8))
def test_only_what_the_rules_name(version: int, tmp_path: Path) -> None:
    if version > landlock.version():
        pytest.skip("the kernel is older")
    for name in ("readable", "writable"):
        (tmp_path / name).mkdir()
    (tmp_path / "readable" / "file").write_text("x")
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "readable" / "link").symlink_to(tmp_path / "outside")
    command = [sys.executable, "-c", _CONFINED, str(version)]
    folders = [str(tmp_path / name) for name in ("readable", "writable")]
    done = subprocess.run([*command, *folders], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True"] * 3 + ["False"] * 7, done
    assert (tmp_path / "readable" / "file").read_text() == "x"
    assert (tmp_path / "writable" / "new").read_text() == "x"
