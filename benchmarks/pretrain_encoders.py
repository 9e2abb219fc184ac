"""Pre-trains `bert` and `modern` at one size for equal seconds on one corpus, and fills blanks before and after.

    python benchmarks/pretrain_encoders.py --corpus CORPUS --work DIR [--size mini] [--seconds 600] [--out FILE.json]

Both get sequences of 128 and batches of 32 samples, so that steps compare; bert (whose recipe asks for batches of
256 and two lengths over a million steps) gets --bert-lr, a warm-up of a tenth and one length. Runs resume in --work.
The validation losses are those of the masked words on the corpus's held-out documents, in nats, beside the unigram
entropy. Prints Markdown; --out writes JSON.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import pretune
from pretune.checkpoint.bundle import Bundle
from pretune.evaluate.blanks import Blank, Blanks, as_table, guesses
from pretune.evaluate.table import Table, as_markdown
from pretune.verbs import quickstart
from pretune.verbs.pretrained import Pretrained

BLANKS = (
    *quickstart.BLANKS,
    ("The door was", "opened", "by a servant ."),
    ('" My dear', "lady", ', " he said , " you are quite right . "'),
    ("The ship sailed from London in the month of", "may", "."),
    ("He had lost all his", "money", "at cards ."),
)
COMMON = {"batch_size": 32, "max_length": 128, "valid_samples": 1000}


def settings_of(recipe: str, seconds: float, bert_lr: float, seed: int) -> dict[str, Any]:
    own: dict[str, Any] = {"optimizer": {"lr": bert_lr}, "schedule": {"warmup": 0.1}, "short_length": None}
    return COMMON | {"seconds": seconds, "seed": seed} | (own if recipe == "bert" else {})


def blanks_of(model: Path, recipe: str, size: str, seed: int) -> Blanks:
    after = pretune.load(model)
    before = Pretrained(Bundle.fresh(recipe, size, after.tokenizer, heads=after.bundle.specs, seed=seed))
    texts = [f"{left} [MASK] {right}" for left, _, right in BLANKS]
    rows = zip(BLANKS, before.fill(texts), after.fill(texts), strict=True)
    return Blanks(f"{recipe}-{size}", tuple(Blank(a, c, guesses(x), guesses(y), b) for (a, b, c), x, y in rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--size", default="mini")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--bert-lr", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    results = {}
    for recipe in ("modern", "bert"):
        settings = settings_of(recipe, given.seconds, given.bert_lr, given.seed)
        out = given.work / f"{recipe}-{given.size}"
        found = pretune.pretrain(f"{recipe}-{given.size}", corpus=given.corpus, out=out, settings=settings)
        results[recipe] = {key: value for key, value in found.items() if key != "text"}
    rows = tuple(
        (name, one["parameters"], one["steps"], one["tokens"], one["loss"].get("valid_lm", one["loss"]["valid"]),
         one["unigram_entropy"], one["tokens_per_second"], one["mfu"])
        for name, one in results.items()
    )  # fmt: skip
    columns = ("recipe", "parameters", "steps", "tokens", "valid loss", "unigram entropy", "tokens/s", "MFU")
    print(as_markdown(Table(columns, rows, f"{given.size}, {given.seconds:g} s each, seed {given.seed}")))
    blanks = as_table(blanks_of(given.work / f"modern-{given.size}" / "model", "modern", given.size, given.seed))
    print("\n" + as_markdown(blanks))
    if given.out is not None:
        given.out.write_text(json.dumps({"results": results, "blanks": blanks.rows}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
