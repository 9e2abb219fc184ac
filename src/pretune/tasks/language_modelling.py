"""Language modelling: how probable a model finds texts, a token, a word and a byte, and training on them.

Perplexity a token is what a model is trained for and compares only between models of one tokenizer. Perplexity a word
(nats over words between white space) and bits a byte of UTF-8 compare across tokenizers, as long as these keep the
text: one that drops case or spaces has less to say, and a piece [UNK] hides what it stands for. So `unknown_rate`
(share of pieces) and `text_kept` (share of texts that their pieces give back exactly) are reported beside them.

Long texts are read through a sliding window (`text_windows.py`); in training its parts lie end to end, each a sample.
The text's end is not predicted. A line of a .txt file is a text of its own: running text is given as JSONL, a document
each. Larger is better of the main metric, as of every task: it is the geometric mean of the probability of a byte, word
or token, the inverse of its perplexity.

Compared with n-grams of bytes (`byte_ngrams.py`), whose tokens are bytes. Not here: masked models' pseudo-perplexity
(`evaluate/likelihood.py` scores sentences by it); a cache or dynamic evaluation over documents.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pretune.core.assemble import Template
from pretune.core.errors import InputError, RunError
from pretune.core.loss import Loss, cross_entropy
from pretune.core.pack import cut_by_tokens, pack
from pretune.core.stream import Batch, Example
from pretune.families.family import HeadSpec
from pretune.metrics.checks import FloatArray
from pretune.metrics.intervals import ratio_of_sums
from pretune.metrics.perplexity import bits_per_byte, perplexity
from pretune.tasks.byte_ngrams import ByteNgrams
from pretune.tasks.items import Items, of_sums
from pretune.tasks.task import Featurized, Prediction, Scores, Task, chosen
from pretune.tasks.text_windows import first_is_read_only, windows_of_text
from pretune.tasks.texts import text_of
from pretune.text.contents import Contents
from pretune.text.records import Record
from pretune.tokenizers.pieces import Pieces
from pretune.tokenizers.tokenizer import Tokenizer

METRICS = {"byte_probability": "bytes", "word_probability": "words", "token_probability": "tokens"}
"""Metric -> what it is a mean over."""
MAX_LOGITS = 1 << 26
"""Logits of a batch: 256 MiB."""
FEW = 10
WINDOWS = 256
"""So many are held at once; they are sorted by length and cut in batches."""


@dataclass(frozen=True)
class language_modelling(Task):
    """text -> its probability.

    metric: the main one. stride: tokens from one window to the next when texts are scored; None: half of the longest
    sequence. A smaller one gives tokens more to go by, and takes longer.

    >>> import math
    >>> from pretune.tokenizers.tokenizer import Backend
    >>> from tokenizers import models, pre_tokenizers
    >>> pieces = ["[UNK]", "[CLS]", "[SEP]", "we", "ran", "home"]
    >>> backend = Backend(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    >>> backend.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = Tokenizer(backend)
    >>> template, record = Template(tokenizer.special_ids), Record({"text": "we ran home"})
    >>> example = language_modelling().featurize(record, tokenizer, template, max_length=8)
    >>> example.source.ids_T.tolist(), example.predict["lm"].gold_M.tolist()
    ([1, 3, 4, 5], [3, 4, 5])
    >>> said = [{"nats": 6 * math.log(2), "tokens": 3, "words": 3, "bytes": 11, "unknown": 0, "kept": True}]
    >>> scores = language_modelling().score(said, [record])
    >>> round(scores["perplexity"], 6), round(scores["bits_per_byte"], 6)        # 2 bits a word: 6 in 11 bytes
    (4.0, 0.545455)
    """

    metric: str = "byte_probability"
    stride: int | None = None

    head: ClassVar[str] = "lm"
    unit: ClassVar[str] = "texts"
    columns: ClassVar[tuple[str, ...]] = ("text",)

    def __post_init__(self) -> None:
        chosen("metric", self.metric, tuple(METRICS))
        if self.stride is not None and (type(self.stride) is not int or self.stride < 1):
            raise InputError(f"stride={self.stride!r}: give a whole number of at least 1")

    @property
    def main_metric(self) -> str:
        return self.metric

    @property
    def head_spec(self) -> HeadSpec:
        return HeadSpec("lm")

    @property
    def scores_untuned(self) -> bool:
        return True

    @property
    def notes(self) -> tuple[str, ...]:
        return (
            "perplexity is a token's and compares within one tokenizer; word_perplexity and bits_per_byte compare "
            "across tokenizers where text_kept is 1 and unknown_rate 0",
            "the tokens of byte n-grams are bytes",
        )

    def remarks(self, records: Sequence[Record]) -> tuple[str, ...]:
        """Says when there are too few texts for an interval over them."""
        if len(records) >= FEW:
            return ()
        return (f"only {len(records)} texts: an interval over so few says little; cut the file into more records",)

    def fit_labels(self, records: Sequence[Record]) -> Self:
        self.check(records)
        return self

    def check(self, records: Sequence[Record]) -> None:
        """InputError where a text is missing or has no words."""
        for record in records:
            if not text_of(record, "text").strip():
                raise record.error("the text is empty", "fill it in, or leave the record out")

    def contents(self, record: Record) -> Contents:
        text = record.get("text")
        return Contents((text if isinstance(text, str) else None,), (), "texts")

    def suit(self, model: Any) -> Self:
        """InputError for a model that does not predict the next token."""
        refuse_unless_generating(model)
        return self

    def featurize(
        self, record: Record, tokenizer: Tokenizer, template: Template, max_length: int, *, labelled: bool = True
    ) -> Example:
        """All windows of the text in one Example; nothing is cut off."""
        pieces = tokenizer.encode(text_of(record, "text"))
        parts = list(self._windows(record, pieces, template, max_length, labelled))
        return parts[0] if len(parts) == 1 else pack(parts)

    def featurize_all(
        self,
        records: Sequence[Record],
        tokenizer: Tokenizer,
        template: Template,
        max_length: int,
        *,
        labelled: bool = True,
    ) -> Iterator[Example]:
        """For training, each window by itself: a book is many samples. For scoring, the first window of each text: all
        of them would fill the memory, and `said` makes them as it goes."""
        for record in records:
            pieces = tokenizer.encode(text_of(record, "text"))
            yield from islice(self._windows(record, pieces, template, max_length, labelled), None if labelled else 1)

    def _windows(
        self, record: Record, pieces: Pieces, template: Template, max_length: int, labelled: bool
    ) -> Iterator[Example]:
        stride = None if labelled else self.stride or max(1, max_length // 2)
        if not len(pieces):
            raise record.error("the tokenizer leaves nothing of the text", "leave the record out")
        try:
            return windows_of_text(pieces.ids_P.astype(np.int64), template, max_length, stride)
        except ValueError as error:
            raise record.error(str(error), "leave the record out") from error

    def loss_of(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Loss]:
        """Cross-entropy in nats; the count is the predicted tokens."""
        return {self.head: cross_entropy(outputs[self.head], batch.predict[self.head])}

    def said(self, model: Any, source: Featurized, max_tokens: int) -> list[Prediction]:
        """{"nats", "tokens", "words", "bytes", "unknown", "kept"} of each record."""
        vocab_size: int = model.body.token_embedding.weight.shape[0]
        at_once = max(1, min(max_tokens, MAX_LOGITS // vocab_size))
        found: list[Prediction] = []
        parts = self._parts(source, found)
        while some := list(islice(parts, WINDOWS)):
            for numbers in cut_by_tokens([part.num_tokens for _, part in some], at_once):
                rows = [some[number] for number in numbers]
                nats_M = _nats(model, pack([part for _, part in rows]))
                ends = np.cumsum([len(part.predict[self.head]) for _, part in rows])
                for (number, _), nats in zip(rows, np.split(nats_M, ends[:-1]), strict=True):
                    found[number]["nats"] += float(nats.sum())
        if not np.isfinite([one["nats"] for one in found]).all():
            raise RunError("the model's outputs are not finite: training has diverged; lower optimizer.lr")
        return found

    def _parts(self, source: Featurized, found: list[Prediction]) -> Iterator[tuple[int, Example]]:
        """The windows of every record with its number; `found` gets what is known of it without the model."""
        for number, record in enumerate(source.records):
            text = text_of(record, "text")
            pieces = source.tokenizer.encode(text)
            is_read_only = first_is_read_only(source.template)
            rest = text[int(pieces.offsets_P2[0, 1]) :] if is_read_only else text
            ids_P = pieces.ids_P[int(is_read_only) :]
            facts = {"tokens": len(ids_P), "words": max(len(rest.split()), 1), "bytes": max(len(rest.encode()), 1)}
            unknown = int((ids_P == source.tokenizer.vocab.unk_id).sum())
            kept = source.tokenizer.decode(pieces.ids_P) == text
            found.append({"nats": 0.0, **facts, "unknown": unknown, "kept": kept})
            for part in self._windows(record, pieces, source.template, source.max_length, labelled=False):
                yield number, part

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """Means over all tokens, words and bytes of all texts, not over texts."""
        if not predictions:
            raise InputError("no texts: there is nothing to score")
        total = {key: sum(one[key] for one in predictions) for key in ("nats", *METRICS.values(), "unknown", "kept")}
        nats, mean = total["nats"], {name: perplexity(total["nats"], total[unit]) for name, unit in METRICS.items()}
        return {
            **{name: 1 / value for name, value in mean.items()},
            "perplexity": mean["token_probability"],
            "word_perplexity": mean["word_probability"],
            "bits_per_byte": bits_per_byte(nats, total["bytes"]),
            "unknown_rate": total["unknown"] / total["tokens"],
            "text_kept": total["kept"] / len(predictions),
        }

    def items(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        """The items are texts."""
        unit = METRICS[self.metric]
        counts = [(one["nats"], one[unit]) for one in predictions]
        return of_sums(counts, _inverse_perplexity)

    def baseline_predictions(self, train: Sequence[Record], test: Sequence[Record]) -> dict[str, list[Prediction]]:
        """byte-unigram: how often each byte is; byte-5-gram. Their tokens are bytes."""
        found = {}
        for name, order in (("byte-unigram", 1), ("byte-5-gram", 5)):
            model = ByteNgrams((text_of(record, "text") for record in train), order)
            found[name] = [_of_bytes(model, text_of(record, "text")) for record in test]
        return found


def refuse_unless_generating(model: Any) -> None:
    """InputError for a model that cannot write: its body sees both sides, or it has no language model's head."""
    if not model.body.config.generates:
        raise InputError(
            "this model reads both sides of a token, and cannot predict the next one: take a decoder (gpt2, llama) or "
            "an encoder-decoder (t5, bart), or pre-train with objective.name=causal_lm"
        )


def _inverse_perplexity(sums: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-ratio_of_sums(sums)))


@torch.inference_mode()
def _nats(model: Any, batch: Batch) -> FloatArray:
    """-log P [M] of each predicted token, in the order of the examples."""
    batch = batch.to(model.body.device)
    logits_MV = model(batch, heads=["lm"])["lm"].float()
    nats_M = F.cross_entropy(logits_MV, batch.predict["lm"].gold_M, reduction="none")
    return np.asarray(nats_M.double().cpu().numpy())


def _of_bytes(model: ByteNgrams, text: str) -> Prediction:
    size = len(text.encode())
    words = max(len(text.split()), 1)
    return {"nats": model.nats(text), "tokens": size, "words": words, "bytes": size, "unknown": 0, "kept": True}
