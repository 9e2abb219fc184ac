"""Classification of two texts: paraphrase, entailment, question and answer.

Both texts in one sequence as the family's template puts them ([CLS] A [SEP] B [SEP]; Devlin et al. 2019, section 3.2).
Where they are too long the longer one is cut first (`texts.py`), counted, or read in windows. Settings: `Classes`.
Not here: two encoders (siamese).
"""

from dataclasses import dataclass
from typing import ClassVar

from pretune.tasks.classes import Classes


@dataclass(frozen=True)
class pair(Classes):
    """text, text_b -> label.

    >>> from pretune.core.assemble import Template
    >>> from pretune.text.records import Record
    >>> from pretune.tokenizers.tokenizer import Backend, Tokenizer
    >>> from tokenizers import models, pre_tokenizers
    >>> pieces = ["[UNK]", "[CLS]", "[SEP]", "a", "cat", "sat"]
    >>> backend = Backend(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    >>> backend.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = Tokenizer(backend)
    >>> record = Record({"text": "a cat sat", "text_b": "a cat", "label": True})
    >>> task = pair(labels=("false", "true"), metric="f1")
    >>> example = task.featurize(record, tokenizer, Template(tokenizer.special_ids), max_length=7)
    >>> example.source.ids_T.tolist(), example.num_cut                             # "sat" did not fit
    ([1, 3, 4, 2, 3, 4, 2], 1)
    >>> example.source.segment_ids_T.tolist(), example.predict["sequence"].gold_M.tolist()
    ([0, 0, 0, 0, 1, 1, 1], [1])
    """

    columns: ClassVar[tuple[str, ...]] = ("text", "text_b")
