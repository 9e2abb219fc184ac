"""Every family beside transformers: the largest difference of logits, with and without a cache, and equal texts.

    python benchmarks/parity.py [--families gpt2 t5 ...] [--layers 4] [--size 256] [--prompts 16] [--out parity.json]

For each family a model whose every weight, bias and norm is random is saved by pretune and opened by transformers,
whose copy is saved by transformers and opened by pretune again. Differences are the largest of any logit, fp32, over
sequences of 5 to 120 tokens (a decoder beside an encoder reads another text than the encoder); `cached` reads half of
each and then a token at a time, beside transformers' pass over the whole; `back` is pretune's model beside the one that
came back. greedy, beams (4): texts of 16 tokens that are equal, of so many prompts. scale: the standard deviation of
logits. Queries of models that do not divide their products (T5) are smaller by the root of the head's size, as they
start: otherwise attention is so sharp that the last bits of fp32 show. Exit status 1 where a difference is above 1e-5
and above 1e-5 of the scale, or a text is another.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

import pretune
from pretune.checkpoint.bundle import Bundle
from pretune.core.assemble import decoder_input
from pretune.core.pack import pack
from pretune.core.registry import entries
from pretune.core.stream import Example, Targets, bidirectional, left_to_right
from pretune.families.family import HeadSpec
from pretune.families.t5 import V1_1
from pretune.nn.model import Model
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.tokenizers.train import train_tokenizer

LENGTHS = (5, 120, 31, 64, 17, 90, 8, 44)
NEW_TOKENS = 16
TEXT = "the old man saw a ship on the sea and she said that it was not so far from there as they had thought before"
WORDS = TEXT.split()
LIMIT = 1e-5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", default=list(entries("pretune.families")))
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--out", type=Path)
    told = parser.parse_args()
    torch.manual_seed(0)
    tokenizer, _ = train_tokenizer([TEXT] * 4, algorithm="wordpiece", vocab_size=120)
    shape = {"num_layers": told.layers, "hidden_size": told.size, "attention.num_heads": told.size // 64}
    shape["feed_forward.intermediate_size"] = 4 * told.size
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {torch.get_num_threads()} threads")
    print(f"{'family':12} {'scale':>6} {'logits':>8} {'cached':>8} {'back':>8} {'greedy':>7} {'beams':>7}")
    rows = []
    for name in told.families:
        gated = V1_1 if name in ("byt5", "mt5") else {}
        rows.append(measure(name, {**shape, **gated}, tokenizer, told.prompts))
        print(as_text(rows[-1], told.prompts), flush=True)
    if told.out:
        told.out.write_text(json.dumps(rows, indent=2) + "\n")
    return int(not all(is_equal(row, told.prompts) for row in rows))


def measure(name: str, shape: dict[str, Any], tokenizer: Tokenizer, num_prompts: int) -> dict[str, Any]:
    bundle = Bundle.fresh(name, shape, tokenizer, heads=[HeadSpec("lm")])
    randomise(bundle.model)
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder) / "ours", Path(folder) / "theirs"
        bundle.save(first)
        (class_name,) = json.loads((first / "config.json").read_text())["architectures"]
        theirs = getattr(transformers, class_name).from_pretrained(first, attn_implementation="eager").eval()
        theirs.save_pretrained(second)
        pieces = transformers.AutoTokenizer.from_pretrained(first)
        pieces.save_pretrained(second)
        examples = drawn(bundle)
        wanted = [reference(theirs, example) for example in examples]
        ours = logits(bundle.model, examples)
        row = {"family": name, "scale": float(torch.cat(wanted).std()), "logits": largest(ours, wanted)}
        row["back"] = largest(logits(Bundle.load(second).model, examples), ours)
        if bundle.model.body.config.generates:
            row["cached"] = largest(cached(bundle.model, examples), [part[len(part) // 2 :] for part in wanted])
            written = pretune.load(first)
            row["greedy"] = equal_texts(written, theirs, pieces, num_prompts, {})
            row["beams"] = equal_texts(written, theirs, pieces, num_prompts, {"num_beams": 4})
    return row


def randomise(model: Model) -> None:
    """Matrices by fan-in, embeddings 0.3, norms about 1, biases 0.2."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.normal_(generator=generator)
            if value.ndim == 2:
                value.mul_(0.3 if "embedding" in name or "scores" in name else value.shape[1] ** -0.5)
            else:
                value.mul_(0.2).add_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
        for part in model.modules():
            if not getattr(part, "scaled", True):
                queries = part.query.weight if hasattr(part, "query") else part.qkv.weight[: part.sizes[0]]
                queries.mul_(part.head_size**-0.5)
    model.eval()


