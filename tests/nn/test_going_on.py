"""A body that goes on a token at a time gives what it gives for the whole: prompts of unequal lengths, every choice."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pretune.core.pack import pack
from pretune.core.stream import Example, bidirectional, left_to_right
from pretune.nn.cache import MOST_READERS
from pretune.nn.config import (
    Attention,
    Decoder,
    FeedForward,
    Learned,
    LMHead,
    Norm,
    Normal,
    RelativeBuckets,
    Rotary,
    Sinusoidal,
    TransformerConfig,
)
from pretune.nn.encoder_decoder import EncoderDecoder
from pretune.nn.transformer import Transformer

LENGTHS, SOURCES, MORE = [5, 9, 3, 9, 1], [7, 2, 11, 4, 4], 6
BODIES = {
    "learned": {},
    "post-norm": dict(placement="post", embedding_norm=True, final_norm=False),
    "rotary, grouped heads": dict(position=Rotary(), attention=Attention(4, causal=True, num_key_value_heads=2)),
    "windows, one head of keys": dict(
        position=Rotary(),
        attention=Attention(4, causal=True, num_key_value_heads=1, qk_norm=True, windows=(2, None, 4)),
    ),
    "head size": dict(attention=Attention(3, causal=True, head_size=16)),
    "buckets": dict(position=RelativeBuckets(8, 16), attention=Attention(4, causal=True, scaled=False)),
    "prefix": dict(position=Rotary(), attention=Attention(4, prefix=True)),
    "shared layers": dict(num_groups=1),
    "encoder-decoder": dict(
        attention=Attention(4), placement="post", embedding_norm=True, final_norm=False, decoder=Decoder(2, 2, 48)
    ),
    "encoder-decoder, buckets": dict(
        position=RelativeBuckets(8, 16),
        attention=Attention(4, scaled=False, head_size=16),
        decoder=Decoder(2, 4, 48),
    ),
    "encoder-decoder, sinusoids": dict(
        position=Sinusoidal(64, False), attention=Attention(4), scaled_embedding=True, decoder=Decoder(4, 4, 64)
    ),
}


def made(**changes):
    common = dict(
        vocab_size=50,
        hidden_size=32,
        num_layers=3,
        position=Learned(64),
        norm=Norm(eps=1e-5),
        placement="pre",
        feed_forward=FeedForward(64),
        attention=Attention(4, causal=True),
        init=Normal(0.2),
        output=LMHead(),
        embedding_norm=False,
        final_norm=True,
    )
    config = TransformerConfig(**{**common, **changes})
    return (Transformer if config.decoder is None else EncoderDecoder)(config, 1).double().eval()


def texts(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 50, n + MORE) for n in LENGTHS], [bidirectional(rng.integers(0, 50, n)) for n in SOURCES]


def example(body, ids, source, prompt, length):
    stream = bidirectional(ids[:length])
    if body.config.decoder is not None:
        return Example(source, target=left_to_right(stream))
    index = np.arange(length)
    seen = np.where(index < prompt, 0, index)
    return Example(replace(stream, shown_at_T=seen, sees_up_to_T=seen, visibility="mixed"))


def last_rows(body, more):
    """The last token's vectors of the whole sequences, computed at once, as given."""
    ids, sources = texts()
    batch = pack([example(body, ids[i], sources[i], n, n + more) for i, n in enumerate(LENGTHS)]).to("cpu")
    ends = torch.from_numpy(np.cumsum(batch.read.lengths_N) - 1)
    rows = torch.empty(len(LENGTHS), body.config.hidden_size, dtype=torch.float64)
    rows[torch.as_tensor(batch.read.order_N)] = body(batch)[ends]
    return rows


def prefilled(body, room=MORE):
    ids, sources = texts()
    batch = pack([example(body, ids[i], sources[i], n, n) for i, n in enumerate(LENGTHS)]).to("cpu")
    return body.prefill(batch, room)


@torch.no_grad()
@pytest.mark.parametrize("name", BODIES)
def test_steps_give_what_the_whole_gives(name):
    body, (ids, _) = made(**BODIES[name]), texts()
    hidden, cache = prefilled(body)
    for more in range(MORE + 1):
        torch.testing.assert_close(hidden, last_rows(body, more), rtol=0, atol=1e-12)
        if more < MORE:
            hidden = body.step(torch.tensor([ids[i][n + more] for i, n in enumerate(LENGTHS)]), cache)
    assert cache.lengths_N.tolist() == [n + MORE for n in LENGTHS]


