"""The BiLSTM on packed rows is torch's on padded ones, sequence by sequence; the body reads through it."""

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from pretune.core.errors import InputError
from pretune.core.pack import pack
from pretune.core.stream import Example, bidirectional
from pretune.families.family import open_family
from pretune.nn import config
from pretune.nn.bilstm import BiLSTM
from pretune.nn.initial import initialise

LENGTHS = [7, 1, 12, 3, 3, 12, 5]


def stream(lengths):
    rng = np.random.default_rng(0)
    return pack([Example(bidirectional(rng.integers(5, 29, n))) for n in lengths]).to("cpu")


def made(hidden_size=10, seed=1):
    layer = BiLSTM(hidden_size)
    initialise(layer, config.Normal(), seed)
    return layer


@pytest.mark.parametrize("lengths", [LENGTHS, [4], [1, 1, 1], [2, 9]])
def test_it_is_torchs_on_padded_sequences_forward_and_back(lengths):
    batch, layer = stream(lengths), made()
    x_TD = torch.randn(sum(lengths), 10, generator=torch.Generator().manual_seed(2)).requires_grad_()
    ours = layer(x_TD, batch.source)
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(3))
    (grad,) = torch.autograd.grad((ours * weights).sum(), x_TD)
    reference = torch.nn.LSTM(10, 5, bidirectional=True, batch_first=True)
    reference.load_state_dict(layer.lstm.state_dict())
    sizes = torch.as_tensor(batch.source.lengths_N)
    padded = pad_sequence(torch.split(x_TD, sizes.tolist()), batch_first=True)
    out, _ = reference(pack_padded_sequence(padded, sizes, batch_first=True, enforce_sorted=False))
    out = pad_packed_sequence(out, batch_first=True)[0]
    theirs = torch.cat([out[row, :length] for row, length in enumerate(sizes.tolist())])
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    torch.testing.assert_close(grad, torch.autograd.grad((theirs * weights).sum(), x_TD)[0], atol=1e-6, rtol=0)


def test_a_row_sees_both_sides_of_its_own_sequence_only():
    batch, layer = stream([4, 3]), made()
    x_TD = torch.randn(7, 10)
    ends = np.cumsum(batch.source.lengths_N)
    for row in range(7):
        first = 0 if row < ends[0] else int(ends[0])
        end = int(ends[0]) if row < ends[0] else 7
        other = x_TD.clone()
        other[row] += 1
        moved = (layer(other, batch.source) - layer(x_TD, batch.source)).abs().sum(1) > 1e-7
        assert moved.tolist() == [first <= place < end for place in range(7)]


def test_no_rows():
    empty = stream([2]).source
    empty.ids_T.resize_(0)
    assert made()(torch.zeros(0, 10), empty).shape == (0, 10)


def test_weights_follow_the_seed_and_biases_are_zero():
    first, again, other = made(seed=1), made(seed=1), made(seed=2)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
        assert ("bias" in name) == bool((value == 0).all()) == torch.equal(value, other.state_dict()[name])
        assert value.abs().max() <= 5**-0.5


def body(**changes):
    family = open_family("bert")
    shape = {"num_layers": 2, "hidden_size": 32, "attention.num_heads": 2, "feed_forward.intermediate_size": 48}
    return family.build(family.config(shape, 29, **{"attention.causal": True, **changes})).eval()


@torch.no_grad()
def test_a_body_with_it_on_top_reads_rows_through_it():
    plain, batch = body(), stream(LENGTHS)
    before = plain(batch)
    plain.put_on_top(config.BiLSTM(), seed=3)
    whole, rows = plain(batch), torch.tensor([0, 3, 8, 20])
    assert torch.equal(whole, plain.top(before, batch.source))
    torch.testing.assert_close(plain(batch, rows=rows), whole[rows])
    every = plain(batch, layers="all")
    assert len(every) == 4 and torch.equal(every[-1], whole) and torch.equal(every[-2], before)
    again = body()
    again.put_on_top(config.BiLSTM(), seed=3)
    assert torch.equal(again(batch), whole)


def test_what_does_not_go_with_it_is_refused():
    with pytest.raises(InputError, match="for fine-tuning: pretune finetune ... top=bilstm"):
        body(top="bilstm")
    with pytest.raises(InputError, match="needs an even hidden_size, not 33"):
        body(top=config.BiLSTM(), **{"hidden_size": 33, "attention.num_heads": 3})
    with_top = body(top=config.BiLSTM())
    for kind in ("lm", "next_sentence"):
        with pytest.raises(InputError, match="pre-train the model that it was made from"):
            with_top.family_head(kind)
