"""Promise: a completion depends on its key alone, and comes from the distribution the loss assumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rewardkit.trainers import GRPOConfig, Policy
from rewardkit.trainers.prompts import encode_prompt
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.rollout.generate import Request, generate
from rewardkit.trainers.rollout.sampler import KeyedSampler, keyed_uniform, row_keys
from rewardkit.trainers.tokens import flat_logps


def policy(tiny_model: Path) -> Policy:
    return Policy.load(str(tiny_model), config=GRPOConfig(gradient_checkpointing=False))


def requests(of: Policy, n: int = 6) -> list[Request]:
    """Prompts of different lengths, so that padding has a part in it."""
    prompts = ["1+1=" + "0" * i for i in range(n)]
    return [Request(i, i, i % 2, encode_prompt(of.tokenizer, p)) for i, p in enumerate(prompts)]


def as_lists(made: list[Completion]) -> list[tuple[int, list[int]]]:
    return [(c.group, c.ids) for c in made]


def test_completions_are_the_same_however_the_batch_is_cut_or_ordered(tiny_model: Path) -> None:
    of = policy(tiny_model)
    asked = requests(of)
    whole = as_lists(generate(of, asked, GRPOConfig(max_completion_length=12), step=3))
    cut = GRPOConfig(max_completion_length=12, rollout_batch_size=2)
    assert as_lists(generate(of, asked, cut, step=3)) == whole
    back = generate(of, asked[::-1], GRPOConfig(max_completion_length=12), step=3)
    assert as_lists(back)[::-1] == whole


def test_completions_do_not_depend_on_torchs_global_generator(tiny_model: Path) -> None:
    of, config = policy(tiny_model), GRPOConfig(max_completion_length=8)
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        made.append(as_lists(generate(of, requests(of), config, step=0)))
    assert made[0] == made[1]
    assert as_lists(generate(of, requests(of), config, step=1)) != made[0]


def test_sampled_log_probabilities_equal_those_the_loss_recomputes(tiny_model: Path) -> None:
    of = policy(tiny_model)
    config = GRPOConfig(max_completion_length=12, temperature=0.7, seed=5)
    made = generate(of, requests(of), config, step=0)
    flat = flat_logps(of, made, config)
    sampled = torch.tensor([x for c in made for x in c.sampling_logps])
    torch.testing.assert_close(flat.logp.detach(), sampled, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    "own",
    [
        {"repetition_penalty": 3.0, "temperature": 0.1, "top_p": 0.2, "do_sample": True},
        {"suppress_tokens": [10, 11, 12, 13]},
        {"bad_words_ids": [[10], [11]]},
        {"forced_eos_token_id": 1},
        {"min_new_tokens": 8},
        {"max_time": 1e-9},
        {"num_beams": 3},
        {"return_dict_in_generate": True, "output_scores": True},
        {"no_repeat_ngram_size": 1},
    ],
    ids=lambda own: next(iter(own)),
)
def test_the_models_own_generation_settings_do_not_bend_the_distribution(
    tiny_model: Path, own: dict[str, Any]
) -> None:
    """A checkpoint's repetition penalty or top-p would make samples that the loss misprices."""
    plain, bent = policy(tiny_model), policy(tiny_model)
    bent.base.generation_config.update(**own)
    config = GRPOConfig(max_completion_length=12)
    assert as_lists(generate(plain, requests(plain), config, step=0)) == as_lists(
        generate(bent, requests(bent), config, step=0)
    )
    kept = bent.base.generation_config
    assert all(getattr(kept, name) == value for name, value in own.items())


def test_a_completion_ends_with_its_end_token_and_is_truncated_otherwise(tiny_model: Path) -> None:
    of = policy(tiny_model)
    made = generate(of, requests(of, 40), GRPOConfig(max_completion_length=30), step=0)
    ends = set(of.eos_ids)
    for c in made:
        assert c.truncated == (c.ids[-1] not in ends)
        assert len(c.ids) == 30 if c.truncated else not set(c.ids[:-1]) & ends
        assert len(c.sampling_logps) == len(c.ids)
        assert "<|end|>" not in c.text
    assert {c.truncated for c in made} == {True, False}


def test_greedy_takes_the_most_probable_token(tiny_model: Path) -> None:
    of = policy(tiny_model)
    made = generate(of, requests(of, 1), GRPOConfig(max_completion_length=4), step=0, greedy=True)
    ids = made[0].prompt_ids
    for token in made[0].ids:
        with torch.no_grad():
            assert int(of.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()) == token
        ids = [*ids, token]


def test_keyed_numbers_are_uniform_and_differ_by_every_part_of_the_key() -> None:
    n = 20_000
    uniform = keyed_uniform(row_keys(0, 0, list(range(n)), [0] * n), 0)
    counts = np.histogram(uniform, bins=20, range=(0, 1))[0]
    # Chi-squared with 19 degrees of freedom: 43.8 is passed once in a thousand; the key is fixed.
    assert ((counts - n / 20) ** 2 / (n / 20)).sum() < 43.8
    base = keyed_uniform(row_keys(1, 2, [3], [4]), 5)
    others = [
        keyed_uniform(row_keys(*key), position)
        for key, position in (
            ((9, 2, [3], [4]), 5), ((1, 9, [3], [4]), 5), ((1, 2, [9], [4]), 5),
            ((1, 2, [3], [9]), 5), ((1, 2, [3], [4]), 9),
        )
    ]  # fmt: skip
    assert all(other != base for other in others)


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (2, 1.0), (0, 0.6), (3, 0.9)])
def test_tokens_come_in_proportion_to_their_probability_among_those_kept(
    top_k: int, top_p: float
) -> None:
    p = torch.tensor([0.05, 0.4, 0.0, 0.3, 0.15, 0.1])
    n = 40_000
    keys = row_keys(0, 0, list(range(n)), [0] * n)
    sampler = KeyedSampler(keys, prompt_length=1, top_k=top_k, top_p=top_p)
    chosen = sampler(torch.zeros(n, 1, dtype=torch.long), p.log().expand(n, -1)).argmax(-1)  # type: ignore[arg-type]
    share = torch.bincount(chosen, minlength=6) / n
    ranked = p.sort(descending=True).indices.tolist()
    kept = ranked[: top_k or 6]
    mass, within = 0.0, []
    for token in kept:
        if mass < top_p * float(p[kept].sum()):
            within.append(token)
        mass += float(p[token])
    want = torch.zeros(6)
    want[within] = p[within] / p[within].sum()
    assert (share - want).abs().max() < 0.012
    assert (share[want == 0] == 0).all()
