"""The shapes of well-known models, so that their memory can be told without any file of theirs.

Sizes as in the configurations that their authors published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rewardkit.errors import ConfigError

__all__ = ["FAMILIES", "Shape", "family_of", "named_shape"]


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's sizes.

    Attributes:
        name: ``family-size``.
        hub: beginning of its names on the hub, tuned versions included.
        kind: its ``model_type``.
        hidden, layers, heads, kept, wide, vocabulary: width, layers, attention heads, heads of keys
            and values, width of the feed-forward block, and entries of the vocabulary.
        tied: whether the output embedding is the input's.
        head: width of a head; ``None``: ``hidden / heads``.
    """

    name: str
    hub: str
    kind: str
    hidden: int
    layers: int
    heads: int
    kept: int
    wide: int
    vocabulary: int
    tied: bool = False
    head: int | None = None

    def config(self) -> Any:
        """As a configuration of ``transformers``."""
        from transformers import AutoConfig

        more = {} if self.head is None else {"head_dim": self.head}
        return AutoConfig.for_model(
            self.kind, hidden_size=self.hidden, num_hidden_layers=self.layers,
            num_attention_heads=self.heads, num_key_value_heads=self.kept,
            intermediate_size=self.wide, vocab_size=self.vocabulary,
            tie_word_embeddings=self.tied, max_position_embeddings=131072, **more,
        )  # fmt: skip


_Sizes = tuple[int, int, int, int, int]
"""Width, layers, heads, heads of keys and values, and width of the feed-forward block."""


def _llama(
    size: str, hub: str, *sizes: *_Sizes, tied: bool = False, head: int | None = None
) -> Shape:
    return Shape(f"llama3-{size}", hub, "llama", *sizes, 128256, tied=tied, head=head)


def _qwen2(size: str, *sizes: *_Sizes, vocabulary: int = 151936, tied: bool = False) -> Shape:
    return Shape(f"qwen2.5-{size}", f"Qwen/Qwen2.5-{size}", "qwen2", *sizes, vocabulary, tied=tied)


def _qwen3(size: str, *sizes: *_Sizes, tied: bool = False) -> Shape:
    return Shape(
        f"qwen3-{size}", f"Qwen/Qwen3-{size}", "qwen3", *sizes, 151936, tied=tied, head=128
    )


FAMILIES: dict[str, tuple[Shape, ...]] = {
    "llama3": (
        _llama("1B", "meta-llama/Llama-3.2-1B", 2048, 16, 32, 8, 8192, tied=True),
        _llama("3B", "meta-llama/Llama-3.2-3B", 3072, 28, 24, 8, 8192, tied=True),
        _llama("8B", "meta-llama/Llama-3.1-8B", 4096, 32, 32, 8, 14336),
        _llama("70B", "meta-llama/Llama-3.1-70B", 8192, 80, 64, 8, 28672),
    ),
    "qwen2.5": (
        _qwen2("0.5B", 896, 24, 14, 2, 4864, tied=True),
        _qwen2("1.5B", 1536, 28, 12, 2, 8960, tied=True),
        _qwen2("3B", 2048, 36, 16, 2, 11008, tied=True),
        _qwen2("7B", 3584, 28, 28, 4, 18944, vocabulary=152064),
        _qwen2("14B", 5120, 48, 40, 8, 13824, vocabulary=152064),
        _qwen2("32B", 5120, 64, 40, 8, 27648, vocabulary=152064),
        _qwen2("72B", 8192, 80, 64, 8, 29568, vocabulary=152064),
    ),
    "qwen3": (
        _qwen3("0.6B", 1024, 28, 16, 8, 3072, tied=True),
        _qwen3("1.7B", 2048, 28, 16, 8, 6144, tied=True),
        _qwen3("4B", 2560, 36, 32, 8, 9728, tied=True),
        _qwen3("8B", 4096, 36, 32, 8, 12288),
        _qwen3("14B", 5120, 40, 40, 8, 17408),
        _qwen3("32B", 5120, 64, 64, 8, 25600),
    ),
}
"""Smallest first."""


def named_shape(name: str) -> Shape | None:
    """The shape of this name, ours or the hub's; ``None`` if it is not known."""
    every = [shape for family in FAMILIES.values() for shape in family]
    known = [s for s in every if name.lower() == s.name.lower()]
    # The longest first: Qwen2.5-3B begins Qwen2.5-32B no less than its own instruct version.
    longest = sorted(every, key=lambda s: -len(s.hub))
    known += [s for s in longest if name == s.hub or name.startswith(f"{s.hub}-")]
    return known[0] if known else None


def family_of(name: str) -> tuple[Shape, ...]:
    """The shapes of a family, smallest first. Raises ``ConfigError`` for one that is not known."""
    if name not in FAMILIES:
        raise ConfigError(f"unknown family {name!r}; there are: {', '.join(FAMILIES)}")
    return FAMILIES[name]
