"""Promise: every snippet of README.md and docs/ runs as it stands, and prints what the page shows.

The blocks of a page run in order, in an empty folder that holds only `examples/`:

- a block (of any language) whose first line is `# file: NAME` is written there without that line;
- `python` runs, all blocks of a page as one module;
- `output` is what the `python` block before it printed;
- `console` runs its lines that begin with `$ `, which must exit 0 (or N, if they end in
  `# exit N`); the other lines are what they printed;
- `yaml` and `json` must at least parse;
- every other fence is only text: what cannot run here.

Printed lines must occur in this order; `...` stands for anything, and so does a line of it.
"""

from __future__ import annotations

import io
import json
import linecache
import os
import re
import shlex
import shutil
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from rewardkit._yaml import load_yaml

Command = Callable[..., "subprocess.CompletedProcess[str]"]

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CHECKED = {"python", "output", "console", "yaml", "json", "jsonl"}
ONLY_TEXT = {"text", "sh", "markdown"}


class Block(NamedTuple):
    """A fenced block: its language, its text, and the line of the page before its first one."""

    language: str
    text: str
    line: int


_FENCE = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# file: (\S+)\n")
_EXIT = re.compile(r"#\s*exit (\d+)\s*$")


def blocks_of(text: str) -> list[Block]:
    found = [
        Block(match[1], match[2], text.count("\n", 0, match.start(2)))
        for match in _FENCE.finditer(text)
    ]
    assert text.count("```") == 2 * len(found), "a fence is indented, left open or unknown"
    return found


def assert_printed(shown: str, printed: str, where: str) -> None:
    """The lines shown, in their order, among those printed."""
    rest = iter([" ".join(line.split()) for line in printed.splitlines()])
    for line in shown.splitlines():
        wanted = " ".join(line.split())
        if wanted in ("", "..."):
            continue
        pattern = re.compile(".*".join(map(re.escape, wanted.split("..."))))
        found = any(pattern.fullmatch(got) for got in rest)
        assert found, f"{where}: shows {line!r}, which is not printed (there):\n{printed}"


class Runner:
    """Runs the blocks of one page."""

    def __init__(self, page: Path, module: types.ModuleType, rewardkit: Command) -> None:
        self.page, self.module, self.printed = page, module, ""
        self.rewardkit = rewardkit

    def run(self, block: Block) -> None:
        name = _FILE.match(block.text)
        if name:
            path = Path(name[1])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text[name.end() :], encoding="utf-8")
        elif block.language == "python":
            self.printed = self._python(block)
        elif block.language == "output":
            assert_printed(block.text, self.printed, self._where(block))
        elif block.language == "console":
            for command, shown in commands(block.text):
                assert_printed(shown, self._console(command, block), self._where(block))
        elif block.language in ("yaml", "json"):
            load_yaml(block.text)
        elif block.language == "jsonl":
            assert [json.loads(line) for line in block.text.splitlines()]

    def _where(self, block: Block) -> str:
        return f"{self.page.name}:{block.line}"

    def _python(self, block: Block) -> str:
        source = "\n" * block.line + block.text
        name = f"<{self.page.name}:{block.line}>"
        # So that inspect.getsource, and with it a fingerprint, finds what a page defines.
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        out = io.StringIO()
        with redirect_stdout(out):
            exec(compile(source, name, "exec", dont_inherit=True), self.module.__dict__)
        return out.getvalue()

    def _console(self, command: str, block: Block) -> str:
        bin_first = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        quiet = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONSAFEPATH": ""}
        env = {**os.environ, **quiet, "PATH": bin_first, "COLUMNS": "100"}
        words = shlex.split(command, comments=True)
        if words[0] == "rewardkit" and not _SHELL.search(command):
            done = self.rewardkit(*words[1:], env=env)
        else:
            done = subprocess.run(
                command,
                shell=True,
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=300,
                env=env,
            )
        said = done.stdout + done.stderr
        expected = int(code[1]) if (code := _EXIT.search(command)) else 0
        assert done.returncode == expected, f"{self._where(block)}: $ {command}\n{said}"
        return said


_SHELL = re.compile(r"[|&;<>*$`]")


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block with what is shown of its output."""
    assert text.startswith("$ "), f"a console block begins with a command: {text!r}"
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_snippets_of_a_page_run_in_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rewardkit_command: Command
) -> None:
    leave_out = shutil.ignore_patterns("runs", "model", "__pycache__")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=leave_out)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    module = types.ModuleType(f"page_{page.stem.lower()}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    runner = Runner(page, module, rewardkit_command)
    before = set(sys.modules)
    try:
        for block in blocks_of(page.read_text(encoding="utf-8")):
            runner.run(block)
    finally:
        for name in set(sys.modules) - before:  # two pages may have a file of one name
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
                del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_fence_has_a_language_that_says_whether_it_runs(page: Path) -> None:
    for block in blocks_of(page.read_text(encoding="utf-8")):
        assert block.language in CHECKED | ONLY_TEXT, f"{page.name}:{block.line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {_anchor(h) for h in headings}, f"{page.name} links to {target}"


def _anchor(heading: str) -> str:
    """As GitHub makes them."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize(
    ("shown", "printed", "holds"),
    [
        ("a\nc", "a\nb\nc\n", True),
        ("c\na", "a\nb\nc\n", False),
        ("total  +4  [... ms]", "total +4 [0.04 ms]", True),
        ("total +5", "total +4", False),
        ("...\nb", "a\nb", True),
        ("b", "ab", False),
    ],
)
def test_what_is_shown_must_have_been_printed(shown: str, printed: str, holds: bool) -> None:
    if holds:
        assert_printed(shown, printed, "here")
    else:
        with pytest.raises(AssertionError, match="which is not printed"):
            assert_printed(shown, printed, "here")


def test_an_open_fence_is_noticed() -> None:
    with pytest.raises(AssertionError, match="left open"):
        blocks_of("```python\n1\n")


def test_a_command_that_fails_fails_the_page(tmp_path: Path) -> None:
    def none(*arguments: str) -> subprocess.CompletedProcess[str]:
        raise AssertionError(arguments)

    runner = Runner(tmp_path / "page.md", types.ModuleType("page"), none)
    runner.run(Block("console", "$ false  # exit 1\n", 1))
    with pytest.raises(AssertionError, match=r"page\.md:1"):
        runner.run(Block("console", "$ false\n", 1))
