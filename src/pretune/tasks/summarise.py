"""Summarisation: a text to a shorter one, scored by ROUGE.

Beside the scores stands how far summaries are in words of their own: `own_4grams`, the share of 4-grams that the source
does not have (See et al. 2017, figure 6). ROUGE is rouge-score's (`metrics/rouge.py`), which reads English letters
alone; of several references the best counts. Not here: factuality, sources longer than the model reads (their tail is
left out, counted).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pretune.core.errors import need_extra
from pretune.metrics.intervals import ratio_of_sums
from pretune.metrics.novelty import novelty_beside
from pretune.metrics.rouge import ROUGES, rouge_values, unread_letters
from pretune.tasks.items import Items, of_sums
from pretune.tasks.nearest_source import target_of_nearest
from pretune.tasks.references import all_references, first_reference, source_of
from pretune.tasks.task import Prediction, Scores
from pretune.tasks.written import Written, written_texts
from pretune.text.records import Record
from pretune.text.sentences import split_sentences

MANY_UNREAD = 0.05


@dataclass(frozen=True)
class summarise(Written):
    """source -> target, shorter.

    metric: rouge1, rouge2, rougeL or rougeLsum.

    >>> from pretune.core.assemble import Template
    >>> from pretune.tokenizers.tokenizer import Backend, Tokenizer
    >>> from tokenizers import models, pre_tokenizers
    >>> pieces = ["[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "down", "there"]
    >>> backend = Backend(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    >>> backend.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = Tokenizer(backend)
    >>> record = Record({"source": "the cat sat down there", "target": ["the cat sat", "cat sat down"]})
    >>> example = summarise().featurize(record, tokenizer, Template(tokenizer.special_ids), max_length=16)
    >>> example.source.ids_T.tolist(), example.predict["lm"].gold_M.tolist()
    ([1, 3, 4, 5, 6, 7, 2, 3, 4, 5], [3, 4, 5, 2])
    >>> scores = summarise().score([{"target": "a cat sat down"}], [record])          # 3 of 4 words, and of 3
    >>> round(scores["rouge1"], 3), scores["own_4grams"]
    (0.857, 1.0)
    """

    metric: str = "rouge1"

    metrics: ClassVar[tuple[str, ...]] = ROUGES

    def __post_init__(self) -> None:
        super().__post_init__()
        need_extra("rouge_score", "generation")

    @property
    def notes(self) -> tuple[str, ...]:
        return (*super().notes, "own_4grams: share of 4-grams that are not in the source")

    def remarks(self, records: Sequence[Record]) -> tuple[str, ...]:
        """Says when ROUGE does not read the letters of the references."""
        share = unread_letters([text for each in all_references(records) for text in each])
        if share <= MANY_UNREAD:
            return ()
        return (f"ROUGE reads a to z and 0 to 9 alone: it leaves out {share:.0%} of the references' letters.",)

    def scores_of(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """Means over texts."""
        texts = written_texts(predictions)
        means = rouge_values(all_references(records), texts).mean(0)
        own = novelty_beside(texts, [source_of(record) for record in records])
        return {name: float(mean) for name, mean in zip(ROUGES, means, strict=True)} | {"own_4grams": own}

    def items(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        """The items are texts."""
        values = rouge_values(all_references(records), written_texts(predictions))[:, ROUGES.index(self.metric)]
        return of_sums(np.stack([values, np.ones_like(values)], -1), ratio_of_sums)

    def baseline_predictions(self, train: Sequence[Record], test: Sequence[Record]) -> dict[str, list[Prediction]]:
        """first-sentence of the source; nearest-source: the summary of the training source that is most like it."""
        first = [first_sentence(source_of(record)) for record in test]
        nearest = target_of_nearest(train, test, source_of, first_reference)
        found = (("first-sentence", first), ("nearest-source", nearest))
        return {name: [{"target": text} for text in texts] for name, texts in found}


def first_sentence(text: str) -> str:
    """The text up to the end of its first sentence."""
    spans = split_sentences(text)
    return text[slice(*spans[0])].strip() if spans else text.strip()
