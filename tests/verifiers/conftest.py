"""A sandbox for all tests of judging, whatever isolation works here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rewardkit import Sample

if TYPE_CHECKING:
    from rewardkit.sandbox import Sandbox
    from rewardkit.verdict import Verdict

# What tests of this folder share is found beside them.
sys.path.insert(0, str(Path(__file__).parent))
try:
    from judged_code import SQUARES, Judge
finally:
    sys.path.pop(0)


@pytest.fixture(scope="session")
def box() -> Iterator[Sandbox]:
    """What is tested with it is the judging; the sandbox has tests of its own."""
    from rewardkit.sandbox import Sandbox, SandboxUnavailable

    try:
        sandbox = Sandbox()
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox works here: {error}")
    with sandbox:
        yield sandbox


@pytest.fixture
def judge(box: Sandbox, request: pytest.FixtureRequest) -> Judge:
    """Verdict on some code as the completion, by tests of the function ``f`` unless said otherwise.

    What a module asks of every verifier is its ``ARGUMENTS``.
    """
    from rewardkit.verifiers import CodeVerifier

    usual: dict[str, Any] = getattr(request.module, "ARGUMENTS", {})

    def run(code: str, tests: Any = None, **arguments: Any) -> Verdict:
        given = {**usual, **arguments}
        if given.get("kind", "call") == "call":
            given.setdefault("entry", "f")
        verifier = CodeVerifier(SQUARES if tests is None else tests, sandbox=box, **given)
        return verifier.verify(Sample(completion=code))

    return run
