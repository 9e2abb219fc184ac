"""How probable a sentence is to a model, without any training.

pll             each piece is masked in turn, and log P(piece | all others) is summed up: the pseudo-log-likelihood of a
                masked model (Salazar et al. 2020)
pll-word-l2r    the same, and with a piece the later ones of its word are masked too, so that a rare word is not given
                away by its own end (Kauf and Ivanova 2023)
log-likelihood  log P(piece | those before it), summed up: of a causal model, what it was trained on
replaced-token  log P(not replaced), summed up over the pieces of the sentence as it is: of a discriminator (Clark et
                al. 2020), which has no distribution over pieces. It is our choice and no likelihood.

Special tokens of the template are read and not scored. A family without any (GPT) reads the tokenizer's bos token
before the sentence, if it has one (GPT-2's <|endoftext|>); else the first piece, before which nothing stands, is read
and not scored. [UNK] in a sentence is scored like any piece and counted, for
objectives never predict it, and what a model says of it means little. Nothing is divided by the length.

All masked copies of many sentences lie in one packed batch, cut by tokens, and logits exist at the masked rows alone.
Sentences with the same pieces are scored once, and so get the very same score.

Dimensions: N sentences, P pieces of a sentence, L tokens of it with those of the template, M predictions.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pretune.checkpoint.bundle import Bundle
from pretune.core.assemble import assemble
from pretune.core.errors import InputError
from pretune.core.marks import SPECIAL, WORD_START
from pretune.core.pack import cut_by_tokens, pack
from pretune.core.stream import TOKEN_FIELDS, Example, Segments, Stream, Targets

Scoring = Literal["pll", "pll-word-l2r", "log-likelihood", "replaced-token"]
SCORINGS: tuple[Scoring, ...] = get_args(Scoring)
LM, DISCRIMINATOR = "lm", "replaced_token"
TOKENS_PER_BATCH = 4096
"""On one CPU core (bert-tiny) 4,096 and 8,192 were the fastest, 1,024 and 16,384 a tenth to a fifth slower."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scores:
    """score_N: in nats. num_pieces_N, num_unknown_N: scored pieces of each sentence, and how many of them are [UNK]."""

    score_N: Floats
    num_pieces_N: Ints
    num_unknown_N: Ints


def scoring_of(bundle: Bundle, asked: Scoring | Literal["auto"] = "auto") -> Scoring:
    """How a model can be scored; auto: its first way. InputError where it has none, or not the one asked for."""
    ways = _ways(bundle)
    if bundle.model.body.config.decoder is not None:
        raise InputError(
            f"{bundle.folder} is an encoder-decoder: a sentence's probability depends on what its encoder reads beside "
            "it; `pretune evaluate language_modelling` gives its perplexity"
        )
    if not ways:
        has = ", ".join(bundle.model.heads) or "none"
        raise InputError(
            f"{bundle.folder} has no masked-LM head (its heads: {has}), so it gives no token a probability: "
            "take a model as it was pre-trained, before fine-tuning"
        )
    if asked == "auto":
        return ways[0]
    if asked not in ways:
        raise InputError(f"{bundle.folder} cannot be scored by {asked}: it allows {' or '.join(ways)}")
    return asked


def _ways(bundle: Bundle) -> list[Scoring]:
    heads, is_causal = bundle.model.heads, bundle.model.body.config.attention.causal
    found: list[Scoring] = []
    if LM in heads and is_causal:
        found.append("log-likelihood")
    if LM in heads and not is_causal and bundle.tokenizer.vocab.mask_id is not None:
        found += ["pll", "pll-word-l2r"]
    if DISCRIMINATOR in heads:
        found.append("replaced-token")
    return found


