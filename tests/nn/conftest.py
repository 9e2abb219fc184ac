"""Plain references: dense loops over sequences, ten lines each, that the packed code must equal."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pretune.core.pack import pack
from pretune.core.stream import Batch, Example, Stream, Targets, bidirectional
from pretune.nn.config import Attention, FanIn, FeedForward, HeadTransform, LMHead, Norm, Rotary, TransformerConfig

VOCAB = 50


def make_example(length, visibility, rng):
    """One sequence with the visibility of a kind; `at` of head "lm" reads about a third of its rows."""
    stream = bidirectional(rng.integers(0, VOCAB, length), segment_ids_T=np.arange(length) // max(1, length // 2) % 2)
    index, rank = np.arange(length), rng.permutation(length)
    shown, sees = {
        "full": (0 * index, 0 * index),
        "causal": (index, index),
        "prefix": (np.where(index < length // 2, 0, index), np.where(index < length // 2, 0, index)),
        "permuted": (rank, rank),
        "query stream": (rank, rank - 1),  # the first of the permutation sees nothing
    }[visibility]
    at = np.sort(rng.choice(length, max(1, length // 3), replace=False))[:, None]
    targets = Targets(at, rng.integers(0, VOCAB, len(at)), np.ones(len(at), np.float32))
    columns = {**vars(stream), "shown_at_T": shown, "sees_up_to_T": sees}
    return Example(Stream(**columns), None, {"lm": targets})


def make_batch(lengths, visibility="full", seed=0) -> Batch:
    kinds = ["full", "causal", "prefix", "permuted"] if visibility == "mixed" else [visibility]
    rng = np.random.default_rng(seed)
    return pack([make_example(n, kinds[i % len(kinds)], rng) for i, n in enumerate(lengths)]).to("cpu")


def dense_attend(q_THE, k_THE, v_THE, queries, keys, window=None, bias=None):
    outputs, q_start, k_start = [], 0, 0
    for q_length, k_length in zip(queries.lengths_N.tolist(), keys.lengths_N.tolist(), strict=True):
        a, b = slice(q_start, q_start + q_length), slice(k_start, k_start + k_length)
        scores = torch.einsum("qhe,khe->hqk", q_THE[a], k_THE[b]) / q_THE.shape[-1] ** 0.5
        position_q, position_k = queries.positions_T[a, None], keys.positions_T[None, b]
        if bias is not None:
            q, k = q_THE[None, a].transpose(1, 2), k_THE[None, b].transpose(1, 2)
            scores = scores + bias(q, k, position_q.T, position_k)[0]
        seen = keys.shown_at_T[None, b] <= queries.sees_up_to_T[a, None]
        seen = seen if window is None else seen & ((position_q - position_k).abs() <= window)
        weights = scores.exp() * seen  # float64 and small scores: no maximum to subtract
        outputs.append(torch.einsum("hqk,khe->qhe", weights / (weights.sum(-1, keepdim=True) + 1e-300), v_THE[b]))
        q_start, k_start = a.stop, b.stop
    return torch.cat(outputs)


def make_config(**changes) -> TransformerConfig:
    settings = dict(
        vocab_size=VOCAB,
        hidden_size=16,
        num_layers=3,
        position=Rotary(),
        norm=Norm(eps=1e-5, bias=False),
        placement="pre",
        feed_forward=FeedForward(24, gated=True, bias=False),
        attention=Attention(2, bias=False),
        init=FanIn(),
        output=LMHead(HeadTransform(bias=False, norm=Norm(eps=1e-5, bias=False))),
        final_norm=True,
    )
    return TransformerConfig(**{**settings, **changes})


def randomise(module, seed=0):
    """Every parameter drawn, biases and norms too: fresh ones hide errors."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            scale = 0.3 if parameter.dim() > 1 else 0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale + (parameter.dim() == 1) * 0.5)
    return module


@pytest.fixture(scope="session")
def nn_tools():
    return SimpleNamespace(batch=make_batch, dense=dense_attend, config=make_config, randomise=randomise, vocab=VOCAB)
