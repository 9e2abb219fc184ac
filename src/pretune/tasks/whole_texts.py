"""What tasks share that read a text, or two, as a whole: what the head reads, and windows over texts that are too long.

A model fine-tuned with `windows` opens anywhere, but other libraries read one sequence: its windows are pretune's.
A head that pools in a way transformers has no class for is read by pretune alone (`families.family.HeadSpec`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, get_args

from torch import Tensor

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.core.stream import Batch, Example
from pretune.nn import pooling as nn_pooling
from pretune.tasks.task import Task, chosen
from pretune.tasks.texts import Gold, Pooling, Windows, featurize_texts, joined, pooling_of
from pretune.tokenizers.tokenizer import Tokenizer


@dataclass(frozen=True)
class WholeTexts(Task):
    """pooling: what the head makes of the rows of a text (`nn.pooling`): cls (the summary row), mean, max, concat (last
    + max + mean) or attention. None: as the model's files have it, else cls; set by `suit` where that is not cls.
    windows: what becomes of a text that is too long. first: it loses its tail, counted. mean, max: it is read in
    windows that begin at most `stride` tokens apart, and the windows' outputs are averaged, or taken at their maximum.
    """

    pooling: Pooling | None = None
    windows: Windows = "first"
    stride: int = 128

    head: ClassVar[str] = "sequence"

    def __post_init__(self) -> None:
        if self.pooling is not None:
            chosen("pooling", self.pooling, get_args(Pooling))
        chosen("windows", self.windows, get_args(Windows))
        if self.stride < 1:
            raise InputError(f"stride={self.stride}: windows begin at least 1 token apart")

    def suit(self, model: Any) -> Self:
        return replace(self, pooling=suited(self.pooling, model, self.head))

    def _featurize(
        self,
        texts: Sequence[str],
        gold: Gold,
        tokenizer: Tokenizer,
        template: Template,
        max_length: int,
        weight: float = 1.0,
    ) -> Example:
        pooling = self.pooling or "cls"
        how = {"windows": self.windows, "stride": self.stride, "weight": weight}
        return featurize_texts(texts, self.head, gold, tokenizer, template, max_length, pooling, **how)  # type: ignore[arg-type]

    def _joined(self, outputs: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The head's outputs with each row's windows taken together, [M, C]."""
        return joined(outputs[self.head], batch.predict[self.head], self.windows)


def suited(pooling: Pooling | None, model: Any, head: str) -> Pooling | None:
    """The setting for what this model's head reads. InputError where another was asked for."""
    found = pooling_of(model, head)
    if pooling is None:
        return None if found == "cls" else found
    if pooling != found:
        raise InputError(
            f"the model's head pools by {found}, and task.pooling={pooling} was asked for: it is chosen when the model "
            "is fine-tuned (pretune finetune)"
        )
    return pooling


def head_pooling(pooling: Pooling | None) -> nn_pooling.Pooling | None:
    """The same as families call it."""
    return "row" if pooling == "cls" else pooling
