"""A sandbox for all tests of judging, whatever isolation works here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rewardkit.sandbox import Sandbox


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
