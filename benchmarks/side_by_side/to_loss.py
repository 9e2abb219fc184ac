"""Seconds to the validation loss with which transformers' Trainer ends.

The peer: ModernBertForMaskedLM (and, apart, BertForMaskedLM) of the size of pretune's preset, its own initialisation at
an initial scale, texts packed to the length, its collator's masks drawn anew, AdamW with 2 % of warm-up and then linear
decay over the seconds it has. Learning rate and initial scale are tuned for it by shorter runs of the same kind. It
does not pad, so its Trainer has nothing to gain from length grouping; ModernBERT's `sparse_prediction` is on, so that
it makes predicted logits only.
pretune: its recipe with its own settings, in whole runs of growing budgets of seconds, until one ends with that loss or
below. Both are scored by one piece of code on the same held-out blocks with the same masks, at `--masking-rate`.
"""

import argparse
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from side_by_side.cells import Cell, Record, measured
from side_by_side.figures import heading, row

WARMUP = 0.02
VALID_SAMPLES = 1000
WITHOUT_EXTRAS = {"evaluate_every_steps": 1_000_000_000, "valid_samples": 1, "save_every_minutes": None}
"""The Trainer neither evaluates nor saves in its time; pretune looks at one held-out sample and saves at the end."""


def to_loss(options: argparse.Namespace, record: Record) -> Iterator[str]:
    yield from heading("peer", "lr, initial scale", "its seconds", "its loss", "pretune's seconds", "its loss", "ratio")
    for peer in options.peers:
        yield from against(options, record, peer)


def against(options: argparse.Namespace, record: Record, peer: str) -> Iterator[str]:
    grid = [{"side": peer, "lr": lr, "std": std} for lr in options.peer_lrs for std in options.peer_stds]
    tried = [measured(options, record, [cell | {"seconds": options.tune_seconds}], 1)[0] for cell in grid]
    tuned = [(result["valid_loss"], cell) for result, cell in zip(tried, grid, strict=True) if "failed" not in result]
    if not tuned:
        yield row(peer, "every run failed", *[""] * 5)
        return
    _, best = min(tuned, key=lambda pair: pair[0])
    theirs = measured(options, record, [best | {"seconds": options.seconds}], 1)[0]
    shown = f"{best['lr']:g}, {best['std']:g}"
    if "failed" in theirs:
        yield row(peer, shown, "failed", *[""] * 4)
        return
    for budget in sorted(options.budgets):
        ours = measured(options, record, [{"side": "pretune", "seconds": budget}], 1)[0]
        reached = "failed" not in ours and ours["valid_loss"] <= theirs["valid_loss"]
        times = "failed" if "failed" in ours else f"{theirs['ran_seconds'] / ours['ran_seconds']:.2f}"
        figures = [f"{theirs['ran_seconds']:.0f}", f"{theirs['valid_loss']:.4f}"]
        figures += ["failed", ""] if "failed" in ours else [f"{ours['ran_seconds']:.0f}", f"{ours['valid_loss']:.4f}"]
        yield row(peer, shown, *figures, times if reached else "not reached")
        if reached:
            return


def measure_to_loss(options: argparse.Namespace, cell: Cell) -> Mapping[str, Any]:
    from side_by_side.mlm_data import open_corpus, uncased_tokenizer

    corpus = open_corpus(options.work, options.text, uncased_tokenizer())
    run = train_pretune if cell["side"] == "pretune" else train_peer
    model, facts = run(options, cell, corpus)
    return facts | {"valid_loss": valid_loss(options, model)}


def valid_loss(options: argparse.Namespace, folder: Path) -> float:
    """Nats a masked piece on blocks of the held-out documents, the same masks for every model."""
    import pretune
    from pretune.corpus.store import Corpus
    from pretune.train.evaluation import scored
    from pretune.verbs.pretrain import Validation
    from side_by_side.mlm_data import Blocks, make_source

    held_out = Corpus.open(options.work / "corpus", split="valid")
    bundle = pretune.load(folder, device="cpu").bundle
    how = {"max_length": options.max_length, "masking_rate": options.masking_rate, "seed": 0}
    source = make_source(held_out, Blocks(), bundle.template, **how)
    validation = Validation(source.objective, source, VALID_SAMPLES, 16_384, "cpu")
    return scored(bundle.model, validation)["loss"]


