"""What a task shares that reads each text by itself, as a sequence of its own, and compares their vectors.

A record is one Example of as many sequences as it has texts, all of one group and numbered by `given_M`. Texts that are
too long lose their tail, counted. The vector of a text: `nn/siamese.py`.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from torch import nn

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.core.stream import Example, Span
from pretune.families.family import HeadSpec
from pretune.nn.siamese import EmbeddingHead
from pretune.tasks.task import Task, chosen
from pretune.tasks.texts import pooling_of, read_sequences, room_for
from pretune.tasks.whole_texts import head_pooling
from pretune.tokenizers.tokenizer import Tokenizer

VectorPooling = Literal["mean", "cls", "max"]
GoldOf = Callable[[Sequence[Span]], Sequence[int | float]]
"""From the texts of a record, as they are read, to a gold value of each."""


@dataclass(frozen=True)
class TextVectors(Task):
    """pooling: mean, cls or max of the last layer's rows. normalize: vectors have length 1. None: as the model's files
    have it, else mean and not normalized; set by `suit` where that is something else."""

    pooling: VectorPooling | None = None
    normalize: bool | None = None

    head: ClassVar[str] = "embedding"

    def __post_init__(self) -> None:
        if self.pooling is not None:
            chosen("pooling", self.pooling, get_args(VectorPooling))

    @property
    def head_spec(self) -> HeadSpec:
        return HeadSpec("embedding", pooling=head_pooling(self.pooling), normalize=self.normalize)

    def heads(self, body: Any) -> dict[str, nn.Module]:
        how: Any = head_pooling(self.pooling or "mean")
        return {self.head: EmbeddingHead(how, bool(self.normalize))}

    def suit(self, model: Any) -> Self:
        found: dict[str, Any] = {
            "pooling": pooling_of(model, self.head),
            "normalize": model.heads[self.head].normalize,
        }
        for name, asked in (("pooling", self.pooling), ("normalize", self.normalize)):
            if asked is not None and asked != found[name]:
                raise InputError(
                    f"the model's vectors have {name}={found[name]}, and task.{name}={asked} was asked for: it is "
                    "chosen when the model is fine-tuned (pretune finetune)"
                )
        pooling = self.pooling or (None if found["pooling"] == "mean" else found["pooling"])
        return replace(self, pooling=pooling, normalize=found["normalize"] or self.normalize)

    def _featurize(
        self, texts: Sequence[str], gold_of: GoldOf | None, tokenizer: Tokenizer, template: Template, max_length: int
    ) -> Example:
        """A sequence of at most `max_length` tokens for each text. The record counts once: its first row has weight 1
        and the others have none."""
        room = room_for(template, 1, max_length)
        spans: list[Span] = []
        num_cut = 0
        for text in texts:
            pieces, length = tokenizer.encode_start(text, room)
            spans.append(pieces.span(0, min(length, room)))
            num_cut += max(length - room, 0)
        example = read_sequences([[span] for span in spans], self.head, template, self.pooling or "mean")
        targets = example.predict[self.head]
        weight_M = np.zeros(len(targets), np.float32)
        weight_M[0] = 1.0
        gold_M = None
        if gold_of is not None:
            gold_M = np.array(gold_of(spans))[np.asarray(targets.given_M)]
            gold_M = gold_M.astype(np.float32) if gold_M.dtype.kind == "f" else gold_M
        targets = replace(targets, gold_M=gold_M, weight_M=weight_M)
        return replace(example, predict={self.head: targets}, num_cut=num_cut)


def identity(span: Span) -> int:
    """A number that stands for a text as the model reads it."""
    digest = hashlib.blake2b(np.asarray(span.ids_P, "<i4").tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
