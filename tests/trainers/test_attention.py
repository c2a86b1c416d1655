"""Promise: attention over packed rows is attention with the mask written out, backward too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardkit.trainers.attention import LAYOUT, UnpackableError, attend
from rewardkit.trainers.segments import Family, Layout

SHAPES = st.lists(
    st.tuples(st.integers(0, 9), st.lists(st.integers(1, 12), min_size=1, max_size=5)),
    min_size=1,
    max_size=6,
)


def layout_of(shapes: list[tuple[int, list[int]]]) -> Layout:
    families, start = [], 0
    for prefix, lengths in shapes:
        after = lengths if prefix else lengths[:1]
        families.append(Family(start, prefix, tuple(after)))
        start = families[-1].stop
    return Layout(tuple(families), torch.device("cpu"))


def written_out(layout: Layout) -> torch.Tensor:
    """Who may see whom, ``[T, T]``."""
    tokens = layout.families[-1].stop
    sees = torch.zeros(tokens, tokens, dtype=torch.bool)
    for family in layout.families:
        after = family.start + family.prefix
        for length in family.lengths:
            for i in range(after, after + length):
                sees[i, family.start : family.start + family.prefix] = True
                sees[i, after : i + 1] = True
            after += length
        for i in range(family.start, family.start + family.prefix):
            sees[i, family.start : i + 1] = True
    return sees


def tensors(tokens: int, heads: int, key_heads: int) -> list[torch.Tensor]:
    torch.manual_seed(tokens)
    # In memory as a model's projections leave them: token by token.
    made = [
        torch.randn(1, tokens, n, 8, dtype=torch.float64).transpose(1, 2)
        for n in (heads, key_heads, key_heads)
    ]
    return [x.requires_grad_() for x in made]


def packed(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, layout: Layout, **extra: Any
) -> torch.Tensor:
    extra[LAYOUT] = layout
    return attend(torch.nn.Module(), q, k, v, None, **extra)[0]


def check(run: Callable[..., torch.Tensor], layout: Layout, heads: int, key_heads: int) -> None:
    q, k, v = tensors(layout.families[-1].stop, heads, key_heads)
    got = run(q, k, v)
    want = torch.nn.functional.scaled_dot_product_attention(
        q, k.repeat_interleave(heads // key_heads, 1), v.repeat_interleave(heads // key_heads, 1),
        attn_mask=written_out(layout), scale=0.4,
    ).transpose(1, 2)  # fmt: skip
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
    seed = torch.randn_like(want)
    ours, theirs = (torch.autograd.grad(x, (q, k, v), seed) for x in (got, want))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


@settings(max_examples=40)
@given(shapes=SHAPES, heads=st.sampled_from([(2, 2), (4, 2), (3, 1)]))
def test_it_is_attention_with_the_mask_written_out(
    shapes: list[tuple[int, list[int]]], heads: tuple[int, int]
) -> None:
    layout = layout_of(shapes)

    def ours(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return packed(q, k, v, layout, scaling=0.4)

    check(ours, layout, *heads)


@settings(max_examples=15)
@given(shapes=SHAPES, heads=st.sampled_from([(2, 2), (4, 2)]))
def test_so_is_the_way_of_other_devices(
    shapes: list[tuple[int, list[int]]], heads: tuple[int, int]
) -> None:
    from rewardkit.trainers.attention import _apart

    layout = layout_of(shapes)
    check(lambda q, k, v: _apart(q, k, v, layout, 0.4, 0.0), layout, *heads)


def test_many_short_segments_take_few_calls_and_no_mask() -> None:
    layout = layout_of([(6, [20, 21, 22, 23])] * 32)
    own, shared = layout.pieces(width=64)
    assert len(own) <= 6
    assert len(shared) == 2
    sizes = [len(piece.queries) for piece in own]
    assert sum(sizes) <= 1.25 * layout.families[-1].stop + 8 * 32 * 5
    wide = layout.pieces(width=4096)
    assert {piece.batch for piece in wide.shared} == {1}


def test_in_lower_precision_it_rounds_as_one_kernel_does() -> None:
    layout = layout_of([(40, [30, 50, 10]), (0, [20])])
    q, k, v = (x.detach() for x in tensors(layout.families[-1].stop, 4, 2))
    exact = packed(q, k, v, layout)
    with torch.autocast("cpu", torch.bfloat16):
        low = packed(q.float(), k.float(), v.float(), layout)
    assert low.dtype == torch.bfloat16
    plain = torch.nn.functional.scaled_dot_product_attention(
        q.bfloat16(), k.bfloat16().repeat_interleave(2, 1), v.bfloat16().repeat_interleave(2, 1),
        attn_mask=written_out(layout),
    ).transpose(1, 2)  # fmt: skip
    assert float((low - exact).abs().mean()) <= 2 * float((plain - exact).abs().mean())


@pytest.mark.parametrize(
    "extra", [{"softcap": 30.0}, {"s_aux": torch.ones(2)}, {"is_causal": False}]
)
def test_what_it_does_not_do_is_refused(extra: dict[str, object]) -> None:
    layout = layout_of([(2, [3, 3])])
    q, k, v = tensors(8, 2, 2)
    with pytest.raises(UnpackableError, match="its attention has"):
        packed(q, k, v, layout, **extra)