def train_pretune(options: argparse.Namespace, cell: Cell, corpus: Any) -> tuple[Path, dict[str, Any]]:
    import pretune
    from pretune.core.config import parse_assignments

    out = options.work / f"pretune-{options.recipe}-{options.size}-{cell['seconds']:g}-{cell['repetition']}"
    seed = options.seed + cell["repetition"] - 1
    settings = parse_assignments(options.set) | {"seconds": cell["seconds"], "seed": seed}
    settings.setdefault("max_length", options.max_length)
    settings |= WITHOUT_EXTRAS
    found = pretune.pretrain(
        f"{options.recipe}-{options.size}", corpus=corpus.folder, out=out, settings=settings, threads=options.threads
    )
    facts = {name: found[name] for name in ("steps", "tokens", "tokens_per_second")}
    return out / "model", facts | {"ran_seconds": found["seconds"]}


def train_peer(options: argparse.Namespace, cell: Cell, corpus: Any) -> tuple[Path, dict[str, Any]]:
    import transformers

    from side_by_side.mlm_ours import fresh_bundle

    seed = options.seed + cell["repetition"] - 1
    dropout = 0.1 if cell["side"] == "bert" else 0.0  # as published
    bundle = fresh_bundle(cell["side"], options.size, corpus.tokenizer, dropout, seed)
    config, _ = bundle.family.to_hf(bundle.model, bundle.specs, {"pad_token_id": corpus.tokenizer.vocab.pad_id})
    name = config.pop("architectures")[0]
    config = {key: value for key, value in config.items() if key != "pretune"} | {"initializer_range": cell["std"]}
    if cell["side"] == "modern":
        config["sparse_prediction"] = True
    transformers.set_seed(seed)
    model = getattr(transformers, name)(transformers.AutoConfig.for_model(**config))
    tokenizer = transformers.AutoTokenizer.from_pretrained(corpus.folder / "tokenizer")
    facts = train_by_the_clock(model, tokenizer, PackedTexts(corpus, options.max_length), options, cell, seed)
    out = options.work / f"peer-{cell['side']}-{options.size}-{cell['lr']:g}-{cell['std']:g}-{cell['seconds']:g}"
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out, facts


class PackedTexts:
    """The training tokens in blocks, [CLS] and [SEP] around each, as a Trainer's dataset."""

    def __init__(self, corpus: Any, max_length: int) -> None:
        self.corpus, self.room = corpus, max_length - 2

    def __len__(self) -> int:
        return int(self.corpus.num_tokens // self.room)

    def __getitem__(self, number: int) -> dict[str, list[int]]:
        vocab = self.corpus.vocab
        ids = self.corpus.ids(number * self.room, (number + 1) * self.room)
        special = vocab.is_special_V[ids].astype(int).tolist()
        return {
            "input_ids": [vocab.cls_id, *ids.tolist(), vocab.sep_id],
            "special_tokens_mask": [1, *special, 1],
        }


def train_by_the_clock(
    model: Any, tokenizer: Any, texts: PackedTexts, options: argparse.Namespace, cell: Cell, seed: int
) -> dict[str, Any]:
    """The Trainer for the cell's seconds; its schedule follows the clock, so that it decays to zero at the end."""
    import tempfile

    import torch
    import transformers

    seconds = cell["seconds"]
    began = [0.0]

    def multiplier(step: int) -> float:
        share = min(1.0, (time.perf_counter() - began[0]) / seconds) if began[0] else 0.0
        return share / WARMUP if share < WARMUP else (1 - share) / (1 - WARMUP)

    class Clock(transformers.TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            began[0] = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = time.perf_counter() - began[0] >= seconds

    arguments = transformers.TrainingArguments(
        output_dir=tempfile.gettempdir(),
        per_device_train_batch_size=options.batch_size,
        max_steps=10_000_000,
        learning_rate=cell["lr"],
        weight_decay=0.01,
        seed=seed,
        use_cpu=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    collator = transformers.DataCollatorForLanguageModeling(tokenizer, mlm_probability=options.masking_rate)
    told: dict[str, Any] = {"train_dataset": texts, "data_collator": collator, "callbacks": [Clock()]}
    trainer = transformers.Trainer(model=model, args=arguments, **told)
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.create_optimizer()
    trainer.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(trainer.optimizer, multiplier)
    trainer.train()
    ran = time.perf_counter() - began[0]
    steps = trainer.state.global_step
    tokens = steps * options.batch_size * options.max_length
    return {"steps": steps, "tokens": tokens, "tokens_per_second": tokens / ran, "ran_seconds": ran}
