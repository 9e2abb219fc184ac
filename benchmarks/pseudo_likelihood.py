"""Pseudo-log-likelihood of sentences: pretune's packed copies beside two loops over transformers' model.

    python benchmarks/pseudo_likelihood.py --data BLIMP_DIR --tokenizer DIR [--pairs 200] [--size tiny] [--out F.json]

All three score the same sentences with the same random weights, and must agree within 1e-3 (exit status 1 otherwise).
"one by one": a forward pass for each mask. "a sentence at a time": its masked copies as one batch, which needs no
padding. The three take turns, `--repetitions` times; the fastest of each counts.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

from pretune.checkpoint.bundle import Bundle
from pretune.evaluate.likelihood import sentence_scores
from pretune.evaluate.suites.blimp import blimp
from pretune.evaluate.suites.minimal_pairs import both, files_of, read_pairs
from side_by_side.cells import machine
from side_by_side.figures import heading, row

SIZES = {"tiny": (2, 128), "mini": (4, 256), "small": (4, 512), "base": (12, 768)}


def loop(model: Any, tokenizer: Any, sentences: list[str], at_once: bool) -> list[float]:
    scores = []
    for sentence in sentences:
        ids_L = tokenizer(sentence, return_tensors="pt").input_ids[0]
        rows_M = torch.arange(1, len(ids_L) - 1)
        copies_ML = ids_L.repeat(len(rows_M), 1)
        copies_ML[torch.arange(len(rows_M)), rows_M] = tokenizer.mask_token_id
        total = 0.0
        for some in [torch.arange(len(rows_M))] if at_once else torch.arange(len(rows_M)).split(1):
            logits = model(copies_ML[some]).logits[torch.arange(len(some)), rows_M[some]]
            total += float(logits.log_softmax(-1).gather(1, ids_L[rows_M[some], None]).sum())
        scores.append(total)
    return scores


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    with torch.inference_mode():
        found = function()
    return time.perf_counter() - started, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    files = list(files_of(blimp, options.data)[0].values())
    limit = -(-options.pairs // len(files))
    sentences = [text for path in files for text in both(read_pairs(path, limit))][: 2 * options.pairs]
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    layers, width = SIZES[options.size]
    shape = {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": 4 * width}
    config = BertConfig(vocab_size=len(tokenizer), num_attention_heads=width // 64, **shape)
    config.pad_token_id = tokenizer.pad_token_id
    theirs = BertForMaskedLM(config).eval()
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        ours = Bundle.load(folder)
    ways: dict[str, Callable[[], Any]] = {
        "pretune": lambda: sentence_scores(ours, sentences, "pll").score_N,
        "one by one": lambda: loop(theirs, tokenizer, sentences, at_once=False),
        "a sentence at a time": lambda: loop(theirs, tokenizer, sentences, at_once=True),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    scores: dict[str, Any] = {}
    for _ in range(options.repetitions):
        for name, way in ways.items():
            took, scores[name] = timed(way)
            seconds[name].append(took)
    apart = max(float(np.abs(np.array(scores[name]) - scores["pretune"]).max()) for name in ways)
    best = {name: min(some) for name, some in seconds.items()}
    for line in heading("way", "sentences / s", "pretune is faster by"):
        print(line)
    for name, least in best.items():
        print(row(name, f"{len(sentences) / least:,.1f}", f"{least / best['pretune']:.1f}"))
    print(f"{len(sentences)} sentences, bert-{options.size}; scores differ by at most {apart:.1e}")
    if options.out is not None:
        facts = {"seconds": seconds, "sentences": len(sentences), "apart": apart, "size": options.size}
        options.out.write_text(json.dumps(facts | {"machine": machine()}, indent=2) + "\n")
    return 0 if apart < 1e-3 else 1


if __name__ == "__main__":
    raise SystemExit(main())
