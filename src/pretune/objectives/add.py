"""Several objectives on the same sample: `add(next_sentence(), mlm())` is BERT's pre-training (Devlin et al. 2019).

The first arranges the sample, each corrupts it in turn, and the losses stand side by side (appendix A.2: the loss is
the sum of the two means). The model runs forward once for all of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from torch import nn

from pretune.core.errors import InputError
from pretune.core.loss import Loss
from pretune.core.protocols import Context, Objective, TokenStore
from pretune.core.stream import Batch, Example, Segments
from pretune.objectives.arrangements import OnlyArranges
from pretune.objectives.bodies import ONE, TWO, streams_of
from pretune.objectives.text_to_text import TextToText

T = TypeVar("T")


@dataclass(frozen=True)
class Added:
    """`add(...)` makes one."""

    parts: tuple[Objective, ...]

    @property
    def streams(self) -> tuple[str, ...]:
        """Which bodies all the parts can train."""
        return tuple(each for each in (ONE, TWO) if all(each in streams_of(part) for part in self.parts))

    @property
    def body_needs(self) -> dict[str, Any]:
        """What the parts ask of the body that is made for them: changes to its config."""
        return {key: value for part in self.parts for key, value in getattr(part, "body_needs", {}).items()}

    def samples(self, corpus: TokenStore, max_length: int, num_special: tuple[int, int] = (2, 3)) -> int:
        for part in self.parts[1:]:
            if isinstance(part, TextToText):
                part.check(corpus, max_length, num_special)
        return self.parts[0].samples(corpus, max_length, num_special)

    def arrange(self, corpus: TokenStore, number: int, context: Context) -> Segments:
        return self.parts[0].arrange(corpus, number, context)

    def corrupt(self, example: Example, context: Context) -> Example:
        for part in self.parts:
            example = part.corrupt(example, context)
        return example

    def heads(self, body: Any) -> dict[str, nn.Module]:
        """Raises InputError where two objectives name a head alike."""
        return _merge(part.heads(body) for part in self.parts)

    def counts(self, batch: Batch) -> dict[str, float]:
        return _merge(part.counts(batch) for part in self.parts)

    def loss(self, model: Any, batch: Batch) -> dict[str, Loss]:
        once = _Once(model)
        return _merge(part.loss(once, batch) for part in self.parts)


class _Once:
    """A model that answers a repeated question from memory; everything else is the model's."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._answers: list[tuple[Batch, tuple[str, ...] | None, Any]] = []

    def __call__(self, batch: Batch, heads: Iterable[str] | None = None) -> Any:
        names = None if heads is None else tuple(heads)
        for asked, asked_names, answer in self._answers:
            if asked is batch and asked_names == names:
                return answer
        answer = self._model(batch, heads=names)
        self._answers.append((batch, names, answer))
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def _merge(parts: Iterable[Mapping[str, T]]) -> dict[str, T]:
    merged: dict[str, T] = {}
    for part in parts:
        for name, value in part.items():
            if name in merged:
                raise InputError(f"two objectives predict with the head {name!r}: leave one out")
            merged[name] = value
    return merged


def add(*objectives: Objective) -> Added:
    """Objectives as one. The first cuts the samples; the others must be able to work on what it cuts.

    An arrangement such as `full_sentences()` may stand first. Objectives that write a whole text again corrupt it one
    after another and write it once: `add(sentence_permutation(), text_infilling())` is BART's.
    copies: what one of them has holds for all, since masks over spans that are cut anew would not repeat (the original
    code repeats whole samples). Raises InputError without objectives, where an arrangement is not the first, and where
    they have different copies.

    >>> import numpy as np
    >>> from pretune.core.assemble import Template, assemble
    >>> from pretune.core.stream import Span
    >>> from pretune.core.vocab import Vocab
    >>> from pretune.objectives.mlm import mlm
    >>> from pretune.objectives.next_sentence import next_sentence
    >>> vocab = Vocab(size=10, is_special_V=np.arange(10) < 4, cls_id=1, sep_id=2, mask_id=3)
    >>> spans = [Span(np.array([4, 5, 6]), np.zeros(3, np.uint8)), Span(np.array([7, 8, 9]), np.zeros(3, np.uint8))]
    >>> example = assemble(Segments(spans, {"next_sentence": 0}), Template({"cls": 1, "sep": 2}))
    >>> context = Context(vocab, 16, np.random.default_rng(6))
    >>> corrupted = add(next_sentence(), mlm(masking_rate=0.5)).corrupt(example, context)
    >>> corrupted.source.ids_T
    array([1, 4, 3, 3, 2, 3, 8, 9, 2])
    >>> {head: (targets.at_MK.ravel().tolist(), targets.gold_M.tolist()) for head, targets in corrupted.predict.items()}
    {'next_sentence': ([0], [0]), 'lm': ([2, 3, 5], [5, 6, 7])}
    """
    if not objectives:
        raise InputError("add needs at least one objective")
    for part in objectives[1:]:
        if isinstance(part, OnlyArranges):
            raise InputError(f"{type(part).__name__} arranges the sample: name it first")
    objectives = _composed(objectives)
    copies: set[Any] = {getattr(objective, "copies", None) for objective in objectives} - {None}
    if len(copies) > 1:
        raise InputError(f"the added objectives have different copies, {sorted(copies)}: give all the same")
    if copies:
        return Added(tuple(_with_copies(objective, *copies) for objective in objectives))
    return Added(objectives)


def _composed(objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
    """Neighbours that corrupt one text and write it as one objective."""
    parts: list[Objective] = []
    for objective in objectives:
        if parts and isinstance(objective, TextToText) and isinstance(last := parts[-1], TextToText):
            parts[-1] = last.then(objective)
        else:
            parts.append(objective)
    return tuple(parts)


def _with_copies(objective: Objective, copies: int) -> Objective:
    return replace(cast(Any, objective), copies=copies) if hasattr(objective, "copies") else objective
