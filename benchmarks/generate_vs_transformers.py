"""Generating text with pretune and with transformers' `generate`, in fp32: prompts of unequal lengths, one batch.

    python benchmarks/generate_vs_transformers.py --work DIR [--models gpt2 t5] [--uses greedy beams sample one]
        [--prompts 16] [--new-tokens 64] [--repetitions 5] [--out generate.json]

Both read the same directory (random weights, which transformers wrote) and the same prompts, 4 to 100 words of novels,
and give texts: tokenization is in the time, loading is not. transformers pads on the left in one batch; of T5 it pads
sources. greedy; beams: 4; sample: nucleus of 0.9; one: a single prompt, greedily. Texts of greedy decoding and of beams
must be equal, or no ratio is given and the exit status is 1. `prefill` is the time of a single new token, most of which
is reading the prompts. Each run is a process of its own, sides alternate; a figure is the least of several calls.
"""

import argparse
import gzip
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from side_by_side.cells import Cell, Record, add_arguments, main, measured
from side_by_side.figures import heading, ratio, row, spread, values

MODELS: Mapping[str, Mapping[str, Any]] = {
    "gpt2": {"n_layer": 4, "n_embd": 256, "n_head": 4, "n_positions": 512, "initializer_range": 0.1},
    "t5": {"num_layers": 4, "d_model": 256, "d_kv": 64, "num_heads": 4, "d_ff": 1024},
}
CLASSES = {"gpt2": ("GPT2Config", "GPT2LMHeadModel"), "t5": ("T5Config", "T5ForConditionalGeneration")}
USES: Mapping[str, Mapping[str, Any]] = {
    "greedy": {},
    "beams": {"num_beams": 4},
    "sample": {"do_sample": True, "top_p": 0.9, "top_k": 0},
    "one": {},
}
SIDES = ("pretune", "transformers")
VOCABULARY = 8192
SPECIAL = ("<pad>", "</s>", "<unk>")

Generate = Callable[[list[str], int], list[str]]


def novels() -> list[str]:
    """The words of the text that comes with pretune."""
    import pretune

    path = Path(pretune.__file__).parent / "verbs" / "quickstart_data" / "novels_valid.txt.gz"
    return gzip.open(path, "rt", encoding="utf-8").read().split()


def prompts(count: int, seed: int) -> list[str]:
    """Beginnings of 4 to 100 words, of all lengths alike."""
    import numpy as np

    words, rng = novels(), np.random.default_rng(seed)
    starts = rng.integers(0, len(words) - 100, count)
    lengths = np.linspace(4, 100, count).astype(int)
    return [
        " ".join(words[start : start + length]) for start, length in zip(starts, rng.permutation(lengths), strict=True)
    ]


def make_model(name: str, folder: Path, seed: int) -> None:
    """A directory as transformers writes it, with a tokenizer of bytes; made once."""
    if (folder / "tokenizer.json").is_file():
        return
    import tokenizers
    import torch
    import transformers

    backend = tokenizers.ByteLevelBPETokenizer()
    lines = (" ".join(novels()[at : at + 1000]) for at in range(0, len(novels()), 1000))
    backend.train_from_iterator(lines, vocab_size=VOCABULARY, min_frequency=1, special_tokens=list(SPECIAL))
    if name == "t5":
        end = backend.token_to_id("</s>")
        backend._tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
            single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", end)]
        )
    torch.manual_seed(seed)
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1}
    ids |= {"decoder_start_token_id": 0} if name == "t5" else {}
    config, model = (getattr(transformers, each) for each in CLASSES[name])
    model(config(vocab_size=VOCABULARY, **MODELS[name], **ids)).save_pretrained(folder)
    roles = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend._tokenizer, **roles).save_pretrained(folder)


def ours(folder: Path, settings: Mapping[str, Any]) -> Generate:
    import pretune

    model = pretune.load(folder, device="cpu")
    chosen = {name: value for name, value in settings.items() if (name, value) != ("top_k", 0)}  # off by default here
    return lambda texts, new: model.generate(texts, max_new_tokens=new, **chosen)


