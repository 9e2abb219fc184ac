"""Perplexity and bits from a sum of negative log-likelihoods in nats (Jelinek et al. 1977).

Perplexities compare only over the same units: a masked LM's over predicted pieces says nothing about a causal LM's, nor
about one of another vocabulary; of causal LMs, bits a byte compare across vocabularies.
"""

import math

from pretune.core.errors import InputError


def perplexity(total_nats: float, count: float) -> float:
    """exp(total / count); infinite where that is beyond a float. InputError for NaN or a count that is not positive.

    >>> round(perplexity(2 * math.log(10), 2), 6)
    10.0
    """
    mean = _mean(total_nats, count)
    return math.exp(mean) if mean < 709.0 else math.inf


def bits_per_byte(total_nats: float, num_bytes: float) -> float:
    """Code length of the text in bits a byte of UTF-8, comparable across tokenizers.

    >>> round(bits_per_byte(8 * math.log(2), 4), 6)
    2.0
    """
    return _mean(total_nats, num_bytes) / math.log(2)


def _mean(total: float, count: float) -> float:
    if math.isnan(total) or not count > 0 or math.isinf(count):
        raise InputError(f"a loss of {total} over {count} predictions has no mean")
    return total / count