@torch.no_grad()
@pytest.mark.parametrize("name", ["learned", "encoder-decoder, buckets"])
def test_selected_sequences_go_on(name):
    """Fewer, more, and another order: each goes on with its own tokens."""
    body, (ids, _) = made(**BODIES[name]), texts()
    _, cache = prefilled(body)
    for rows in ([3, 0, 0, 4], [0, 2, 1, 3, 2, 0]):
        cache.select(torch.tensor(rows))
    chosen = [3, 0, 0, 4, 0, 3]  # rows of rows
    now = body.step(torch.tensor([ids[i][LENGTHS[i]] for i in chosen]), cache)
    torch.testing.assert_close(now, last_rows(body, 1)[chosen], rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("name", BODIES)
def test_sequences_that_share_a_row_go_on_as_alone(name):
    """Beams: three of each sequence go on with tokens of their own, from each other, without some prompts, and at last
    as texts that end one by one: as three copies of each do."""
    body, rng = made(**BODIES[name]), np.random.default_rng(0)
    shared, copied = (prefilled(body, room=12)[1] for _ in range(2))
    shared.repeat(3)
    copied.select(torch.arange(5).repeat_interleave(3))
    assert shared.read.readers == 3 and copied.read.readers == 1

    def go_on(times):
        for _ in range(times):
            ids_N = torch.from_numpy(rng.integers(0, 50, len(shared.lengths_N)))
            torch.testing.assert_close(body.step(ids_N, shared), body.step(ids_N, copied), rtol=0, atol=1e-12)
            assert (shared.lengths_N == copied.lengths_N).all()

    go_on(3)
    for prompts in ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [4, 1, 3]):
        rows = np.concatenate([prompt * 3 + rng.integers(0, 3, 3) for prompt in prompts])
        for cache in (shared, copied):
            cache.select(torch.from_numpy(rows))
        go_on(2)
    assert shared.read.readers == 3
    for cache in (shared, copied):
        cache.select(torch.tensor([0, 2, 4, 5, 8]))
    assert shared.read.readers == 1
    go_on(2)


@torch.no_grad()
def test_many_that_begin_alike_get_rows_of_their_own():
    body = made()
    _, cache = prefilled(body)
    cache.repeat(MOST_READERS + 1)
    assert cache.read.readers == 1 and len(cache.lengths_N) == 5 * (MOST_READERS + 1)


@torch.no_grad()
def test_short_sequences_that_stay_have_room_for_beams():
    """The longest is left out first: its slots are more than the others need."""
    body = made()
    caches = [prefilled(body)[1] for _ in range(2)]
    for cache in caches:
        cache.select(torch.tensor([4, 2]))
    caches[0].repeat(2)
    caches[1].select(torch.tensor([0, 0, 1, 1]))
    for more in range(MORE):
        ids_N = torch.arange(4) + more
        torch.testing.assert_close(*(body.step(ids_N, cache) for cache in caches), rtol=0, atol=1e-12)


@torch.no_grad()
def test_parts_do_not_change_what_is_read(monkeypatch):
    """Long sequences first, some rows at a time, sharing and with windows."""
    body = made(**BODIES["windows, one head of keys"])
    caches = []
    for least in (1 << 60, 0):
        monkeypatch.setattr("pretune.nn.cache.LEAST_SAVED", least)
        _, cache = prefilled(body)
        cache.repeat(2)
        given = [body.step(torch.arange(10) + more, cache) for more in range(3)]
        caches.append((given, len(cache.read._cut())))
    (whole, one), (cut, four) = caches
    assert (one, four) == (1, 4)
    torch.testing.assert_close(whole, cut, rtol=0, atol=1e-12)


def test_no_slot_left_and_no_position_left():
    body = made()
    _, cache = prefilled(body, room=0)
    with pytest.raises(ValueError, match="no slot is left of 9"):
        body.step(torch.zeros(5, dtype=torch.int64), cache)
    with pytest.raises(ValueError, match="a sequence of 69 tokens is longer than the 64 positions"):
        prefilled(body, room=60)


@torch.no_grad()
def test_a_sequence_knows_nothing_of_others_sources():
    """The n-th target reads the n-th source: alone and in a batch they are the same."""
    body, (ids, sources) = made(**BODIES["encoder-decoder"]), texts()
    alone = [body(pack([example(body, ids[i], sources[i], n, n)]).to("cpu"))[-1] for i, n in enumerate(LENGTHS)]
    torch.testing.assert_close(torch.stack(alone), last_rows(body, 0), rtol=0, atol=1e-12)


def test_gradients_reach_both_stacks_and_the_scores():
    body, (ids, sources) = made(**BODIES["encoder-decoder, buckets"]), texts()
    batch = pack([example(body, ids[i], sources[i], n, n) for i, n in enumerate(LENGTHS)]).to("cpu")
    body(batch).pow(2).sum().backward()
    without = [
        name for name, parameter in body.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert not without
    names = [name for name, _ in body.named_parameters()]
    assert names.count("token_embedding.weight") == 1 and not any("coder.token_embedding" in name for name in names)


def test_a_body_of_two_streams_needs_both():
    body, (_, sources) = made(**BODIES["encoder-decoder"]), texts()
    with pytest.raises(ValueError, match="no target stream"):
        body(pack([Example(sources[0])]).to("cpu"))
    with pytest.raises(ValueError, match="one stream"):
        made()(pack([Example(sources[0], target=left_to_right(sources[1]))]).to("cpu"))
