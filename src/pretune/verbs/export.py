"""export: a model's directory for other libraries.

huggingface: config, weights and tokenizer, as every run's model/ is; opens with transformers' AutoModel classes.
sentence-transformers: the encoder alone, with how its rows become a text's vector (`checkpoint/sentence_transformers`).
"""

from pathlib import Path
from typing import Any

from pretune.checkpoint.bundle import Bundle
from pretune.checkpoint.huggingface import read_json
from pretune.checkpoint.not_opened import other_body
from pretune.checkpoint.seal import MANIFEST
from pretune.checkpoint.sentence_transformers import ENCODER_ALONE, OF_DECODER, Vectors, vectors_files
from pretune.core.errors import InputError, unknown
from pretune.nn.model import Model
from pretune.nn.siamese import EmbeddingHead
from pretune.tokenizers.tokenizer import Tokenizer

FORMATS = ("huggingface", "sentence-transformers")


def export(*, model: str, format: str, out: str | Path, allow_pickle: bool = False) -> dict[str, Any]:
    """Writes a model as another library opens it: {"model", "format", "out", "notes", "text"}.

    notes: what the library leaves out or does otherwise. Raises InputError for an unknown format, for a directory that
    holds other files, and for a model whose vectors pretune does not compute.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    bundle = Bundle.load(model, allow_pickle=allow_pickle)
    notes = _save_vectors(bundle, out) if format == "sentence-transformers" else _save(bundle, out)
    text = "\n".join([f"{out}: {format}", *notes])
    return {"model": str(model), "format": format, "out": str(out), "notes": notes, "text": text}


def _save(bundle: Bundle, out: str | Path) -> list[str]:
    bundle.save(out)
    limit = read_json(Path(out) / MANIFEST).get("transformers")
    return [f"transformers {limit}"] if limit else []


def _save_vectors(bundle: Bundle, out: str | Path) -> list[str]:
    """The body and what makes a vector of its rows; other heads stay behind."""
    if reason := bundle.no_vector:
        raise InputError(
            f"{bundle.folder}: its vectors come from what pretune does not compute, and would be others: {reason}"
        )
    head = bundle.vector_head or EmbeddingHead()
    left = [kind for kind in bundle.model.heads if kind != "embedding"]
    pieces = _that_pads(bundle)
    alone = Bundle(Model(bundle.model.body, {"embedding": head}), pieces, {"heads": [{"kind": "embedding"}]})
    alone.manifest |= {key: value for key, value in bundle.manifest.items() if key == "config"}
    config = alone.family.to_hf(alone.model, alone.specs)[0]
    if bundle.model.body.config.decoder is not None and config["model_type"] not in ENCODER_ALONE:
        raise InputError(
            f"{bundle.folder}: sentence-transformers would pool {OF_DECODER}, and its vectors would be others: of "
            "models with a decoder it opens T5's encoder alone; embed and search with pretune"
        )
    if reason := other_body(config):
        raise InputError(f"{bundle.folder}: sentence-transformers reads it as transformers does, which {reason}")
    vectors = Vectors(head.pooling, head.normalize)
    alone.save(out, more=vectors_files(vectors, bundle.model.body.config.hidden_size, bundle.max_length))
    pooling = "the first row" if head.pooling == "row" else f"the {head.pooling} of all rows"
    notes = [f"a vector is {pooling}{', of length 1' if head.normalize else ''}"]
    if bundle.vector_head is None:
        notes.append("no pooling was trained: the mean is what pretune embed takes too")
    if left:
        notes.append(f"left out, for sentence-transformers has no place for it: the head {', '.join(left)}")
    if pieces is not bundle.tokenizer:
        notes.append(
            f"the tokenizer had no padding token: texts of a batch are filled up with {pieces.special_tokens['pad']}"
        )
    notes.append(f"sentence-transformers cuts texts longer than {bundle.max_length} tokens, where pretune refuses them")
    return notes


def _that_pads(bundle: Bundle) -> Tokenizer:
    """The tokenizer with a token to fill up the texts of a batch, which sentence-transformers needs: where it has none,
    as GPT-2's, the one that ends a text; it is masked there. InputError where it has neither."""
    vocab = bundle.tokenizer.vocab
    if vocab.pad_id is not None:
        return bundle.tokenizer
    if vocab.end_id is None:
        raise InputError(
            f"{bundle.folder}: sentence-transformers fills up the texts of a batch, and this tokenizer has no token "
            "for it ([PAD], <pad>) and none that ends a text: name one as pad_token in its tokenizer_config.json"
        )
    return bundle.tokenizer.with_role("pad", vocab.end_id)
