"""transformers' side: its tokenizer, model, collator and Trainer, told pretune's settings."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from finetune_vs_transformers.jobs import MODEL, Data, scores_of
from pretune.text.labels import label_name
from pretune.text.records import Record
from pretune.verbs.tune import FinetuneSettings

IGNORED = -100


class Trainer(transformers.Trainer):
    """The Trainer as it is; it notes each step's loss in full precision and counts real and padded tokens."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.losses: list[float] = []
        self.num_tokens = self.num_padded = 0

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        shown = inputs["attention_mask"]
        self.num_tokens += int(shown.sum())
        self.num_padded += shown.numel()
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.losses.append(loss.item())
        return loss


def encode(data: Data, records: Sequence[Record], tokenizer: Any) -> list[dict[str, Any]]:
    """Inputs with labels. A word's tag stands at its first piece; what is cut has none."""
    cutting = {"truncation": True, "max_length": data.job.max_length, "padding": False}
    found = []
    for record in records:
        if data.job.task == "tag":
            row = tokenizer(record["words"], is_split_into_words=True, **cutting)
            words = [None, *row.word_ids()]
            first = [now is not None and now != before for before, now in zip(words, words[1:], strict=False)]
            labels: Any = [
                data.labels.index(record["tags"][word]) if is_first and record["tags"][word] in data.labels else IGNORED
                for is_first, word in zip(first, words[1:], strict=True)
            ]
        else:
            row = tokenizer(*(record[name] for name in ("text", "text_b") if name in record), **cutting)
            is_value = data.job.task == "regress"
            labels = float(record["label"]) if is_value else data.labels.index(label_name(record["label"]))
        found.append({**row, "labels": labels})
    return found


def open_peer(data: Data, folder: Path, fresh_head: bool) -> Any:
    """transformers' model; from a checkpoint without a head it needs to hear the labels."""
    kind = transformers.AutoModelForSequenceClassification
    if data.job.task == "tag":
        kind = transformers.AutoModelForTokenClassification
    if fresh_head:
        return kind.from_pretrained(
            folder,
            id2label=dict(enumerate(data.labels)),
            label2id={label: number for number, label in enumerate(data.labels)},
            **({} if data.job.task == "tag" else {"problem_type": data.task.head_spec.problem}),
        )
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
    collator = transformers.DataCollatorWithPadding
    if data.job.task == "tag":
        collator = transformers.DataCollatorForTokenClassification
    trainer = Trainer(model=model, args=arguments, train_dataset=train, data_collator=collator(tokenizer))
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def run_transformers(data: Data, settings: FinetuneSettings, own: bool) -> dict[str, Any]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    train, test = (encode(data, part, tokenizer) for part in (data.train, data.test))
    transformers.set_seed(settings.seed)
    trainer = make_trainer(open_peer(data, MODEL, fresh_head=True), tokenizer, data, train, settings, own)
    done = trainer.train()
    return {
        "scores": scores_of(data, predict_peer(trainer, data, test)),
        "steps": done.global_step,
        "examples_per_second": done.metrics["train_samples_per_second"],
        "padding": 1 - trainer.num_tokens / trainer.num_padded,
    }


def predict_peer(trainer: Trainer, data: Data, test: list[dict[str, Any]]) -> list[Any]:
    """As pretune's predictions. Words that were cut off have no tag, which is wrong; pretune tags them in a window."""
    outputs = trainer.predict(test)  # type: ignore[arg-type]
    if data.job.task == "regress":
        return outputs.predictions[:, 0].tolist()
    best = outputs.predictions.argmax(-1)
    if data.job.task != "tag":
        return [data.labels[number] for number in best]
    found = []
    for record, numbers, gold in zip(data.test, best, outputs.label_ids, strict=True):
        tags = [data.labels[number] for number in numbers[gold != IGNORED]]
        found.append(tags + [""] * (len(record["tags"]) - len(tags)))
    return found
