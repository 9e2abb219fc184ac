"""transformers' side of masked-language-model training: BertForMaskedLM or ModernBertForMaskedLM and its Trainer.

default: Trainer and DataCollatorForLanguageModeling, padding to the batch's longest. best: batches of like lengths from
windows of 50 batches (the Trainer's own grouping), `torch_compile=True`, attention "sdpa", and for ModernBERT its
`sparse_prediction`, which makes logits at the predicted rows only (BertForMaskedLM has nothing like it).

The texts are tokenized beforehand. Length-grouped batches come in random order, so that a few steps stand for all.
"""

import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from transformers.trainer_pt_utils import get_length_grouped_indices

from pretune.checkpoint.bundle import Bundle
from side_by_side.mlm_data import IGNORED
from side_by_side.mlm_ours import Job, Timed, synchronize

Rows = Sequence[dict[str, list[int]]]


class SameMasks(transformers.DataCollatorForLanguageModeling):
    """Pads and draws masks as it always does; then the masks that pretune drew take their place."""

    def torch_call(self, examples: Any) -> dict[str, Any]:
        own = ("input_ids", "special_tokens_mask")
        batch = super().torch_call([{name: example[name] for name in own} for example in examples])
        batch["input_ids"] = self._padded([example["shown"] for example in examples], self.tokenizer.pad_token_id)
        batch["labels"] = self._padded([example["labels"] for example in examples], IGNORED)
        return batch

    def _padded(self, rows: Sequence[Sequence[int]], filling: int) -> torch.Tensor:
        parts = [torch.tensor(row) for row in rows]
        return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=filling)


class Trainer(transformers.Trainer):
    """The Trainer as it is; it counts tokens, and notes losses where `keeps_losses` says so."""

    def __init__(self, keeps_losses: bool = False, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.keeps_losses = keeps_losses
        self.losses: list[float] = []
        self.shapes: list[tuple[torch.Tensor, int]] = []

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        self.shapes.append((inputs["attention_mask"].sum(), inputs["attention_mask"].numel()))
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self.keeps_losses:
            self.losses.append(loss.item())
        return loss


class Stamps(transformers.TrainerCallback):
    """When each step ended. On CUDA the clock waits for the device at the warm-up's end and at the end only."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.times: list[float] = []
        self.graphs = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.times = [time.perf_counter()]

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step in (self.job.warmup, self.job.steps):
            synchronize(self.job.device)
        if state.global_step == self.job.warmup:
            self.graphs = num_graphs()
        self.times.append(time.perf_counter())


def num_graphs() -> int:
    """How many graphs torch.compile has made in this process."""
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


def open_peer(bundle: Bundle, *, best: bool) -> Any:
    """transformers' model with the weights of `bundle`."""
    config, weights = bundle.family.to_hf(bundle.model, bundle.specs, {"pad_token_id": bundle.tokenizer.vocab.pad_id})
    name, config = config.pop("architectures")[0], {key: value for key, value in config.items() if key != "pretune"}
    hf_config = transformers.AutoConfig.for_model(**config)
    if best:
        hf_config._attn_implementation = "sdpa"
        if hasattr(hf_config, "sparse_prediction"):
            hf_config.sparse_prediction = True
    model = getattr(transformers, name)(hf_config)
    told = model.load_state_dict(weights, strict=False)
    model.tie_weights()
    tied = set(model.all_tied_weights_keys)
    assert not told.unexpected_keys and set(told.missing_keys) <= tied, told
    return model


def grouped(rows: Rows, batch_size: int, seed: int) -> list[dict[str, list[int]]]:
    """Rows in the Trainer's batches of like lengths, the batches in random order."""
    lengths = [len(row["input_ids"]) for row in rows]
    order = get_length_grouped_indices(lengths, batch_size, generator=torch.Generator().manual_seed(seed))
    batches = [order[start : start + batch_size] for start in range(0, len(order) - batch_size + 1, batch_size)]
    mixed = np.random.default_rng(seed).permutation(len(batches))
    return [rows[number] for batch in mixed for number in batches[batch]]


def run_transformers(model: Any, tokenizer: Any, rows: Rows, job: Job, *, best: bool, losses: bool = False) -> Timed:
    """Trains `model` on the rows in their order, for the job's steps."""
    is_cpu = job.device == "cpu"
    quicker: dict[str, Any] = {"torch_compile": True, "logging_nan_inf_filter": False} if best else {}
    if best and not is_cpu:
        quicker["dataloader_num_workers"] = 2
    arguments = transformers.TrainingArguments(
        output_dir=tempfile.gettempdir(),
        per_device_train_batch_size=job.batch_size,
        max_steps=job.steps,
        learning_rate=job.lr,
        lr_scheduler_type="constant",
        weight_decay=0.01,
        adam_epsilon=1e-6,
        max_grad_norm=1.0,
        train_sampling_strategy="sequential",
        seed=job.seed,
        use_cpu=is_cpu,
        bf16=job.precision == "bf16",
        dataloader_pin_memory=not is_cpu,
        remove_unused_columns=False,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        **quicker,
    )
    stamps = Stamps(job)
    trainer = Trainer(
        keeps_losses=losses,
        model=model,
        args=arguments,
        train_dataset=list(rows),
        data_collator=SameMasks(tokenizer),
        callbacks=[stamps],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    return _timed(trainer, stamps, job)


def _timed(trainer: Trainer, stamps: Stamps, job: Job) -> Timed:
    times, shapes = stamps.times, [(int(real), padded) for real, padded in trainer.shapes[job.warmup :]]
    each = [after - before for before, after in zip(times, times[1:], strict=False)]
    return Timed(
        seconds=times[-1] - times[job.warmup],
        tokens=sum(real for real, _ in shapes),
        padded_tokens=sum(padded for _, padded in shapes),
        step_seconds=each[job.warmup :],
        losses=trainer.losses[:10],
        warmup_seconds=times[job.warmup] - times[0],
        more={"graphs_compiled_late": num_graphs() - stamps.graphs},
    )
