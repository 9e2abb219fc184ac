"""Task: one downstream job, from a labelled record to a score. `open_task("classify")` finds one by its file's name.

A task is a frozen dataclass of pure functions. `fit_labels` binds it to what the training records say (names of
classes, scale of values); everything else needs only the record, the tokenizer and the model's outputs. The shapes hold
for what comes later: an Example may have several sequences (windows of a long text, choices, two views), and `decode`
sees the records, because answers are parts of them.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

from torch import Tensor, nn

from pretune.core.assemble import Template
from pretune.core.config import called
from pretune.core.errors import InputError, unknown
from pretune.core.loss import Loss, weight_sum
from pretune.core.registry import find
from pretune.core.stream import Batch, Example
from pretune.families.family import HeadSpec
from pretune.tasks.evidence import Evidence
from pretune.tasks.items import Items
from pretune.tasks.mixture import Mixture
from pretune.text.contents import Contents, contents_of
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Tokenizer

Prediction = Any
"""What `decode` says of one record, ready for JSON: a dict, for tagging a list of dicts (a word each)."""

Scores = dict[str, float]
"""Metric -> value: fractions between 0 and 1, correlations between -1 and 1."""


class Featurized(Protocol):
    """Records and what they became (`TaskSource`)."""

    records: list[Record]
    examples: list[Example]
    tokenizer: Tokenizer
    template: Template
    max_length: int


class Task(Protocol):
    """One downstream job. Its settings are fields; those that `fit_labels` binds are saved with the model."""

    head: ClassVar[str]
    """The head that is trained, and the kind of head asked of the family."""
    unit: ClassVar[str] = "examples"
    """What its records are called, in reports."""

    @property
    def main_metric(self) -> str:
        """The metric by which the best model is chosen; larger is better."""

    @property
    def head_spec(self) -> HeadSpec:
        """The head as families make, load and save it: its labels in the order of its outputs, one name for a value."""

    def fit_labels(self, records: Sequence[Record]) -> Self:
        """The task bound to the labels of training records. One that is bound already keeps its labels, and checks."""

    def check(self, records: Sequence[Record]) -> None:
        """InputError where labelled records cannot be scored: labels missing, or never seen in training (listed)."""

    def featurize(
        self, record: Record, tokenizer: Tokenizer, template: Template, max_length: int, *, labelled: bool = True
    ) -> Example:
        """A record as an Example of sequences of at most `max_length` tokens, special tokens included.

        labelled: with gold labels at the rows that are trained; else without, at the rows that `decode` reads.
        What does not fit is left out by the task's rule and counted in `Example.num_cut`.
        """

    def featurize_all(
        self,
        records: Sequence[Record],
        tokenizer: Tokenizer,
        template: Template,
        max_length: int,
        *,
        labelled: bool = True,
    ) -> Iterable[Example]:
        """`featurize` of each record, in order, for tasks that can share work between records."""
        return (self.featurize(record, tokenizer, template, max_length, labelled=labelled) for record in records)

    def decode(self, outputs: Mapping[str, Tensor], batch: Batch, records: Sequence[Record]) -> list[Prediction]:
        """A prediction for each of the batch's examples, which come from these records, in their order."""

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """The task's metrics."""

    def items(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        """What an interval of the main metric needs of each item."""

    def baseline_predictions(self, train: Sequence[Record], test: Sequence[Record]) -> dict[str, list[Prediction]]:
        """What simple methods without a network, trained on the same records, say of the test records."""

    def loss_of(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Loss]:
        """The loss of a forward pass. Its count is `counts(batch)`."""

    # What follows holds for every task unless it says otherwise.

    @property
    def scores_untuned(self) -> bool:
        """Whether a model can be scored before it is trained, as the head has no weights: shown with the baselines."""
        return False

    @property
    def compares_records(self) -> bool:
        """Whether the loss of a record depends on the others of its micro-batch (in-batch negatives). Its count is the
        same for any division of a step, the loss is not: `verbs.tune` refuses steps that might be divided."""
        return False

    def check_training(self, records: Sequence[Record]) -> None:
        """InputError where records cannot be learnt from; `check` where they cannot be scored."""
        self.check(records)

    def completed(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> list[Prediction]:
        """Called once with all predictions of a set: adds what one needs to know of the others, such as a rank."""
        return list(predictions)

    def contents(self, record: Record) -> Contents:
        """The texts and gold labels of a record, for checks of the data (`text.check`). By default the columns that a
        class variable `columns` names, else the usual ones; `gold` is what a class variable of that name says."""
        return contents_of(record, getattr(self, "columns", ()), getattr(self, "gold", None))

    def mixture(self, records: Sequence[Record]) -> Mixture | None:
        """How an epoch is made up of training records; None: of each once."""
        return None

    def said(self, model: Any, source: Featurized, max_tokens: int) -> list[Prediction] | None:
        """A prediction for each record by a task that uses a model in a way of its own: writes with it, or reads long
        texts bit by bit, in batches of about `max_tokens`. None: `decode` reads the outputs of batches of examples."""
        return None

    def evidence(self, outputs: Mapping[str, Tensor], batch: Batch, records: Sequence[Record]) -> list[Evidence]:
        """What `decode` decides on, for each record, as an ensemble averages it."""
        raise InputError(f"the task {type(self).__name__} has nothing that models could average: name one model")

    def conclude(self, evidence: Sequence[Evidence], records: Sequence[Record]) -> list[Prediction]:
        """A prediction for each record from its evidence, in the form that `decode` gives."""
        raise NotImplementedError(type(self).__name__)

    @property
    def head_specs(self) -> tuple[HeadSpec, ...]:
        """Every head that the task trains: `head_spec`, and what belongs to it."""
        return (self.head_spec,)

    def outputs(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """What `loss_of` and `decode` read of a model: the head's outputs, and more where the task needs it."""
        return dict(model(batch, heads=[self.head]))

    def shown(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> list[Prediction]:
        """Predictions as `predict` gives them to users; `score` takes those of `decode`."""
        return list(predictions)

    def heads(self, body: Any) -> dict[str, nn.Module]:
        """A fresh head of the body's family."""
        return {self.head: body.family_head(self.head, len(self.head_spec.labels))}

    def counts(self, batch: Batch) -> dict[str, float]:
        return {self.head: weight_sum(batch.predict[self.head])}

    def loss(self, model: Any, batch: Batch) -> dict[str, Loss]:
        self.check_model(model)
        return self.loss_of(self.outputs(model, batch), batch)

    def baselines(self, train: Sequence[Record], test: Sequence[Record]) -> dict[str, Scores]:
        """Scores of the simple methods on the test records."""
        return {name: self.score(guesses, test) for name, guesses in self.baseline_predictions(train, test).items()}

    @property
    def label_settings(self) -> dict[str, Any]:
        """The settings that say which labels there are. What else `fit_labels` learns of records is not among them."""
        return {"labels": labels} if (labels := getattr(self, "labels", ())) else {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What one must know to read the scores, in sentences."""
        return ()

    def remarks(self, records: Sequence[Record]) -> tuple[str, ...]:
        """What a reader of scores on these records must know, in sentences."""
        return ()

    def remarks_on(self, source: Featurized) -> tuple[str, ...]:
        """The same, where only what the records became can tell."""
        return self.remarks(source.records)

    def suit(self, model: Any) -> Self:
        """The task for the rows that this model's head reads. To be called before the first `featurize`."""
        return self

    def check_model(self, model: Any) -> None:
        """ValueError where the task was not suited to this model."""
        if self.suit(model) != self:
            raise ValueError(f"the model's head reads other rows than {self} chooses: use task.suit(model)")

    def take_up(self, model: Any) -> None:
        """Called once before training that goes on from the head of a finished model: takes out of the model what
        `finish` had moved into it, for the labels that the task is bound to now."""
        return None

    def finish(self, model: Any) -> Self:
        """Called once after training: moves into the model what the task computes around it, so that the saved
        model gives the same numbers everywhere. Returns the task for the changed model."""
        return self

    def choose_on(self, records: Sequence[Record], predict: Callable[[Self], list[Prediction]]) -> Self:
        """Called once after training: chooses settings of `decode` on the validation records, such as a threshold.

        predict: predictions of the trained model for these records, by the task as it is given.
        """
        return self


def open_task(name: str, settings: Mapping[str, Any] | None = None) -> Task:
    """A task by name, with its settings (`dataclasses.asdict` gives them back). InputError for unknown ones."""
    kind = find("pretune.tasks", "task", name)
    return _made(name, kind, settings or {})


def changed(name: str, task: Task, changes: Mapping[str, Any]) -> Task:
    """The task with other settings. InputError as `open_task`."""
    kept = {field: getattr(task, field) for field in inspect.signature(type(task)).parameters}
    return _made(name, type(task), kept | dict(changes))


def _made(name: str, kind: type[Task], settings: Mapping[str, Any]) -> Task:
    known = inspect.signature(kind).parameters
    for setting in settings:
        if setting not in known:
            raise unknown(f"setting of the task {name},", setting, known)
    return called(f"task {name}", kind, settings)


def chosen(what: str, value: str, options: Sequence[str]) -> None:
    """InputError where a setting is none of its options."""
    if value not in options:
        raise unknown(what, value, options)
