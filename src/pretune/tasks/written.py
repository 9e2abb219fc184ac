"""What tasks share whose answer is a text that a model writes: a source, and a target it is to become.

The model reads prefix + source and learns the target's tokens and the end behind them (`core.continuation`): a decoder
beside an encoder has the source in the encoder; a body of one stream goes on behind it. Answers are written as
`decode` does, greedily unless `generate` says otherwise.

Room: an answer has at most `max_target` pieces, of a body of one stream at most half of what fits beside the special
tokens, and the source the rest. What does not fit loses its tail, counted. Gold targets are never cut when they are
scored. A target may be a list of references: the first is trained on, all are scored against.

Not here: texts that are written for no source (`pretune generate`), and averaging several models' texts.

Dimensions: M predicted tokens, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from torch import Tensor

from pretune.core.assemble import Template
from pretune.core.config import resolve
from pretune.core.continuation import answering, asking
from pretune.core.errors import InputError
from pretune.core.loss import Loss, cross_entropy
from pretune.core.stream import Batch, Example, Span
from pretune.decode.generate import Writer
from pretune.decode.settings import Generation
from pretune.families.family import HeadSpec
from pretune.metrics.repetition import repetition
from pretune.tasks.references import references_of, source_of
from pretune.tasks.task import Featurized, Prediction, Scores, Task, chosen
from pretune.text.contents import Contents
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Tokenizer


@dataclass(frozen=True)
class Written(Task):
    """source -> target, both texts.

    prefix: stands before every source ("translate German to English: "). max_target: pieces of an answer.
    sees_prompt: a body of one stream sees the source from both sides (prefix LM); None: as it was pre-trained.
    generate: settings of `decode` (task.generate.num_beams=4). label_smoothing: share of a target's probability that
    is spread over the vocabulary in training.
    """

    prefix: str = ""
    max_target: int = 64
    sees_prompt: bool | None = None
    generate: dict[str, Any] = field(default_factory=dict)
    label_smoothing: float = 0.0
    metric: str = ""

    head: ClassVar[str] = "lm"
    unit: ClassVar[str] = "texts"
    columns: ClassVar[tuple[str, ...]] = ("source",)
    metrics: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        chosen("metric", self.metric, self.metrics)
        if type(self.max_target) is not int or self.max_target < 1:
            raise InputError(f"max_target={self.max_target!r}: give a whole number of at least 1")
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"label_smoothing={self.label_smoothing}: it must be at least 0 and below 1")
        if taken := {"max_new_tokens", "num_return_sequences", "prefix"} & set(self.generate):
            raise InputError(
                f"generate.{min(taken)}: a task writes one text a record, of at most max_target={self.max_target} "
                "pieces: set task.max_target"
            )
        self.generation(self.max_target)

    def generation(self, num_tokens: int) -> Generation:
        """How answers of so many tokens are written. InputError for settings that do not exist or go together."""
        return resolve(Generation, {**self.generate, "max_new_tokens": num_tokens})

    @property
    def main_metric(self) -> str:
        return self.metric

    @property
    def head_spec(self) -> HeadSpec:
        return HeadSpec("lm")

    @property
    def notes(self) -> tuple[str, ...]:
        """How texts were written, and what the figures about them are."""
        told = ", ".join(f"{name}={value}" for name, value in sorted(self.generate.items())) or "greedily"
        return (
            f"texts were written {told}, of at most {self.max_target} pieces; unfinished: share that reached that",
            "repetition: share of 4-grams that stood in the same text before",
        )

    def fit_labels(self, records: Sequence[Record]) -> Self:
        self.check(records)
        return self

    def check(self, records: Sequence[Record]) -> None:
        """InputError where a source or a target is missing, or a target is empty."""
        for record in records:
            source_of(record)
            references_of(record)

    def contents(self, record: Record) -> Contents:
        source = record.get("source", record.get("text"))
        target = record.get("target")
        texts = (source if isinstance(source, str) else None,)
        if target is None or target == "":
            return Contents(texts, (), "texts", labelled=False)
        return Contents(texts, tuple(target) if isinstance(target, list) else (target,), "texts")

    def suit(self, model: Any) -> Self:
        """The task for what this model reads a source as. InputError for one that writes no text, and for one that
        sees what stands before alone where sees_prompt is asked for."""
        config = model.body.config
        if not config.generates:
            raise InputError(
                "this model writes no text: take a decoder (gpt2, llama), an encoder-decoder (t5, bart), or pre-train "
                "with objective.name=causal_lm or prefix_lm"
            )
        if self.sees_prompt and config.reads_to_the_right:
            raise InputError("task.sees_prompt=true needs a model that was pre-trained with objective.name=prefix_lm")
        if self.sees_prompt is None and config.attention.prefix:
            return replace(self, sees_prompt=True)
        return self

    def text_before(self, record: Record) -> str:
        """What the model reads of a record."""
        return self.prefix + source_of(record)

    def featurize(
        self, record: Record, tokenizer: Tokenizer, template: Template, max_length: int, *, labelled: bool = True
    ) -> Example:
        source_room, target_room = rooms(template, max_length, self.max_target)
        text = self.text_before(record)
        targets = references_of(record) if labelled else []
        source, num_source = _first_pieces(text, tokenizer, source_room)
        how = {"sees_prompt": bool(self.sees_prompt)}
        if not labelled:
            example = asking(source, template, tokenizer.vocab, **how)
            return replace(example, num_cut=num_source - len(source))
        target, num_target = _first_pieces(targets[0].strip(), tokenizer, target_room)
        example = answering(source, target, template, tokenizer.vocab, **how)
        return replace(example, num_cut=num_source - len(source) + num_target - len(target))

    def loss_of(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Loss]:
        """Cross-entropy in nats; the count is the tokens of the targets, their ends included."""
        return {self.head: cross_entropy(outputs[self.head], batch.predict[self.head], self.label_smoothing)}

    def said(self, model: Any, source: Featurized, max_tokens: int) -> list[Prediction]:
        """{"target": what was written, "unfinished": whether it was still going on at max_target} for each record."""
        _, target_room = rooms(source.template, source.max_length, self.max_target)
        writer = Writer.of(model, source.tokenizer, source.template, {}, None)
        settings = self.generation(target_room + 1 + len(writer.lead))
        found = [texts[0] for texts in writer.write(source.examples, settings)]
        told = self.texts_of([one.text.strip() for one in found], [_ids(one.ids, writer.lead) for one in found], source)
        return [{"target": text, "unfinished": one.ended_by == "length"} for text, one in zip(told, found, strict=True)]

    def texts_of(self, texts: Sequence[str], ids: Sequence[tuple[int, ...]], source: Featurized) -> list[str]:
        """What counts as written, given the texts and their ids."""
        return list(texts)

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """The task's own scores, and of all written texts how much they repeat themselves and how many had no end."""
        if not predictions:
            raise InputError("no texts: there is nothing to score")
        unfinished = sum(bool(one.get("unfinished")) for one in predictions) / len(predictions)
        more = {"repetition": repetition(written_texts(predictions)), "unfinished": unfinished}
        return self.scores_of(predictions, records) | more

    def scores_of(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """The task's own scores."""
        raise NotImplementedError(type(self).__name__)


def _ids(ids: tuple[int, ...], lead: tuple[int, ...]) -> tuple[int, ...]:
    """Without what stands before every answer (BART's <s>)."""
    return ids[len(lead) :] if ids[: len(lead)] == lead else ids


def written_texts(predictions: Sequence[Prediction]) -> list[str]:
    return [one["target"] for one in predictions]


def rooms(template: Template, max_length: int, max_target: int) -> tuple[int, int]:
    """Pieces that a source and an answer may have in a sequence of max_length.

    >>> rooms(Template({"cls": 1, "sep": 2}), 16, 10), rooms(Template({"cls": 1, "sep": 2}), 64, 10)
    ((7, 7), (52, 10))
    >>> rooms(Template({"cls": 1, "sep": 2}, start="sep"), 16, 20)                   # each stream has its own room
    (14, 14)
    """
    before = sum(isinstance(part, str) for part in template.single[: template.single.index(0)])
    if template.start_id is None:
        room = max_length - before - 1
        if room < 2:
            raise InputError(
                f"max_length={max_length} leaves no room beside the special tokens: give {before + 3} or more"
            )
        target = min(max_target, room // 2)
        return room - target, target
    least = max(template.num_special(1), 1 + before) + 1
    if max_length < least:
        raise InputError(f"max_length={max_length} leaves no room beside the special tokens: give {least} or more")
    return max_length - template.num_special(1), min(max_target, max_length - 1 - before)


def _first_pieces(text: str, tokenizer: Tokenizer, room: int) -> tuple[Span, int]:
    """At most so many pieces of a text, and how many it has in all."""
    pieces, length = tokenizer.encode_start(text, room)
    return pieces.span(0, min(room, length)), length