def theirs(folder: Path, settings: Mapping[str, Any]) -> Generate:
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    is_encoded = config.is_encoder_decoder
    tokenizer.padding_side = "right" if is_encoded else "left"
    name = "AutoModelForSeq2SeqLM" if is_encoded else "AutoModelForCausalLM"
    model = getattr(transformers, name).from_pretrained(folder).eval()

    def generate(texts: list[str], new: int) -> list[str]:
        inputs = tokenizer(texts, return_tensors="pt", padding=True, return_token_type_ids=False)
        with torch.inference_mode():
            out = model.generate(**inputs, max_new_tokens=new, pad_token_id=0, **{"do_sample": False, **settings})
        written = out if is_encoded else out[:, inputs["input_ids"].shape[1] :]
        return tokenizer.batch_decode(written, skip_special_tokens=True)

    return generate


def measure(options: argparse.Namespace, cell: Cell) -> Mapping[str, Any]:
    """One side: the seconds of all new tokens and of one, the least of some calls, and the texts."""
    folder = options.work / cell["model"]
    make_model(cell["model"], folder, options.seed)
    texts = prompts(options.prompts, options.seed)
    texts = texts[len(texts) // 2 :][:1] if cell["use"] == "one" else texts
    generate = (ours if cell["side"] == "pretune" else theirs)(folder, USES[cell["use"]])
    found = generate(texts, options.new_tokens)
    generate(texts, 1)
    (options.work / texts_name(cell)).write_text(json.dumps(found), "utf-8")
    seconds = {new: min(timed(generate, texts, new) for _ in range(options.calls)) for new in (options.new_tokens, 1)}
    rate = len(texts) * options.new_tokens / seconds[options.new_tokens]
    step = (seconds[options.new_tokens] - seconds[1]) / (options.new_tokens - 1)
    return {"tokens_per_second": rate, "prefill_ms": 1000 * seconds[1], "step_ms": 1000 * step}


def timed(generate: Generate, texts: list[str], new: int) -> float:
    started = time.perf_counter()
    generate(texts, new)
    return time.perf_counter() - started


def texts_name(cell: Cell) -> str:
    return f"texts-{cell['model']}-{cell['use']}-{cell['side']}.json"


def compare(options: argparse.Namespace, record: Record) -> Iterator[str]:
    yield from heading("model", "use", "side", "new tokens/s", "pretune :", "prefill, ms", "a step, ms")
    for model in options.models:
        for use in options.uses:
            cells = [{"model": model, "use": use, "side": side} for side in SIDES]
            runs = measured(options, record, cells, options.repetitions)
            mine, other = (json.loads((options.work / texts_name(cell)).read_text("utf-8")) for cell in cells)
            if use != "sample" and mine != other:
                unequal = sum(a != b for a, b in zip(mine, other, strict=True))
                record.add({"model": model, "use": use, "failed": f"{unequal} of {len(mine)} texts differ"})
                yield row(model, use, f"**{unequal} of {len(mine)} texts differ**", *[""] * 4)
                continue
            speed = values(runs, "tokens_per_second", side="pretune")
            for side in SIDES:
                of_side = values(runs, "tokens_per_second", side=side)
                parts = (list(values(runs, name, side=side).values()) for name in ("prefill_ms", "step_ms"))
                figures = (spread(part, 2) for part in parts)
                yield row(model, use, side, spread(list(of_side.values())), ratio(speed, of_side), *figures)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="for models and texts")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS), metavar="MODEL")
    parser.add_argument("--uses", nargs="+", choices=list(USES), default=list(USES), metavar="USE")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--calls", type=int, default=5, help="of which the fastest counts")
    parser.add_argument("--seed", type=int, default=1)
    add_arguments(parser, repetitions=5)
    return parser.parse_args()


def run() -> int:
    options = read_arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    for model in options.models:
        make_model(model, options.work / model, options.seed)
    free = ("models", "uses")
    return main(options, lambda record: compare(options, record), lambda cell: measure(options, cell), free=free)


if __name__ == "__main__":
    sys.exit(run())
