"""perplexity: what a model's language model loses on the held-out text of a corpus.

For seeing what continued pre-training did to the text it was continued on and to the text before it (Gururangan et al.
2020, table 3, report such losses of masked models). The corpus must have the model's tokenizer: that of any text is
built with `pretune corpus build ... --tokenizer MODEL`. Losses of different objectives, masking rates or tokenizers do
not compare; per word and per byte, of models that write: `pretune evaluate language_modelling`.

The interval is a bootstrap over groups of neighbouring samples, for texts of one document are alike: a group has ten
samples, where that makes 20 to 100 groups, whatever the size of a batch. Of fewer than 20 groups with predictions there
is no interval.
"""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from pretune.checkpoint.bundle import Bundle
from pretune.core.config import resolve
from pretune.core.errors import InputError, unknown
from pretune.core.randomness import derive_rng
from pretune.corpus.samples import PretrainingSource
from pretune.corpus.store import Corpus, Split
from pretune.families.family import HeadSpec
from pretune.metrics.checks import FloatArray
from pretune.metrics.intervals import Interval, ratio_of_sums
from pretune.nn.config import TransformerConfig
from pretune.objectives.bodies import check_body
from pretune.objectives.named import open_objective
from pretune.tasks.items import of_sums
from pretune.train.evaluation import scored
from pretune.verbs import records
from pretune.verbs.settings import PerplexitySettings
from pretune.verbs.validation import Validation

HEAD = "lm"
LARGEST_LOSS = 700.0
"""Of a perplexity that is still a number."""
GROUP = 10
"""Samples that are resampled together, where there are enough."""
FEWEST, MOST = 20, 100
"""Groups: fewer have no tails to read an interval from, more need not be."""


def perplexity(
    *,
    model: str,
    corpus: str | Path,
    split: str = "valid",
    settings: Sequence[str] | Mapping[str, Any] = (),
    threads: int | None = None,
    allow_pickle: bool = False,
) -> dict[str, Any]:
    """The loss in nats a predicted piece and its exponential, with intervals: {"loss", "perplexity", "predictions",
    "samples", "groups", "unigram_entropy", ...}. "low" and "high" are None where too few groups have predictions.

    Masks and samples are the same for every model of one tokenizer, so that models compare. Raises InputError for a
    model without a language model, for a corpus of another tokenizer, for an objective that does not predict pieces or
    does not fit the model, and for a text with nothing to predict.
    """
    given = settings if isinstance(settings, Mapping) else None
    resolved = resolve(PerplexitySettings, given or {}, assignments=() if given is not None else list(settings))
    if split not in get_args(Split):
        raise unknown("split", split, get_args(Split))
    device = records.choose_device(threads)
    bundle = Bundle.load(model, heads=[HeadSpec("lm")], allow_pickle=allow_pickle)
    if bundle.fresh_weights:
        raise InputError(f"{model} has no language model: give one that was pre-trained to predict pieces")
    text = Corpus.open(corpus, split=split)  # type: ignore[arg-type]
    if bundle.tokenizer.fingerprint != text.tokenizer.fingerprint:
        raise InputError(f"{model} has another tokenizer than the corpus: build the corpus with --tokenizer {model}")
    arguments = dict(resolved.objective)
    name = str(arguments.pop("name", None) or objective_for(bundle.model.body.config))
    objective = open_objective(name, arguments)
    check_body(objective, bundle.model.body.config)
    if others := sorted(set(objective.heads(bundle.model.body)) - {HEAD}):
        raise InputError(
            f"{name} also predicts for {', '.join(others)}: perplexity is of pieces alone, as mlm has them"
        )
    longest = min(resolved.max_length, bundle.max_length)
    source = PretrainingSource(objective, text, bundle.template, longest, seed=resolved.seed)
    validation = Validation(objective, source, resolved.samples or len(source), resolved.max_tokens_per_batch, device)
    began = time.perf_counter()
    validation.check()
    sums_GC = scored(bundle.model.to(device), lambda found: _sums(found, validation))
    estimate, interval = float(ratio_of_sums(sums_GC.sum(0))), None
    if len(sums_GC) >= FEWEST:
        interval = of_sums(sums_GC, ratio_of_sums).interval(rng=derive_rng(resolved.seed, "interval"))
    return {
        "model": str(model),
        "corpus": str(corpus),
        "split": split,
        "objective": name,
        "loss": (loss := _as_json(estimate, interval)),
        "perplexity": {key: None if value is None else _exponential(value) for key, value in loss.items()},
        "unigram_entropy": text.vocab.unigram_entropy(),
        "predictions": int(sums_GC[:, 1].sum()),
        "samples": validation.number,
        "groups": len(sums_GC),
        "max_length": longest,
        "seconds": round(time.perf_counter() - began, 3),
        "text": _text(estimate, interval, name, text, validation, sums_GC),
    }


def objective_for(config: TransformerConfig) -> str:
    """What a model of this config was most likely trained to predict. InputError for an encoder-decoder."""
    if config.decoder is not None:
        raise InputError(
            "an encoder-decoder predicts what its objective makes of a text: name it, as objective.name=text_infilling "
            "or objective.name=span_corruption"
        )
    if config.attention.prefix:
        return "prefix_lm"
    return "causal_lm" if config.attention.causal else "mlm"


def _sums(model: torch.nn.Module, validation: Validation) -> FloatArray:
    """[groups, 2]: nats and predictions of neighbouring samples, of the groups that have predictions."""
    examples, found = validation.examples(), []
    for numbers in np.array_split(np.arange(len(examples)), num_groups(len(examples))):
        batches = validation.batches([examples[number] for number in numbers])
        losses = [validation.objective.loss(model, batch)[HEAD] for batch in batches]
        found.append([sum(float(loss.sum) for loss in losses), sum(loss.count for loss in losses)])
    sums_GC = np.array(found, np.float64)
    return sums_GC[sums_GC[:, 1] > 0]


def num_groups(num_samples: int) -> int:
    """How many groups so many samples make.

    >>> [num_groups(number) for number in (1, 12, 20, 150, 500, 2000)]
    [1, 12, 20, 20, 50, 100]
    """
    return min(num_samples, MOST, max(FEWEST, num_samples // GROUP))


def _exponential(loss: float) -> float:
    return math.exp(min(loss, LARGEST_LOSS))


def _as_json(estimate: float, interval: Interval | None) -> dict[str, float | None]:
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    return {"estimate": estimate, "low": low, "high": high}


def _text(
    estimate: float, interval: Interval | None, name: str, text: Corpus, validation: Validation, sums_GC: FloatArray
) -> str:
    whole = validation.number == len(validation.source)
    part = "all samples" if whole else f"{validation.number:,} of {len(validation.source):,} samples"
    loss, figure = f"{estimate:.3f}", f"{_exponential(estimate):,.2f}"
    how = (
        f"no interval: it takes {FEWEST} groups of neighbouring samples with predictions, and there are {len(sums_GC)}"
    )
    if interval is not None:
        loss, figure = (
            str(interval),
            f"{figure} [{_exponential(interval.low):,.2f}, {_exponential(interval.high):,.2f}]",
        )
        how = f"in brackets: 95 % intervals over {len(sums_GC):,} groups of neighbouring samples"
    lines = [
        f"{name}: {loss} nats a predicted piece, perplexity {figure}",
        f"a model that knows only how frequent pieces are has {text.vocab.unigram_entropy():.3f} nats",
        f"{int(sums_GC[:, 1].sum()):,} predictions in {part} of the split {text.split!r}; {how}",
    ]
    return "\n".join(lines)