def sentence_scores(
    bundle: Bundle,
    sentences: Sequence[str],
    scoring: Scoring,
    *,
    device: str = "cpu",
    tokens_per_batch: int = TOKENS_PER_BATCH,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """The score of each sentence, in the order given. `scoring` as `scoring_of` allows it.

    progress: called with (parts of the work done, all of them). Raises InputError, which names the sentence, for one
    without a piece and for one that is longer than the model takes.
    """
    texts = [_Text.of(bundle, sentence, scoring) for sentence in sentences]
    first: dict[bytes, int] = {}
    same_N = [first.setdefault(text.example.source.ids_T.tobytes(), number) for number, text in enumerate(texts)]
    jobs = [job for number in first.values() for job in _jobs(number, texts[number], scoring, tokens_per_batch)]
    score_N, done = np.zeros(len(texts)), 0
    model = bundle.model.to(device).eval()
    with torch.inference_mode():
        for numbers in cut_by_tokens([job.num_tokens for job in jobs], tokens_per_batch):
            batch = [jobs[number] for number in numbers]
            examples = [_asked(texts[job.text].example, job.rows_M, scoring, bundle) for job in batch]
            each_M = _log_probabilities(model, pack(examples).to(device), scoring).double().cpu().numpy()
            np.add.at(score_N, np.repeat([job.text for job in batch], [len(job.rows_M) for job in batch]), each_M)
            done += len(batch)
            if progress is not None:
                progress(done, len(jobs))
    pieces = np.array([len(text.rows_P) for text in texts], np.int64)
    return Scores(score_N[same_N], pieces, np.array([text.num_unknown for text in texts], np.int64))


@dataclass(frozen=True, eq=False)
class _Text:
    """A sentence as the model reads it. rows_P: those of its pieces."""

    example: Example
    rows_P: Ints
    num_unknown: int

    @classmethod
    def of(cls, bundle: Bundle, sentence: str, scoring: Scoring) -> "_Text":
        pieces, template = bundle.tokenizer.encode(sentence), bundle.template
        if not len(pieces):
            raise InputError(f"{sentence!r:.80} has no piece in this tokenizer: there is nothing to score")
        begins_bare = scoring == "log-likelihood" and not isinstance(template.single[0], str)
        if begins_bare and "bos" in template.special_ids:
            template = replace(
                template, single=("bos", *template.single), segments_single=(0, *template.segments_single)
            )
        example = assemble(Segments([pieces.span()]), template)
        if example.num_tokens > bundle.max_length:
            told = f"has {example.num_tokens} tokens and {bundle.folder} takes {bundle.max_length}"
            raise InputError(f"{sentence!r:.80} {told}: score shorter sentences, or another model")
        num_unknown = int((pieces.ids_P == bundle.tokenizer.vocab.unk_id).sum())
        rows_P = np.flatnonzero(~(example.source.marks_T & SPECIAL).astype(np.bool_))
        if scoring == "log-likelihood" and rows_P[0] == 0:
            rows_P = rows_P[1:]
            if not len(rows_P):
                raise InputError(f"{sentence!r:.80} is one piece, and nothing stands before it: it cannot be scored")
        return cls(example, rows_P, num_unknown)


@dataclass(frozen=True, eq=False)
class _Job:
    """What goes into a batch as a whole: some rows of a text, all of them unless its copies alone are too many."""

    text: int
    rows_M: Ints
    num_tokens: int


def _jobs(number: int, text: _Text, scoring: Scoring, tokens_per_batch: int) -> Iterator[_Job]:
    length = text.example.num_tokens
    if not scoring.startswith("pll"):
        yield _Job(number, text.rows_P, length)
        return
    at_once = max(1, tokens_per_batch // length)
    for start in range(0, len(text.rows_P), at_once):
        rows_M = text.rows_P[start : start + at_once]
        yield _Job(number, rows_M, len(rows_M) * length)


def _asked(example: Example, rows_M: Ints, scoring: Scoring, bundle: Bundle) -> Example:
    """The example with predictions at these pieces, as the scoring asks for them."""
    if scoring in ("pll", "pll-word-l2r"):
        mask_id = bundle.tokenizer.vocab.mask_id
        assert mask_id is not None
        return masked_copies(example, rows_M, mask_id, within_words=scoring == "pll-word-l2r")
    gold_M = example.source.ids_T[rows_M]
    if scoring == "replaced-token":
        return Example(example.source, predict={DISCRIMINATOR: Targets(rows_M[:, None], gold_M)})
    return Example(example.source, predict={LM: Targets(rows_M[:, None] - 1, gold_M)})


def masked_copies(example: Example, rows_M: Ints, mask_id: int, within_words: bool = False) -> Example:
    """A copy of the example's one sequence for each row, masked there, and read there.

    within_words: the later pieces of the row's word are masked with it.

    >>> from pretune.core.stream import bidirectional
    >>> marks = np.array([SPECIAL, WORD_START, 0, WORD_START, SPECIAL], np.uint8)
    >>> example = Example(bidirectional(np.array([1, 5, 6, 7, 2]), marks_T=marks))       # two words, 5 6 and 7
    >>> copies = masked_copies(example, np.array([1, 2, 3]), 3, within_words=True)
    >>> copies.source.ids_T.reshape(3, 5).tolist(), copies.predict["lm"].at_MK.ravel().tolist()
    ([[1, 3, 3, 7, 2], [1, 5, 3, 7, 2], [1, 5, 6, 3, 2]], [1, 7, 13])
    """
    source, number = example.source, len(rows_M)
    length, marks_L = source.num_tokens, source.marks_T
    hidden_ML = np.arange(length) == rows_M[:, None]
    if within_words:
        word_L = np.cumsum(marks_L & WORD_START)
        is_later_ML = np.arange(length) > rows_M[:, None]
        hidden_ML |= is_later_ML & (word_L == word_L[rows_M, None]) & ~(marks_L & SPECIAL).astype(np.bool_)
    columns: dict[str, Any] = {name: np.tile(getattr(source, name), number) for name in TOKEN_FIELDS}
    columns["ids_T"] = np.where(hidden_ML, mask_id, source.ids_T).reshape(-1)
    copies = Stream(**columns, lengths_N=np.full(number, length, np.int64))
    at_MK = (rows_M + np.arange(number) * length)[:, None]
    return Example(copies, predict={LM: Targets(at_MK, source.ids_T[rows_M])})


def _log_probabilities(model: torch.nn.Module, batch: Example, scoring: Scoring) -> Tensor:
    """[M], in nats, in the order of the examples."""
    if scoring == "replaced-token":
        logits_M1: Tensor = model(batch, heads=[DISCRIMINATOR])[DISCRIMINATOR].float()
        return F.logsigmoid(-logits_M1[:, 0])
    logits_MV: Tensor = model(batch, heads=[LM])[LM].float()
    chosen_M = logits_MV.gather(1, batch.predict[LM].gold_M[:, None])[:, 0]
    return chosen_M - logits_MV.logsumexp(-1)
