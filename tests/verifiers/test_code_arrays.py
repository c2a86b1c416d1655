"""Arrays go into judged code and come back, in a sandbox that has numpy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rewardkit import Rubric, Sample
from rewardkit.sandbox import Limits, Sandbox, SandboxUnavailable
from rewardkit.verifiers import CodeVerifier


@pytest.fixture(scope="module")
def numeric() -> Iterator[Sandbox]:
    pytest.importorskip("numpy")
    try:
        sandbox = Sandbox(preload="numpy", workers=1)
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox works here: {error}")
    with sandbox:
        yield sandbox


def test_arrays_go_in_and_come_back(numeric: Sandbox) -> None:
    import numpy as np

    tests = [
        [[[[1, 2], [3, 4]]], [[1, 3], [2, 4]]],
        [[np.arange(4).reshape(2, 2)], np.array([[0, 2], [1, 3]])],
        [[{"$array": ["<f8", [1, 2], [[0.1, 0.2]]]}], [[0.1], [0.3 - 0.1]]],
    ]
    judge = CodeVerifier(tests, entry="f", sandbox=numeric)
    code = "import numpy as np\ndef f(x): return np.asarray(x).T"
    verdict = judge.verify(Sample(completion=code))
    assert verdict.status == "correct", verdict.reason
    scalars = CodeVerifier([[[[1, 2]], 3], [[[1.5]], 1.5]], entry="f", sandbox=numeric)
    code = "import numpy as np\ndef f(x): return np.sum(np.array(x))"
    assert scalars.verify(Sample(completion=code)).status == "correct"
    spec = Rubric(code=judge.reward(1.0)).to_spec()
    assert Rubric.from_spec(spec).to_spec() == spec


def test_arrays_for_a_sandbox_without_numpy_blame_no_code(box: Sandbox) -> None:
    tests = [[[{"$array": ["<i8", [1], [1]]}], 1]]
    verdict = CodeVerifier(tests, entry="f", sandbox=box).verify(Sample(completion="f = sum"))
    assert (verdict.status, verdict.fault) == ("unscorable", "infrastructure")
    assert 'preload="numpy"' in verdict.reason


def test_scripts_may_use_numpy_without_asking_the_code_for_it(numeric: Sandbox) -> None:
    tests = "import numpy as np\ndef check(c):\n    assert np.allclose(c([1, 2]), [2.0, 4.0])\n"
    limits = Limits(cpu_s=0.5, wall_s=30)
    judge = CodeVerifier(tests, kind="assert", entry="f", sandbox=numeric, limits=limits)
    right = "import numpy as np\ndef f(x): return np.array(x) * 2.0"
    assert judge.verify(Sample(completion=right)).status == "correct"
    assert judge.verify(Sample(completion="def f(x): return [2, 4]")).status == "correct"
    for forged in (
        "def f(x): return [2, 5]",
        "class A:\n    __array__ = lambda s, *a, **k: [2.0, 4.0]\n    __len__ = lambda s: 2\n"
        "    __getitem__ = lambda s, i: A()\n    __float__ = lambda s: 2.0\ndef f(x): return A()",
        "import numpy as np\nclass A(np.ndarray):\n    __array_ufunc__ = lambda *a, **k: True\n"
        "def f(x): return np.zeros(2).view(A)",
    ):
        verdict = judge.verify(Sample(completion=forged))
        assert (verdict.status, verdict.credit) == ("incorrect", 0.0), forged
