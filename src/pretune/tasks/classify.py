"""Classification of one text, into one of several classes or any number of them: sentiment, topic, question type.

The family's sequence head reads the summary row ([CLS]; Devlin et al. 2019, section 3.2), or all rows (`pooling`);
cross-entropy. A text that is too long loses its tail, counted, or is read in windows (`windows`). Any number of labels
a text: `multi_label`. Not here: labels that have an order or a hierarchy.
"""

from dataclasses import dataclass

from pretune.tasks.classes import Classes


@dataclass(frozen=True)
class classify(Classes):
    """text -> label.

    >>> from pretune.core.assemble import Template
    >>> from pretune.text.records import Record
    >>> from pretune.tokenizers.tokenizer import Backend, Tokenizer
    >>> from tokenizers import models, pre_tokenizers
    >>> pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "film"]
    >>> backend = Backend(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    >>> backend.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = Tokenizer(backend)
    >>> records = [Record({"text": "good film", "label": "pos"}), Record({"text": "bad film", "label": "neg"})]
    >>> task = classify().fit_labels(records)
    >>> task.labels
    ('neg', 'pos')
    >>> example = task.featurize(records[0], tokenizer, Template(tokenizer.special_ids), max_length=8)
    >>> example.source.ids_T.tolist(), example.predict["sequence"].gold_M.tolist()
    ([2, 4, 6, 3], [1])
    >>> import torch
    >>> task.decode({"sequence": torch.tensor([[0.0, 1.0986]])}, example, records[:1])[0]["label"]
    'pos'
    >>> task.score([{"label": "pos"}, {"label": "pos"}], records)["accuracy"]
    0.5
    """
