"""Translation: a text in one language to the same in another, scored by BLEU and chrF.

Trained with label smoothing of 0.1 (Vaswani et al. 2017, section 5.4). BLEU is sacrebleu's, on texts as they are; what
must be said for it to compare stands in the notes (Post 2018). Sources and targets are columns of one file; name them
with columns.source=de columns.target=en. One direction a model, unless sources carry a prefix of their own.
Not here: document-level scores, learned metrics, back-translation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, get_args

from pretune.core.errors import need_extra
from pretune.metrics.checks import FloatArray
from pretune.metrics.translation import (
    Tokenization,
    TranslationMetric,
    signature,
    translation_counts,
    translation_score,
)
from pretune.tasks.items import Items, of_sums
from pretune.tasks.nearest_source import target_of_nearest
from pretune.tasks.references import all_references, first_reference, source_of
from pretune.tasks.task import Prediction, Scores, chosen
from pretune.tasks.written import Written, written_texts
from pretune.text.records import Record

METRICS: tuple[TranslationMetric, ...] = get_args(TranslationMetric)


@dataclass(frozen=True)
class translate(Written):
    """source -> target, in another language.

    metric: bleu or chrf. tokenization: how BLEU cuts words (13a, intl, zh, char, none).

    >>> from pretune.core.assemble import Template
    >>> from pretune.tokenizers.tokenizer import Backend, Tokenizer
    >>> from tokenizers import models, pre_tokenizers
    >>> pieces = ["[UNK]", "[CLS]", "[SEP]", "ein", "hund", "a", "dog"]
    >>> backend = Backend(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    >>> backend.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = Tokenizer(backend)
    >>> record = Record({"source": "ein hund", "target": "a dog"})
    >>> example = translate().featurize(record, tokenizer, Template(tokenizer.special_ids), max_length=16)
    >>> example.source.ids_T.tolist(), example.predict["lm"].gold_M.tolist()
    ([1, 3, 4, 2, 5, 6], [5, 6, 2])
    >>> scores = translate().score([{"target": "a dog"}], [record])
    >>> scores["chrf"], scores["repetition"]
    (1.0, 0.0)
    """

    metric: str = "bleu"
    label_smoothing: float = 0.1
    tokenization: Tokenization = "13a"

    metrics: ClassVar[tuple[str, ...]] = METRICS

    def __post_init__(self) -> None:
        super().__post_init__()
        chosen("tokenization", self.tokenization, get_args(Tokenization))
        need_extra("sacrebleu", "generation")

    @property
    def notes(self) -> tuple[str, ...]:
        """What sacrebleu says of how it scores."""
        return (*super().notes, f"bleu is sacrebleu's: {signature('bleu', self.tokenization)}")

    def remarks(self, records: Sequence[Record]) -> tuple[str, ...]:
        """What one must know of the references: several a text, or tokenised ones."""
        golds = all_references(records)
        told: tuple[str, ...] = ()
        if (most := max(map(len, golds), default=1)) > 1:
            told += (f"up to {most} references a text: scores do not compare with those of one",)
        cut = sum(each[0].endswith(" .") for each in golds)
        if cut * 2 > len(golds) and self.tokenization != "none":
            told += (f"{cut:,} of {len(golds):,} references end in ' .': BLEU is meant for texts as they are written",)
        return told

    def scores_of(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """Of all texts together, not their mean."""
        return {
            name: float(translation_score(name)(self._counts(name, predictions, records).sum(0))) for name in METRICS
        }

    def items(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        """The items are texts."""
        name = METRICS[METRICS.index(self.metric)]
        return of_sums(self._counts(name, predictions, records), translation_score(name))

    def _counts(
        self, name: TranslationMetric, predictions: Sequence[Prediction], records: Sequence[Record]
    ) -> FloatArray:
        return translation_counts(name, all_references(records), written_texts(predictions), self.tokenization)

    def baseline_predictions(self, train: Sequence[Record], test: Sequence[Record]) -> dict[str, list[Prediction]]:
        """copy: the source as it is; nearest-source: the translation of the training source that is most like it."""
        copies = [source_of(record).strip() for record in test]
        nearest = target_of_nearest(train, test, source_of, first_reference)
        return {
            name: [{"target": text} for text in texts]
            for name, texts in (("copy", copies), ("nearest-source", nearest))
        }
