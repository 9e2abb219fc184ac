"""What is wrong with a corpus, and with the samples that an objective makes of it, before a run spends hours on them.

[UNK], the lengths of documents, repeated sentences, the share held out; masks that cover nothing, lengths that no
sample reaches. Unigram counts and document ends are on disk; sentences are hashed, of a corpus of more than
`MAX_HASHED` tokens in blocks that are spread evenly over it, and the share that was looked at is said. Each limit has
its reason beside it; healthy corpora of prose stay clear of all of them.

Not here: near duplicates, and what is wrong with the text itself (languages, markup).
Dimensions: T tokens, S sentences, D documents.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pretune.core.marks import SPECIAL
from pretune.core.problem import Problem
from pretune.corpus.samples import PretrainingSource
from pretune.corpus.store import Corpus
from pretune.objectives.selectors import Budget

MAX_UNKNOWN = 0.01
"""A vocabulary trained on the text itself leaves about 0.1 % of its tokens; one for another script leaves most."""
SHORT_DOCUMENT = 32
"""Tokens. An English sentence has about 25 pieces: documents below this are single sentences."""
MAX_IN_SHORT = 0.5
"""Share of the tokens that may stand in short documents: chats and captions have some, a list of sentences has all."""
LONG_SENTENCE = 8
"""Tokens. Shorter ones ("Yes, sir.") repeat in any novel."""
MAX_REPEATED = 0.05
"""Share of the tokens that may stand in long sentences that came before: of novels it is well below 1 %; Lee et al.
2022 found copied text to be what models then recite."""
MOST_OFF = 2
"""So many times the share that was asked for may be held out, or it as many times that: whole documents and sentences
give it within a half, but where there are few of them."""
MAX_HASHED, NUM_BLOCKS = 1 << 24, 64
NUM_SAMPLES = 256
MAX_UNMASKED = 0.01
"""Share of samples in which nothing is predicted; a sample of one ordinary token has one masked."""
LEAST_COVERED = 0.5
"""Of the masking rate that was asked for. Whole words and spans keep to the rate within a tenth."""
LEAST_REACHED = 0.5
"""Of max_length that the longest sample must reach: positions behind it have no gradient."""


def corpus_problems(corpus: Corpus) -> list[Problem]:
    """What is wrong with a split of a corpus."""
    found = [_unknown(corpus), _short_documents(corpus), _repeated(corpus), _held_out(corpus)]
    return [problem for problem in found if problem is not None]


def sample_problems(source: PretrainingSource) -> list[Problem]:
    """What is wrong with the samples of a corpus under an objective, by some of them spread evenly over it."""
    number = min(len(source), NUM_SAMPLES)
    chosen = np.linspace(0, len(source) - 1, number).astype(int)
    examples = [source.example(int(index), 0) for index in chosen]
    longest = max(int(stream.lengths_N.max()) for example in examples for stream in (example.source, example.read))
    found = [_masks(source, examples), _unreached(source, longest, number)]
    return [problem for problem in found if problem is not None]


def percent(share: float) -> str:
    """
    >>> percent(0.1234), percent(0.0004)
    ('12 %', '0.04 %')
    """
    return f"{100 * share:.2g} %"


def _unknown(corpus: Corpus) -> Problem | None:
    unk_id = corpus.vocab.unk_id
    share = 0.0 if unk_id is None else int(corpus.unigram_counts[unk_id]) / max(corpus.num_tokens, 1)
    if share <= MAX_UNKNOWN:
        return None
    return Problem(
        "unknown tokens",
        f"{percent(share)} of the tokens are [UNK] (the limit is {percent(MAX_UNKNOWN)})",
        "nothing is learnt of what [UNK] stands for, and it is never masked",
        "train a tokenizer on this text (`pretune tokenizer train`), without a limit that leaves characters out, or "
        "with --algorithm byte-bpe, which has no [UNK]; then build the corpus with it",
    )


def _short_documents(corpus: Corpus) -> Problem | None:
    lengths_D = np.diff(corpus.document_starts)
    is_short_D = lengths_D < SHORT_DOCUMENT
    share = int(lengths_D[is_short_D].sum()) / max(corpus.num_tokens, 1)
    if share <= MAX_IN_SHORT:
        return None
    return Problem(
        "short documents",
        f"{percent(share)} of the tokens stand in documents of fewer than {SHORT_DOCUMENT} tokens (there are "
        f"{len(lengths_D):,}, {float(lengths_D.mean()):.1f} tokens each on average)",
        "a sample ends with its document, so the model sees single sentences without context, and objectives of two "
        "sentences find no second one",
        "what ends a document: `corpus build --documents blank-line` or `file` instead of `line`, or join lines that "
        "belong together; where texts are this short, objective.name=full_sentences+mlm crosses their borders",
    )


@dataclass(frozen=True, eq=False)
class Sentences:
    """Hashes, lengths and places of the long sentences that were looked at; num_tokens: of all of them, short ones
    too."""

    hash_S: NDArray[np.uint64]
    length_S: NDArray[np.int64]
    start_S: NDArray[np.int64]
    num_tokens: int


def _repeated(corpus: Corpus) -> Problem | None:
    looked = hashed_sentences(corpus)
    if not len(looked.hash_S):
        return None
    _, first_U, inverse_S, times_U = np.unique(
        looked.hash_S, return_index=True, return_inverse=True, return_counts=True
    )
    is_repeat_S = np.ones(len(looked.hash_S), np.bool_)
    is_repeat_S[first_U] = False
    share = int(looked.length_S[is_repeat_S].sum()) / looked.num_tokens
    if share <= MAX_REPEATED:
        return None
    most = int(np.argmax(times_U * looked.length_S[first_U]))
    start, length = int(looked.start_S[first_U[most]]), int(looked.length_S[first_U[most]])
    shown = " ".join(corpus.tokenizer.decode(corpus.ids(start, start + min(length, 20))).split())
    part = looked.num_tokens / corpus.num_tokens
    of = "" if part == 1 else f" (of {percent(part)} of the corpus that was looked at)"
    return Problem(
        "duplicate lines",
        f"{percent(share)} of the tokens{of} stand in sentences of {LONG_SENTENCE} tokens or more that came before "
        f"(the limit is {percent(MAX_REPEATED)}); the most: {times_U[most]:,} times {shown[:60]!r}",
        "what is repeated is learnt by heart, takes the place of other text, and may stand in the validation part too, "
        "whose loss then looks better than it is",
        "leave repeated lines and documents out of the files before `corpus build` (licences, menus, copies of a file)",
    )


def hashed_sentences(corpus: Corpus, max_tokens: int = MAX_HASHED) -> Sentences:
    """The long sentences of a corpus, or of evenly spread blocks of it of about `max_tokens` in all."""
    hashes, lengths, starts, num_tokens = [], [], [], 0
    for start_S, end_S in _blocks(corpus, max_tokens):
        begin, end = int(start_S[0]), int(end_S[-1])
        hash_S = sequence_hashes(corpus.ids(begin, end), start_S - begin)
        is_long_S = end_S - start_S >= LONG_SENTENCE
        hashes.append(hash_S[is_long_S])
        lengths.append((end_S - start_S)[is_long_S])
        starts.append(start_S[is_long_S])
        num_tokens += end - begin
    return Sentences(np.concatenate(hashes), np.concatenate(lengths), np.concatenate(starts), num_tokens)


def _blocks(corpus: Corpus, max_tokens: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(starts, ends) of neighbouring sentences, a block at a time."""
    starts_S, total = corpus.sentence_starts, corpus.num_tokens
    size = max(1, max_tokens // NUM_BLOCKS)
    places = range(0, total, size) if total <= max_tokens else np.linspace(0, total - size, NUM_BLOCKS).astype(int)
    last = 0
    for place in places:
        first = max(int(np.searchsorted(starts_S, place)), last)
        last = int(np.searchsorted(starts_S, place + size))
        if last > first:
            block_S = np.asarray(starts_S[first : last + 1])
            yield block_S[: last - first], np.append(block_S[1:], total)[: last - first]


def sequence_hashes(ids_T: NDArray[Any], starts_S: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A 64-bit hash of each sequence: the sum of its tokens' mixed with their places (the finaliser of splitmix64).

    >>> a, b, c = sequence_hashes(np.array([5, 6, 7, 5, 6, 6, 5]), np.array([0, 3, 5])).tolist()
    >>> again = sequence_hashes(np.array([5, 6]), np.array([0])).tolist()
    >>> [b] == again, len({a, b, c})
    (True, 3)
    """
    lengths_S = np.diff(np.append(starts_S, len(ids_T)))
    place_T = np.arange(len(ids_T)) - np.repeat(starts_S, lengths_S)
    mixed_T = ids_T.astype(np.uint64) + (place_T.astype(np.uint64) << np.uint64(32)) + np.uint64(0x9E3779B97F4A7C15)
    mixed_T = (mixed_T ^ (mixed_T >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed_T = (mixed_T ^ (mixed_T >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed_T ^= mixed_T >> np.uint64(31)
    return np.add.reduceat(mixed_T, starts_S)


def _held_out(corpus: Corpus) -> Problem | None:
    """Of the whole corpus, whichever split is looked at."""
    wanted = float(corpus.manifest["request"].get("valid_fraction", 0))
    tokens = {name: split["tokens"] for name, split in corpus.manifest["splits"].items()}
    share = tokens.get("valid", 0) / max(sum(tokens.values()), 1)
    if wanted == 0 or wanted / MOST_OFF <= share <= wanted * MOST_OFF:
        return None
    return Problem(
        "held-out share",
        f"{percent(share)} of the tokens are held out for validation, where {percent(wanted)} are asked for",
        "what is held out is not trained on, and of little held-out text the validation loss is uncertain",
        "the text is too small, or has too few documents and sentences, for this share: give more text, see what ends "
        "a document (`corpus build --documents`), or ask for a share that it can give (--valid-fraction)",
    )


def _masks(source: PretrainingSource, examples: Sequence[Any]) -> Problem | None:
    rate = masking_rate(source.objective)
    if rate is None:
        return None
    masked_E = np.array([len(example.predict["lm"]) if "lm" in example.predict else 0 for example in examples])
    num_tokens = sum(int((example.source.marks_T & SPECIAL == 0).sum()) for example in examples)
    share, without = int(masked_E.sum()) / max(num_tokens, 1), int((masked_E == 0).sum())
    if share >= LEAST_COVERED * rate and without <= MAX_UNMASKED * len(examples):
        return None
    return Problem(
        "masks",
        f"the masks cover {percent(share)} of the tokens, where {percent(rate)} are asked for, and in "
        f"{without:,} of {len(examples):,} samples nothing is masked",
        "only masked tokens teach: a step costs the same and says less, or nothing",
        "raise objective.max_predictions (or leave it out) and objective.masking_rate; where samples have no mask, see "
        "whether they are short or full of [UNK]",
    )


def masking_rate(objective: Any) -> float | None:
    """The masking rate that an objective, or a part of it, is to have at the start; None where nothing is masked."""
    for part in (objective, *getattr(objective, "parts", ())):
        budget = getattr(getattr(part, "select", None), "budget", None)
        if isinstance(budget, Budget):
            return budget.rate
    return None


def _unreached(source: PretrainingSource, longest: int, number: int) -> Problem | None:
    if longest >= LEAST_REACHED * source.max_length:
        return None
    return Problem(
        "max_length",
        f"the longest of {number:,} samples has {longest} tokens, and max_length is {source.max_length}",
        "positions that no sample reaches are not trained, so the model will not work there",
        f"max_length={longest} is enough, or longer documents (`corpus build --documents`), or "
        "objective.name=full_sentences+mlm, whose samples cross documents",
    )
