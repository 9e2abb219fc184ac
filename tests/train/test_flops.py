"""FLOPs beside a count by hand and torch's own counter; the peak; energy and CO2."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pretune.families.family import open_family
from pretune.nn.config import (
    Attention,
    Decoder,
    Disentangled,
    FeedForward,
    LMHead,
    NoPosition,
    Norm,
    Normal,
    RelativeBuckets,
    TransformerConfig,
)
from pretune.nn.encoder_decoder import EncoderDecoder
from pretune.nn.heads import MaskedLMHead
from pretune.nn.model import Model
from pretune.nn.transformer import Transformer
from pretune.objectives.mlm import mlm
from pretune.objectives.replaced_token import replaced_token
from pretune.train.energy import co2_kg, energy_kwh
from pretune.train.flops import flops_of, peak_flops, training_flops, utilisation
from pretune.train.run import Tally


def test_agrees_with_torchs_counter():
    """One plain layer on sequences of equal length, all rows read, with a head of one dense map and a decoder."""
    num, length, hidden, inner, vocab = 3, 7, 8, 32, 50
    shapes = [
        (hidden, 3 * hidden),
        (hidden, hidden),
        (hidden, inner),
        (inner, hidden),
        (hidden, hidden),
        (hidden, vocab),
    ]
    qkv, out, up, down, dense, decoder = (torch.randn(shape, requires_grad=True) for shape in shapes)
    x = torch.randn(num, length, hidden, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        q, k, v = (x @ qkv).chunk(3, dim=-1)
        hidden_states = ((q @ k.mT) @ v) @ out @ up @ down @ dense @ decoder
        hidden_states.sum().backward()
    expected = training_flops(
        num_tokens=num * length,
        squared_lengths=num * length**2,
        num_predictions=num * length,
        hidden_size=hidden,
        intermediate_size=inner,
        num_layers=1,
        vocab_size=vocab,
    )
    assert counter.get_total_flops() == expected


def test_gates_and_causal_attention():
    numbers = {"num_tokens": 10, "num_predictions": 0, "hidden_size": 4, "intermediate_size": 8, "num_layers": 2}
    numbers["vocab_size"] = 9
    plain = training_flops(**numbers, squared_lengths=0)
    assert training_flops(**numbers, squared_lengths=0, gated=True) - plain == 6 * 10 * 2 * 4 * 8
    whole = training_flops(**numbers, squared_lengths=50) - plain
    assert training_flops(**numbers, squared_lengths=50, causal=True) - plain == whole / 2 > 0


@pytest.mark.parametrize("family", ["electra", "modern"])
def test_a_generator_and_a_discriminator_both_count(family):
    """Each over all tokens; the vocabulary at the generator's masked rows, two maps at all of the other's."""
    found = open_family(family)
    body = found.build(found.config("tiny", 90))
    model = Model(body, replaced_token().heads(body))
    tokens, squared, masked = 100, 2600, 15
    drawn = model.heads["lm"].body.config
    token_size = body.config.token_size
    assert drawn.hidden_size == 32 and token_size == (64 if family == "electra" else 128)
    products = 3 if family == "modern" else 2
    expected = 0
    for config in (body.config, drawn):
        size, inner = config.hidden_size, config.feed_forward.intermediate_size
        layer = 4 * size**2 + products * size * inner
        expected += 6 * tokens * (2 * layer + size * (config.embedding_size or 0)) + 12 * 2 * size * squared
    expected += 6 * masked * token_size * (32 + 90) + 6 * tokens * (128**2 + 128)
    assert flops_of(model, Tally(tokens, squared, predictions={"lm": masked, "replaced_token": tokens})) == expected
    plain = Model(body, mlm().heads(body))
    alone = training_flops(
        num_tokens=tokens, squared_lengths=squared, num_predictions=masked, hidden_size=128,
        intermediate_size=body.config.feed_forward.intermediate_size, num_layers=2, vocab_size=90,
        gated=family == "modern", embedding_size=body.config.embedding_size,
    )  # fmt: skip
    assert flops_of(plain, Tally(tokens, squared, predictions={"lm": masked})) == alone


def test_distances_that_meet_contents_count_as_products():
    """Two more for each pair of tokens: what attention takes is twice as much."""
    sizes = dict(hidden_size=8, num_layers=2, placement="post", norm=Norm(), vocab_size=50, init=Normal())
    parts = dict(feed_forward=FeedForward(16), attention=Attention(2), output=LMHead())
    plain, distances = (
        Model(Transformer(TransformerConfig(position=position, **sizes, **parts)), {})
        for position in (NoPosition(), Disentangled(4, 8))
    )
    work = Tally(10, 58)
    assert flops_of(distances, work) - flops_of(plain, work) == 12 * 8 * 2 * 58


def test_an_encoder_decoder_counts_both_stacks_and_what_lies_between():
    """By hand: 2 layers over 10 source tokens, 1 layer over 4 of the target, whose 3 rows are predicted."""
    d, inner, vocab = 8, 16, 50
    config = TransformerConfig(
        vocab_size=vocab, hidden_size=d, num_layers=2, position=RelativeBuckets(), norm=Norm(), placement="pre",
        feed_forward=FeedForward(inner), attention=Attention(2, head_size=6), init=Normal(), output=LMHead(),
        decoder=Decoder(1, 2, 32),
    )  # fmt: skip
    body = EncoderDecoder(config)
    model = Model(body, {"lm": MaskedLMHead(body, LMHead(), Normal())})
    work = Tally(14, 58 + 8, predictions={"lm": 3}, target_tokens=4, target_squared_lengths=8, crossed_lengths=20)
    encoder = 6 * 10 * 2 * (4 * d * 12 + 2 * d * inner) + 12 * 12 * 2 * 58
    decoder = 6 * 4 * (4 * d * 12 + 2 * d * 32) + 12 * 12 * 8 / 2 + 6 * 3 * (d * d + d * vocab)
    between = 6 * 4 * 2 * d * 12 + 6 * 10 * 2 * d * 12 + 12 * 12 * 20
    assert flops_of(model, work) == encoder + decoder + between


def test_peak_and_utilisation():
    peak = peak_flops(seconds=0.05)
    assert 1e8 < peak < 1e15
    assert utilisation(peak * 3, 6, peak) == pytest.approx(0.5)


def test_energy_and_co2():
    assert energy_kwh(250, 7200, pue=1.0) == pytest.approx(0.5)
    assert co2_kg(energy_kwh(1000, 3600)) == pytest.approx(1.58 * 0.954 * 0.45359237)
