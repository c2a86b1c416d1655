"""A small random model and its tokenizer, made on the spot: for tests, demos and dry runs.

A real architecture (Llama) with a character-level tokenizer and a chat template, saved as any
checkpoint is, so that all that loads models from folders can be exercised without a download.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from rewardkit.trainers.loading import quiet

__all__ = ["CHARACTERS", "TAGS", "make_tiny_model", "make_tokenizer"]

CHARACTERS = "0123456789+-*=()/., :;abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ?!#\\{}$\n"
TAGS = ("<think>", "</think>", "<answer>", "</answer>")

_PAD, _END, _UNKNOWN = "<|pad|>", "<|end|>", "<|unknown|>"
_ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def make_tokenizer(
    characters: str = CHARACTERS, tags: Sequence[str] = TAGS
) -> PreTrainedTokenizerFast:
    """One token per character, one per tag; chat roles and the end are special tokens."""
    special = [_PAD, _END, _UNKNOWN, *_ROLES]
    vocabulary = {token: i for i, token in enumerate([*special, *tags, *characters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=_UNKNOWN))
    # Not a dot, which leaves out the newline: a line break would vanish from every text.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens(list(tags))
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=_PAD,
        eos_token=_END,
        unk_token=_UNKNOWN,
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = _TEMPLATE
    return made


def make_tiny_model(
    folder: str | Path,
    *,
    hidden_size: int = 64,
    layers: int = 2,
    heads: int = 4,
    seed: int = 0,
    characters: str = CHARACTERS,
    tags: Sequence[str] = TAGS,
    max_length: int = 256,
) -> Path:
    """Write a randomly initialised model and its tokenizer to a folder; returns the folder."""
    torch.manual_seed(seed)
    tokenizer = make_tokenizer(characters, tags)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=3 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=max_length,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    folder = Path(folder)
    with quiet():
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
