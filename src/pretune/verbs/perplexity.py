"""perplexity: what a model's language model loses on the held-out text of a corpus.

For seeing what continued pre-training did to the text it was continued on and to the text before it (Gururangan et al.
2020, table 3, report such losses of masked models). The corpus must have the model's tokenizer: that of any text is
built with `pretune corpus build ... --tokenizer MODEL`. Losses of different objectives, masking rates or tokenizers do
not compare; per word and per byte, of models that write: `pretune evaluate language_modelling`.

The interval is a bootstrap over batches of neighbouring samples, for texts of one document are alike.
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
    "samples", "unigram_entropy", ...}.

    Masks and samples are the same for every model of one tokenizer, so that models compare. Raises InputError for a
    model without a language model, for a corpus of another tokenizer, and for an objective that does not predict
    pieces or does not fit the model.
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
    sums_BC = scored(bundle.model.to(device), lambda found: _sums(found, validation))
    interval = of_sums(sums_BC, ratio_of_sums).interval(rng=derive_rng(resolved.seed, "interval"))
    return {
        "model": str(model),
        "corpus": str(corpus),
        "split": split,
        "objective": name,
        "loss": _as_json(interval),
        "perplexity": {key: math.exp(min(value, LARGEST_LOSS)) for key, value in _as_json(interval).items()},
        "unigram_entropy": text.vocab.unigram_entropy(),
        "predictions": int(sums_BC[:, 1].sum()),
        "samples": validation.number,
        "max_length": longest,
        "seconds": round(time.perf_counter() - began, 3),
        "text": _text(interval, name, text, validation, sums_BC),
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
    """[batches, 2]: nats and predictions."""
    losses = (of_batch[HEAD] for of_batch in validation.losses(model))
    return np.array([[float(loss.sum), loss.count] for loss in losses], np.float64)


def _as_json(interval: Interval) -> dict[str, float]:
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def _text(interval: Interval, name: str, text: Corpus, validation: Validation, sums_BC: FloatArray) -> str:
    low, estimate, high = (math.exp(min(x, LARGEST_LOSS)) for x in (interval.low, interval.estimate, interval.high))
    whole = validation.number == len(validation.source)
    part = "all samples" if whole else f"{validation.number:,} of {len(validation.source):,} samples"
    lines = [
        f"{name}: {interval} nats a predicted piece, perplexity {estimate:,.2f} [{low:,.2f}, {high:,.2f}]",
        f"a model that knows only how frequent pieces are has {text.vocab.unigram_entropy():.3f} nats",
        f"{int(sums_BC[:, 1].sum()):,} predictions in {part} of the split {text.split!r}; in brackets: 95 % intervals "
        f"over {len(sums_BC):,} batches of neighbouring samples",
    ]
    return "\n".join(lines)
