"""The same texts as transformers' generate, from random models: greedy, beams, sampling with the same noise."""

import numpy as np
import pytest
import torch

from pretune.decode import draws
from pretune.decode.generate import borders_of

pytest.importorskip("transformers")

GREEDY = {
    "plain": {},
    "repetition": {"repetition_penalty": 1.5},
    "n-grams": {"no_repeat_ngram_size": 2},
    "shortest": {"min_new_tokens": 9},
    "all": {"repetition_penalty": 0.8, "no_repeat_ngram_size": 3, "min_new_tokens": 4},
}
BEAMS = {
    "plain": {},
    "long texts": {"length_penalty": 2.0},
    "short texts": {"length_penalty": -1.0},
    "no penalty": {"length_penalty": 0.0},
    "early": {"early_stopping": True},
    "patient": {"early_stopping": "never"},
    "patient, long": {"early_stopping": "never", "length_penalty": 2.0, "num_beams": 2, "max_new_tokens": 40},
    "patient, short": {"early_stopping": "never", "length_penalty": -0.5},
    "many": {"num_return_sequences": 4, "length_penalty": 0.5},
    "n-grams": {"no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
    "shortest": {"min_new_tokens": 6, "early_stopping": True},
}
ENDS = tuple(range(40, 300, 13))
"""So many end tokens that most texts end, and at different lengths."""


@pytest.mark.parametrize("name", GREEDY)
def test_greedy(decoder, lab, name):
    edits = name != "plain" and name != "shortest"  # transformers counts padding among what was read
    settings = {"max_new_tokens": 20, **GREEDY[name]}
    found = lab.ours(decoder, **settings)
    lab.assert_same(found, lab.theirs(decoder, alone=edits, **settings))
    assert len({text.ids for (text,) in found}) == 5


MORE = pytest.mark.slow  # other numbers of end tokens


@pytest.mark.parametrize("num_ends", [pytest.param(1, marks=MORE), 12])
@pytest.mark.parametrize("name", GREEDY)
def test_greedy_that_ends(decoder, lab, name, num_ends):
    ends = ENDS[:num_ends]
    settings = {"max_new_tokens": 20, **GREEDY[name]}
    found = lab.ours(decoder, borders=lab.Borders(ends), **settings)
    lab.assert_same(found, lab.theirs(decoder, alone=True, end_ids=ends, **settings))


@pytest.mark.parametrize("num_ends", [pytest.param(1, marks=MORE), pytest.param(3, marks=MORE), 20])
@pytest.mark.parametrize("name", BEAMS)
def test_beams(decoder, lab, name, num_ends):
    ends = ENDS[:num_ends]
    settings = {"max_new_tokens": 12, "num_beams": 4, **BEAMS[name]}
    found = lab.ours(decoder, borders=lab.Borders(ends), **settings)
    lab.assert_same(found, lab.theirs(decoder, alone=True, end_ids=ends, **settings))


def test_beams_of_a_batch_with_padding(decoder, lab):
    ends = ENDS
    settings = {"max_new_tokens": 14, "num_beams": 3, "num_return_sequences": 2}
    found = lab.ours(decoder, borders=lab.Borders(ends), **settings)
    lab.assert_same(found, lab.theirs(decoder, end_ids=ends, **settings))
    lengths = {len(text.ids) for texts in found for text in texts}
    assert len(lengths) > 2  # some ended early, some late


ENCODED = {
    "greedy": {},
    "greedy, edited": {"no_repeat_ngram_size": 1, "repetition_penalty": 1.5, "min_new_tokens": 3},
    "beams": {"num_beams": 4, "num_return_sequences": 3},
    "beams, edited": {"num_beams": 3, "no_repeat_ngram_size": 2, "length_penalty": 0.3, "early_stopping": True},
    "beams of no repetition": {"num_beams": 2, "no_repeat_ngram_size": 1, "early_stopping": "never"},
}


@pytest.mark.parametrize("num_ends", [pytest.param(1, marks=MORE), 12])
@pytest.mark.parametrize("name", ENCODED)
def test_a_decoder_beside_an_encoder(two_stacks, lab, name, num_ends):
    ends = (two_stacks.pieces.special_ids["eos"], *ENDS)[:num_ends]
    settings = {"max_new_tokens": 12, **ENCODED[name]}
    found = lab.ours(two_stacks, borders=lab.Borders(ends), **settings)
    lab.assert_same(found, lab.theirs(two_stacks, alone=True, end_ids=ends, **settings))
    assert len({texts[0].ids for texts in found}) > 1


@pytest.mark.parametrize("more", [{}, {"num_beams": 3}])
def test_tokens_that_a_models_files_force(two_stacks, lab, more):
    end = two_stacks.pieces.special_ids["eos"]
    settings = {"max_new_tokens": 7, "no_repeat_ngram_size": 1, **more}
    found = lab.ours(two_stacks, borders=lab.Borders((end,), first_id=44, last_id=end), **settings)
    forced = {"forced_bos_token_id": 44, "forced_eos_token_id": end}
    lab.assert_same(found, lab.theirs(two_stacks, alone=True, **settings, **forced))
    assert all(texts[0].ids[0] == 44 and texts[0].ended_by == "end" for texts in found)


@pytest.mark.parametrize("more", [{}, {"num_beams": 3}])
def test_tokens_that_a_models_files_never_write(two_stacks, lab, more):
    end = two_stacks.pieces.special_ids["eos"]
    settings = {"max_new_tokens": 7, "no_repeat_ngram_size": 1, **more}
    free = lab.ours(two_stacks, borders=lab.Borders((end,)), **settings)
    first, second, third = free[0][0].ids[:3]
    never = [[first], [end], *([one, other] for one in range(40, 60) for other in (second, third))]
    borders = borders_of(two_stacks.template, two_stacks.pieces.vocab, {"bad_words_ids": never}, 999)
    assert borders.never[0] == (first,) and (end,) not in borders.never and end in borders.end_ids
    found = lab.ours(two_stacks, borders=borders, **settings)
    lab.assert_same(found, lab.theirs(two_stacks, alone=True, bad_words_ids=never, **settings))
    assert found != free and not any(first in texts[0].ids for texts in found)


def test_choices_say_what_is_written_whatever_the_files_say(two_stacks, lab):
    never = tuple((number,) for number in range(5, 200))
    (texts,) = lab.ours(two_stacks, ["she"], choices=("good", "night"), borders=lab.Borders((2,), never=never))
    assert texts[0].text in ("good", "night")


SAMPLING = {
    "plain": {"top_k": 0},
    "warm": {"top_k": 0, "temperature": 2.0},
    "nucleus": {"top_k": 0, "top_p": 0.7},
    "top k": {"top_k": 8, "temperature": 0.8},
    "min p": {"top_k": 0, "min_p": 0.05},
    "all": {"top_k": 30, "top_p": 0.9, "min_p": 0.01, "temperature": 1.3, "repetition_penalty": 1.2},
}


@pytest.mark.parametrize("name", SAMPLING)
def test_sampling_with_the_same_noise(decoder, lab, name, monkeypatch):
    """transformers draws with torch.multinomial: here it is given the numbers that our generators give."""
    settings = {"max_new_tokens": 15, "do_sample": True, **SAMPLING[name]}
    found = lab.ours(decoder, seed=3, **settings)
    for prompt, texts in zip(lab.PROMPTS, found, strict=True):
        (rng,) = draws.generators(3, decoder.pieces.encode(prompt).ids_P.tolist(), 1)

        def multinomial(probabilities, num_samples, rng=rng):
            cumulative = probabilities.double().numpy().cumsum(-1)[0]
            place = np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")
            return torch.tensor([[int(place)]])

        with monkeypatch.context() as patched:
            patched.setattr(torch, "multinomial", multinomial)
            lab.assert_same([texts], lab.theirs(decoder, [prompt], **settings))
