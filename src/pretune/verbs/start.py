"""Where fine-tuning starts: a pre-trained model, or one that was fine-tuned before, for this task or another.

Intermediate-task tuning (STILTs; Phang et al. 2018): a model that was tuned for a task with much data is tuned on for
one with little. The body is kept. A head of another kind, or with other labels, is fresh; what the model's files have
of such a head before its output map is kept where the family has it under the same name (BERT's pooler, the dense layer
of ModernBERT's heads), as transformers does it. A head with the same labels in the same order goes on training, with
its transitions if it has a CRF, unless `head="fresh"`: the authors always draw it anew, but for more data of one task
that would throw away what is known. The sentences say which it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pretune.checkpoint.bundle import Bundle
from pretune.families.family import PRETRAINING, WITHOUT_WEIGHTS, HeadSpec
from pretune.families.layout import tensors_of
from pretune.nn.config import BiLSTM
from pretune.nn.transformer import Transformer
from pretune.tasks.task import Task
from pretune.verbs import records

HeadStart = Literal["auto", "fresh"]
Top = Literal["bilstm"]


@dataclass(frozen=True)
class Start:
    """bundle: with the task's heads. origin: name and sha256 of the model. task: what it was fine-tuned for, if it was.
    kept: the heads that go on training."""

    bundle: Bundle
    origin: dict[str, Any]
    task: str | None
    kept: tuple[str, ...]
    sentences: tuple[str, ...]

    @property
    def facts(self) -> dict[str, Any]:
        """For run.yaml, besides the origin."""
        told = {"task": self.task, "kept_heads": list(self.kept), "lineage": self.bundle.manifest["lineage"]}
        return told | {"sentences": list(self.sentences)}


def begin(
    model: str,
    task: Task,
    *,
    seed: int,
    head: HeadStart = "auto",
    top: Top | None = None,
    tokenizer: str | Path | None = None,
    shape: Mapping[str, Any] | None = None,
    allow_pickle: bool = False,
) -> Start:
    """A model ready to be tuned for a task that is bound to its labels. top: a fresh layer between its body and the
    head, unless it has one. shape: changes of a preset's. Its manifest gets a "lineage": the models it comes from, the
    oldest first. Raises InputError for what is not a model."""
    specs = list(task.head_specs)
    how: dict[str, Any] = {"tokenizer": tokenizer, "changes": shape, "allow_pickle": allow_pickle}
    bundle = Bundle.load(model, heads=specs, seed=seed, **how)
    origin, before = records.origin(model), _task_before(bundle)
    if head == "fresh":
        draw_heads(bundle, seed)
    told = put_on_top(bundle, seed) if top is not None else ()
    kept = tuple(spec.kind for spec in _with_weights(task) if not _fresh_of(bundle, spec.kind))
    if task.head in kept:
        task.take_up(bundle.model)
    lineage = [*_lineage(bundle), {"model": origin["name"], "sha256": origin["sha256"], "task": before}]
    bundle.manifest["lineage"] = lineage
    return Start(bundle, origin, before, kept, (*told, *_sentences(str(model), before, bundle, task, kept)))


def draw_heads(bundle: Bundle, seed: int) -> None:
    """Fresh weights for every head, whatever the model's files have. BERT's pooler is its body's and stays."""
    for spec in bundle.specs:
        bundle.model.heads[spec.kind] = bundle.family.head_of(spec, bundle.model.body, seed)
    heads = [name for name in tensors_of(bundle.model) if not name.startswith("body.")]
    bundle.manifest["fresh"] = list(dict.fromkeys([*bundle.fresh_weights, *heads]))


def put_on_top(bundle: Bundle, seed: int) -> tuple[str, ...]:
    """A fresh BiLSTM between the body and the heads; a model that was fine-tuned with one keeps it. Says which."""
    body = bundle.model.body
    assert isinstance(body, Transformer)
    if body.config.top is not None:
        return ("The model has a BiLSTM on top: it goes on training.",)
    body.put_on_top(BiLSTM(), seed)
    names = [name for name in tensors_of(bundle.model) if name.startswith("body.top.")]
    bundle.manifest["fresh"] = [*bundle.fresh_weights, *names]
    return ("A BiLSTM stands on top of the body, with fresh weights.",)


def _with_weights(task: Task) -> list[HeadSpec]:
    return [spec for spec in task.head_specs if spec.kind not in WITHOUT_WEIGHTS]


def _fresh_of(bundle: Bundle, kind: str) -> list[str]:
    return [name for name in bundle.fresh_weights if name == kind or name.startswith(f"{kind}.")]


def _task_before(bundle: Bundle) -> str | None:
    told = bundle.manifest.get("task")
    return None if told is None else str(told["name"])


def _lineage(bundle: Bundle) -> list[Any]:
    told = bundle.manifest.get("lineage")
    return told if isinstance(told, list) else []


def _sentences(model: str, before: str | None, bundle: Bundle, task: Task, kept: tuple[str, ...]) -> tuple[str, ...]:
    if "body" in bundle.fresh_weights:
        return (f"{model} is a preset: all its weights are fresh, and none was pre-trained.",)
    trained = _with_weights(task)
    heads = ", ".join(spec.kind for spec in trained)
    was = f"{model} was fine-tuned for {before} before" if before else f"{model} has a head for this task"
    if not trained:
        return (f"{was}: its body goes on training.",) if before else ()
    if len(kept) == len(trained) and all(spec.kind in PRETRAINING for spec in trained):
        return (f"{was}: its body and its {', '.join(kept)} head go on training.",) if before else ()
    if len(kept) == len(trained):
        return (f"{was}, with the same labels: its body and its {heads} head go on training (head=fresh: a new head).",)
    if before is None:
        return ()
    if kept:
        fresh = ", ".join(spec.kind for spec in trained if spec.kind not in kept)
        return (f"{was}: its body and its {', '.join(kept)} head go on training, {fresh} is fresh.",)
    return (f"{was}: its body goes on training, the {heads} head is fresh.",)
