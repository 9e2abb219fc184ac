"""FLOPs of a Transformer's training, and the share of the machine's that it used (MFU, Chowdhery et al. 2022, app. B).

Counted are matrix products and attention; padding, look-ups, norms and the optimizer are not. DESIGN section 7:
6 T L (4 d^2 + g d f) + 12 d L sum s^2 + 6 M (d^2 + d V), causal attention half of the middle term, inference a third.
"""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from pretune.nn.body import Body
from pretune.nn.config import Disentangled, TransformerConfig
from pretune.nn.generator import Generator
from pretune.nn.kernels.linear import linear
from pretune.nn.model import Model

VOCABULARY_HEADS = ("lm", "span_boundary")
"""Heads with an output over the vocabulary."""


def training_flops(
    *,
    num_tokens: float,
    squared_lengths: float,
    num_predictions: float,
    hidden_size: int,
    intermediate_size: int,
    num_layers: int,
    vocab_size: int,
    gated: bool = False,
    causal: bool = False,
    embedding_size: int | None = None,
    query_size: int | None = None,
    key_size: int | None = None,
    disentangled: bool = False,
) -> float:
    """FLOPs of forward and backward over `num_tokens` real tokens whose sequences' squared lengths sum to
    `squared_lengths`, with `num_predictions` rows through a language-model head of `vocab_size` (0: no such head).
    embedding_size: of token vectors that are mapped to hidden_size; None: no map.
    query_size, key_size: of the queries of all heads, and of the keys; None: hidden_size (d in 4 d^2 and 12 d L s^2).
    disentangled: two products more for each pair of tokens, with the vector of their distance (twice 12 d L s^2).

    >>> training_flops(num_tokens=2, squared_lengths=4, num_predictions=1, hidden_size=2, intermediate_size=4,
    ...                num_layers=1, vocab_size=3)
    540.0
    """
    products = 3 if gated else 2
    query_size, key_size = query_size or hidden_size, key_size or hidden_size
    layer = 2 * hidden_size * (query_size + key_size) + products * hidden_size * intermediate_size
    attention = 12 * query_size * num_layers * squared_lengths * (0.5 if causal else 1.0) * (2 if disentangled else 1)
    token_size = embedding_size or hidden_size
    head = 6 * num_predictions * token_size * (hidden_size + vocab_size)
    mapped = 6 * num_tokens * hidden_size * (embedding_size or 0)
    return 6 * num_tokens * num_layers * layer + attention + head + mapped


class Work(Protocol):
    """What has gone through a model: real tokens and sequences' squared lengths of all streams, and predictions of each
    head. Of an encoder-decoder also what of this is the decoder's, and the products of the lengths of a source and its
    target, summed up."""

    @property
    def tokens(self) -> float: ...
    @property
    def squared_lengths(self) -> float: ...
    @property
    def predictions(self) -> Mapping[str, float]: ...
    @property
    def target_tokens(self) -> float: ...
    @property
    def target_squared_lengths(self) -> float: ...
    @property
    def crossed_lengths(self) -> float: ...


def flops_of(model: Model, work: Work) -> float:
    """FLOPs of training a model on this work.

    A body that a head owns reads the same tokens (a generator; the discriminator is then the model's own body, whose
    head scores rows: 6 M (d^2 + d)). Drawing the generator's samples is not counted, being no product.
    """
    owned = {name: head.body for name, head in model.heads.items() if isinstance(head, Generator)}
    own = sum(work.predictions.get(name, 0) for name in VOCABULARY_HEADS if name not in owned)
    size: int = model.body.config.hidden_size
    scoring = 6 * work.predictions.get("replaced_token", 0) * (size**2 + size)
    bodies: list[tuple[Body, float]] = [(model.body, own)]
    bodies += [(body, work.predictions.get(name, 0)) for name, body in owned.items()]
    return scoring + sum(_body_flops(body.config, work, number) for body, number in bodies)


def _body_flops(config: TransformerConfig, work: Work, num_predictions: float) -> float:
    """One stack, or the encoder's, the decoder's and what lies between: a layer of the decoder maps queries and the
    output at the target's tokens, keys and values at the source's, and every target token sees its whole source."""
    if config.decoder is None:
        return _stack_flops(config, work.tokens, work.squared_lengths, num_predictions)
    of_decoder, source_tokens = config.of_decoder, work.tokens - work.target_tokens
    encoder = _stack_flops(config.of_encoder, source_tokens, work.squared_lengths - work.target_squared_lengths, 0)
    decoder = _stack_flops(of_decoder, work.target_tokens, work.target_squared_lengths, num_predictions)
    inner = of_decoder.attention.num_heads * of_decoder.head_size
    maps = 6 * work.tokens * 2 * config.hidden_size * inner
    return encoder + decoder + of_decoder.num_layers * (maps + 12 * inner * work.crossed_lengths)


def _stack_flops(config: TransformerConfig, num_tokens: float, squared_lengths: float, num_predictions: float) -> float:
    return training_flops(
        num_tokens=num_tokens,
        squared_lengths=squared_lengths,
        num_predictions=num_predictions,
        hidden_size=config.hidden_size,
        intermediate_size=config.feed_forward.intermediate_size,
        num_layers=config.num_layers,
        vocab_size=config.vocab_size,
        gated=config.feed_forward.gated,
        causal=config.attention.causal,
        embedding_size=config.embedding_size,
        query_size=config.attention.num_heads * config.head_size,
        key_size=config.num_key_value_heads * config.head_size,
        disentangled=isinstance(config.position, Disentangled),
    )


def utilisation(flops: float, seconds: float, flops_per_second: float) -> float:
    """MFU: FLOPs done over those the machine could have done in the time."""
    return flops / (seconds * flops_per_second)


def peak_flops(device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, seconds: float = 1.0) -> float:
    """FLOP/s of the best matrix product measured now, with torch's current threads, in about `seconds`.

    torch's own product and the one the model uses (`nn.kernels.linear`) are both tried, so that no run can exceed it.
    """
    device = torch.device(device)
    sizes = (512, 1024, 2048) if device.type == "cpu" else (4096, 8192)
    tried = [(product, size) for product in (torch.mm, linear) for size in sizes]
    return max(_product_flops(product, size, device, dtype, seconds / len(tried)) for product, size in tried)


@torch.no_grad()
def _product_flops(
    product: Callable[[Tensor, Tensor], Tensor], size: int, device: torch.device, dtype: torch.dtype, seconds: float
) -> float:
    a, b = (torch.ones(size, size, device=device, dtype=dtype) for _ in range(2))
    product(a, b)
    best, ends = 0.0, time.perf_counter() + seconds
    while not best or time.perf_counter() < ends:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        started = time.perf_counter()
        product(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = max(best, 2 * size**3 / (time.perf_counter() - started))
    return best
