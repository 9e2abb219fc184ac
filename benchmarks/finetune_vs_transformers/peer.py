"""transformers' side: its tokenizer, model, collator and Trainer, told pretune's settings."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from finetune_vs_transformers.jobs import MODEL, Data, scores_of, values_of
from finetune_vs_transformers.peer_answers import best_answers, encode_windows
from finetune_vs_transformers.peer_choices import best_choices, encode_choices
from pretune.text.labels import label_name
from pretune.text.records import Record
from pretune.verbs.tune import FinetuneSettings

IGNORED = -100


class Trainer(transformers.Trainer):
    """The Trainer as it is; it counts real and padded tokens and, where it keeps losses, notes each step's in full
    precision."""

    def __init__(self, keeps_losses: bool = True, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.keeps_losses = keeps_losses
        self.losses: list[float] = []
        self.num_tokens = self.num_padded = 0

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        shown = inputs["attention_mask"]
        self.num_tokens += int(shown.sum())
        self.num_padded += shown.numel()
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self.keeps_losses:
            self.losses.append(loss.item())
        return loss


@dataclass(frozen=True)
class Kind:
    """What transformers has for a task. rows: records to inputs with labels. decode: outputs to predictions."""

    model: Any
    collator: Any
    rows: Callable[[Data, Sequence[Record], Any], list[dict[str, Any]]]
    decode: Callable[[Data, Any, Sequence[Any]], list[Any]]


def encode(data: Data, records: Sequence[Record], tokenizer: Any) -> list[dict[str, Any]]:
    return KINDS[data.job.task].rows(data, records, tokenizer)


def encode_texts(data: Data, records: Sequence[Record], tokenizer: Any) -> list[dict[str, Any]]:
    """Inputs with labels. A word's tag stands at its first piece; what is cut has none."""
    cutting = {"truncation": True, "max_length": data.job.max_length, "padding": False}
    found = []
    for record in records:
        more = {}
        if data.job.task == "tag":
            row = tokenizer(record["words"], is_split_into_words=True, **cutting)
            words = [None, *row.word_ids()]
            first = [now is not None and now != before for before, now in zip(words, words[1:], strict=False)]
            labels: Any = [
                data.labels.index(record["tags"][word]) if is_first and record["tags"][word] in data.labels else IGNORED
                for is_first, word in zip(first, words[1:], strict=True)
            ]
            more["first"] = [(words[number + 1], number) for number, is_first in enumerate(first) if is_first]
        else:
            row = tokenizer(*(record[name] for name in ("text", "text_b") if name in record), **cutting)
            is_value = data.job.task == "regress"
            labels = float(record["label"]) if is_value else data.labels.index(label_name(record["label"]))
        found.append({**row, **more, "labels": labels})
    return found


def open_peer(data: Data, folder: Path, fresh_head: bool) -> Any:
    """transformers' model; from a checkpoint without a head it needs to hear the labels."""
    kind = KINDS[data.job.task].model
    if fresh_head:
        named = {
            "id2label": dict(enumerate(data.labels)),
            "label2id": {label: number for number, label in enumerate(data.labels)},
        }
        problem = {"problem_type": data.task.head_spec.problem}
        told = {"tag": named, "choose": {}, "answer": {}}.get(data.job.task, named | problem)
        return kind.from_pretrained(folder, **told)
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"], info
    assert tuple(model.config.id2label[number] for number in range(len(data.labels))) == data.labels
    return model


def make_trainer(model: Any, tokenizer: Any, data: Data, train: Any, settings: FinetuneSettings, own: bool) -> Trainer:
    """The Trainer with pretune's settings (own: its own epsilon and decay). torch's fused AdamW, linear schedule."""
    optimizer = settings.optimizer
    tuning = {} if own else {"adam_epsilon": optimizer.eps, "weight_decay": optimizer.weight_decay}
    length = {"num_train_epochs": settings.epochs} if settings.steps is None else {"max_steps": settings.steps}
    assert settings.clip_norm is not None
    arguments = transformers.TrainingArguments(
        output_dir=tempfile.gettempdir(),
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=64,
        learning_rate=optimizer.lr,
        adam_beta1=optimizer.betas[0],
        adam_beta2=optimizer.betas[1],
        max_grad_norm=settings.clip_norm,
        lr_scheduler_type="linear",
        warmup_steps=settings.schedule.warmup,
        train_sampling_strategy="random" if settings.steps is None else "sequential",
        seed=settings.seed,
        use_cpu=True,
        dataloader_pin_memory=False,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        **tuning,
        **length,
    )
    collator = KINDS[data.job.task].collator(tokenizer)
    trainer = Trainer(model=model, args=arguments, train_dataset=train, data_collator=collator)
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def run_transformers(data: Data, settings: FinetuneSettings, own: bool) -> dict[str, Any]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    train, test = (encode(data, part, tokenizer) for part in (data.train, data.test))
    transformers.set_seed(settings.seed)
    trainer = make_trainer(open_peer(data, MODEL, fresh_head=True), tokenizer, data, train, settings, own)
    done = trainer.train()
    found = predict_peer(trainer, data, test)
    return {
        "scores": scores_of(data, found),
        "values": values_of(data, found),
        "steps": done.global_step,
        "examples_per_second": len(data.train) * settings.epochs / done.metrics["train_runtime"],
        "padding": 1 - trainer.num_tokens / trainer.num_padded,
    }


def predict_peer(trainer: Trainer, data: Data, test: list[dict[str, Any]]) -> list[Any]:
    """As pretune's predictions."""
    return KINDS[data.job.task].decode(data, trainer.predict(test).predictions, test)  # type: ignore[arg-type]


def best_labels(data: Data, predictions: Any, rows: Sequence[Any]) -> list[str]:
    return [data.labels[number] for number in predictions.argmax(-1)]


def best_tags(data: Data, predictions: Any, rows: Sequence[Any]) -> list[list[str]]:
    """Words that were cut off, and words without pieces, are in no span ("O"), or have no tag, which is wrong; pretune
    tags the former in a window."""
    found, nothing = [], "O" if "O" in data.labels else ""
    for record, numbers, row in zip(data.test, predictions.argmax(-1), rows, strict=True):
        tags = {word: data.labels[numbers[place]] for word, place in row["first"]}
        found.append([tags.get(word, nothing) for word in range(len(record["tags"]))])
    return found


def values(data: Data, predictions: Any, rows: Sequence[Any]) -> list[float]:
    return predictions[:, 0].tolist()


_SEQUENCE = (transformers.AutoModelForSequenceClassification, transformers.DataCollatorWithPadding, encode_texts)
KINDS = {
    "classify": Kind(*_SEQUENCE, best_labels),
    "pair": Kind(*_SEQUENCE, best_labels),
    "regress": Kind(*_SEQUENCE, values),
    "tag": Kind(
        transformers.AutoModelForTokenClassification,
        transformers.DataCollatorForTokenClassification,
        encode_texts,
        best_tags,
    ),
    "choose": Kind(
        transformers.AutoModelForMultipleChoice,
        transformers.DataCollatorForMultipleChoice,
        encode_choices,
        best_choices,
    ),
    "answer": Kind(
        transformers.AutoModelForQuestionAnswering,
        transformers.DataCollatorWithPadding,
        encode_windows,
        best_answers,
    ),
}
