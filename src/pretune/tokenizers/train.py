"""`train_tokenizer`: one call for the seven algorithms, deterministic, measured on text it did not train on."""

import time
from dataclasses import replace

from pretune.core.errors import InputError
from pretune.text.documents import Documents
from pretune.tokenizers.pipelines import SPECIAL_TOKENS, Algorithm
from pretune.tokenizers.report import TokenizerReport, measure
from pretune.tokenizers.sentinels import add_sentinels
from pretune.tokenizers.source import HoldingOut, Source, read_texts
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.tokenizers.trainers import TRAINERS, Request
from pretune.tokenizers.word_counts import Progress


def train_tokenizer(
    source: Source,
    *,
    algorithm: Algorithm,
    vocab_size: int | None = None,
    lowercase: bool = False,
    strip_accents: bool | None = None,
    min_pair_count: int | None = None,
    min_word_count: int = 1,
    max_alphabet: int | None = None,
    sentinels: int = 0,
    documents: Documents = "line",
    heldout_fraction: float = 0.01,
    max_heldout_bytes: int = 8_000_000,
    progress: Progress | None = None,
) -> tuple[Tokenizer, TokenizerReport]:
    """Trains a tokenizer and measures it on held-out text. The same input and settings give the same tokenizer.

    source: texts (`str`), or files (`pathlib.Path`) that `text.documents.read_documents` cuts into `documents`.
    vocab_size: special tokens included; not needed for byte, and for char None is "every character".
    strip_accents: None does as `lowercase` does, as in BERT.
    min_pair_count: wordpiece, bpe, byte-bpe: join no pair seen less often; None: 2 for the bpes, falling for wordpiece
    (see `wordpiece.py`). min_word_count: wordpiece and word: leave out rarer words. max_alphabet: wordpiece, bpe, char:
    most frequent characters kept; None: 1,000, or more where these cover less than 99.95 % of the text (Chinese).
    sentinels: so many special tokens <extra_id_0>, <extra_id_1> ... that objectives put in place of spans (T5: 100).
    heldout_fraction: every round(1 / fraction)-th document is never trained on and gives the figures, up to
    `max_heldout_bytes` of them; 0 holds nothing out.
    progress: called with what is counted, how many are done and how many there will be (None: not known).
    InputError for empty input or settings that cannot be met.

    >>> texts = ["low lower lowest", "slow slower"] * 60
    >>> tokenizer, report = train_tokenizer(texts, algorithm="wordpiece", vocab_size=24)
    >>> tokenizer.vocab.size, report.held_out.unknown_rate
    (24, 0.0)
    """
    started = time.perf_counter()
    limits = (min_pair_count, min_word_count, max_alphabet)
    request = Request(algorithm, vocab_size, lowercase, strip_accents, *limits, progress, sentinels)
    split = HoldingOut(read_texts(source, documents), heldout_fraction, max_heldout_bytes)
    backend, report = TRAINERS[algorithm](request, split)
    add_sentinels(backend, sentinels)
    tokenizer = Tokenizer(backend, special_tokens=SPECIAL_TOKENS)
    if split.num_trained == 0 or tokenizer.vocab.size == request.num_special:
        raise InputError(_nothing(request, split))
    report = replace(
        report,
        vocab_size=tokenizer.vocab.size,
        num_documents=split.num_trained,
        num_heldout_documents=split.num_heldout,
        held_out=measure(tokenizer, split.held_out),
    )
    request.check_reached(tokenizer.vocab.size)
    return tokenizer, replace(report, warnings=_warnings(report), seconds=time.perf_counter() - started)


def _nothing(request: Request, split: HoldingOut) -> str:
    """Why there is nothing to learn a vocabulary of."""
    if split.num_trained and request.min_word_count > 1:
        return f"no word of the text occurs {request.min_word_count} times: lower min_word_count or give more text"
    return "there is no text to train a tokenizer on: the input is empty or nothing visible is left of it"


def _warnings(report: TokenizerReport) -> tuple[str, ...]:
    found = []
    if report.requested_size is not None and report.vocab_size < report.requested_size:
        found.append(
            f"the vocabulary has {report.vocab_size} pieces, not {report.requested_size}: "
            "the text has no more to learn with these settings"
        )
    if report.characters_left_out:
        found.append(f"{report.characters_left_out} characters of the text are beyond the alphabet and become unknown")
    if report.rare_words_left_out:
        found.append(
            f"{report.rare_words_left_out} occurrences of rare words were not looked at: "
            "the text has more different words than are held in memory"
        )
    if report.held_out is None:
        found.append("no text was held out, so fertility, unknown rate and bytes a piece are not known")
    return tuple(found)
