"""TaskSource: the labelled records of a task as numbered training samples (train's `Source`), featurized once."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from pretune.core.assemble import Template
from pretune.core.stream import Example
from pretune.tasks.task import Task
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Tokenizer


class TaskSource:
    """Records as Examples, kept in memory. `origin_E` of each is its number.

    num_truncated: records of which something did not fit in `max_length`; num_cut: tokens left out in all.
    num_empty: records with a text of nothing but white space.
    Raises InputError for labels that are missing or that the task does not know, and for texts that are missing.
    """

    def __init__(
        self,
        task: Task,
        records: Sequence[Record],
        tokenizer: Tokenizer,
        template: Template,
        max_length: int,
        *,
        labelled: bool = True,
    ) -> None:
        if labelled:
            task.check_training(records)
        self.task, self.records = task, list(records)
        self.tokenizer, self.template, self.max_length = tokenizer, template, max_length
        examples = task.featurize_all(self.records, tokenizer, template, max_length, labelled=labelled)
        self.examples = [replace(example, origin_E=np.array([number])) for number, example in enumerate(examples)]
        self.mixture = task.mixture(self.records) if labelled else None
        self._settings = [repr(task), tokenizer.fingerprint, repr(template), max_length, labelled]

    def __len__(self) -> int:
        return len(self.examples) if self.mixture is None else len(self.mixture)

    def example(self, number: int, epoch: int, progress: float) -> Example:
        """The same Example in every epoch, for fine-tuning has no randomness in its data but the order; of a mixture
        the one whose turn it is."""
        return self.examples[number if self.mixture is None else self.mixture.record(number, epoch)]

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the task, its settings, the tokenizer and the records."""
        digest = hashlib.sha256(json.dumps(self._settings).encode())
        for record in self.records:
            digest.update(json.dumps(record, sort_keys=True, default=str).encode() + b"\n")
        return digest.hexdigest()

    @property
    def num_truncated(self) -> int:
        return sum(example.num_cut > 0 for example in self.examples)

    @property
    def num_cut(self) -> int:
        return sum(example.num_cut for example in self.examples)

    @property
    def num_empty(self) -> int:
        texts = [[record.get(name) for name in ("text", "text_b")] for record in self.records]
        return sum(any(isinstance(text, str) and not text.strip() for text in row) for row in texts)