def drawn(bundle: Bundle) -> list[Example]:
    """Random ids, all of whose rows are read; ids of special tokens are none of them."""
    rng, start = np.random.default_rng(2), bundle.template.start_id
    found = []
    for number, length in enumerate(LENGTHS):
        ids = rng.integers(5, bundle.tokenizer.vocab.size, length)
        source, target = bidirectional(ids), None
        if start is not None:
            other = LENGTHS[-1 - number]
            target = decoder_input(rng.integers(5, bundle.tokenizer.vocab.size, other), start)
        elif bundle.model.body.config.generates:
            source = left_to_right(source)
        rows = np.arange((source if target is None else target).num_tokens)[:, None]
        found.append(Example(source, target, {"lm": Targets(rows)}))
    return found


def logits(model: Model, examples: list[Example]) -> list[torch.Tensor]:
    """[T, V] of each example."""
    with torch.no_grad():
        out = model.eval()(pack(examples).to("cpu"))["lm"]
    return list(torch.split(out, [example.read.num_tokens for example in examples]))


def cached(model: Model, examples: list[Example]) -> list[torch.Tensor]:
    """The same from half of each example on, a token at a time; sequences that have ended are left out."""
    halves = [half(example) for example in examples]
    ids = [example.read.ids_T for example in examples]
    steps = [len(whole) - first.read.num_tokens for whole, first in zip(ids, halves, strict=True)]
    parts: list[list[torch.Tensor]] = [[] for _ in examples]
    with torch.no_grad():
        going = list(range(len(examples)))
        hidden_ND, cache = model.body.prefill(pack(halves).to("cpu"), max(steps))
        for step in range(max(steps) + 1):
            for row, number in zip(model.heads["lm"](hidden_ND.unsqueeze(1), None), going, strict=True):
                parts[number].append(row)
            kept = [place for place, number in enumerate(going) if step < steps[number]]
            if not kept:
                break
            cache.select(torch.tensor(kept))
            going = [going[place] for place in kept]
            next_N = [ids[number][halves[number].read.num_tokens + step] for number in going]
            hidden_ND = model.body.step(torch.tensor(np.array(next_N)), cache)
    return [torch.stack(rows) for rows in parts]


def half(example: Example) -> Example:
    """With the first half of what is read, and one token more."""
    ids = example.read.ids_T[: len(example.read.ids_T) // 2 + 1]
    stream = left_to_right(bidirectional(ids))
    return Example(stream) if example.target is None else Example(example.source, stream)


def reference(model: Any, example: Example) -> torch.Tensor:
    """transformers' logits of one sequence, [T, V]."""
    inputs = {"input_ids": torch.from_numpy(example.source.ids_T)[None]}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if example.target is not None:
        inputs["decoder_input_ids"] = torch.from_numpy(example.target.ids_T)[None]
    with torch.no_grad():
        return model(**inputs).logits[0]


def largest(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> float:
    return max(float((one - other).abs().max()) for one, other in zip(ours, theirs, strict=True))


def equal_texts(ours: Any, theirs: Any, pieces: Any, number: int, settings: dict[str, Any]) -> int:
    """Of prompts of 1 to 20 words, how many go on with the same text."""
    rng = np.random.default_rng(3)
    prompts = [" ".join(rng.choice(WORDS, rng.integers(1, 21))) for _ in range(number)]
    found = 0
    for prompt, text in zip(prompts, ours.generate(prompts, max_new_tokens=NEW_TOKENS, **settings), strict=True):
        inputs = pieces(prompt, return_tensors="pt")
        with torch.no_grad():
            out = theirs.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False, **settings)[0]
        before = "" if theirs.config.is_encoder_decoder else pieces.decode(inputs["input_ids"][0])
        found += pieces.decode(out, skip_special_tokens=True).removeprefix(before) == text
    return found


def is_equal(row: dict[str, Any], num_prompts: int) -> bool:
    differences = [row[key] for key in ("logits", "cached", "back") if key in row]
    texts = [row[key] for key in ("greedy", "beams") if key in row]
    return max(differences) <= LIMIT * max(1.0, row["scale"]) and all(each == num_prompts for each in texts)


def as_text(row: dict[str, Any], num_prompts: int) -> str:
    numbers = [f"{row[key]:8.1e}" if key in row else f"{'–':>8}" for key in ("logits", "cached", "back")]
    texts = [f"{row[key]:3}/{num_prompts:<3}" if key in row else f"{'–':>7}" for key in ("greedy", "beams")]
    return f"{row['family']:12} {row['scale']:6.2f} {' '.join(numbers)} {' '.join(texts)}"


if __name__ == "__main__":
    sys.exit(main())
