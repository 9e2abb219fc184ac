"""A model's directory as the library sentence-transformers has it: what becomes of the last layer's rows.

    modules.json                        the modules a text passes: Transformer, Pooling, and perhaps Normalize
    1_Pooling/config.json               which pooling
    sentence_bert_config.json           the length at which texts are cut there
    config_sentence_transformers.json   prompts that are put before texts, if any

Read, in the layouts of its releases 1 to 6: the first module at the root, mean, max or the first row, then perhaps
length 1. Written in a layout that all of them read. What else such a directory may ask for (a Dense module, several
poolings, a prompt by default, text made lower case outside the tokenizer) pretune does not compute; `left_out` says
what it is, and the encoder opens without it.

The length there (`max_seq_length`) cuts texts without a word, so it is not taken over: pretune reads whole what the
model has positions for, and refuses more. Of texts beyond that length the vectors differ for this reason alone. What
pretune writes has the model's own limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pretune.core.errors import InputError
from pretune.core.strict_json import parse, read_object, read_text
from pretune.nn.siamese import EmbeddingPooling

MODULES = "modules.json"
POOLING, NORMALIZE = "1_Pooling", "2_Normalize"
TRANSFORMER = "sentence_bert_config.json"
SETTINGS = "config_sentence_transformers.json"
FILES = (MODULES, TRANSFORMER, SETTINGS, POOLING, NORMALIZE)
"""What a directory of such a model has at its root besides the encoder's files."""
ENCODER_ALONE = ("t5", "mt5")
"""Model types with a decoder of which it opens the encoder; of others it pools the decoder's rows, and pretune pools
the encoder's."""
OF_DECODER = "rows of the decoder, where pretune pools the encoder's"

MODES: Mapping[EmbeddingPooling, str] = {
    "row": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
}
NAMES: Mapping[str, EmbeddingPooling] = {"cls": "row", "mean": "mean", "max": "max"}
"""pooling_mode of release 6 and later."""


@dataclass(frozen=True)
class Vectors:
    """How rows become a vector. left_out: what more the files ask for, in words; the rest means nothing then."""

    pooling: EmbeddingPooling = "mean"
    normalize: bool = False
    left_out: str | None = None


def read_vectors(folder: Path) -> Vectors | None:
    """What the files of a directory say; None where it is not of this kind. InputError for broken files."""
    if not (folder / MODULES).is_file():
        return None
    modules = _modules(folder / MODULES)
    kinds = [_kind(folder, module) for module in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return Vectors(left_out=f"modules {', '.join(kinds) or 'none'}")
    if modules[0]["path"]:
        return Vectors(left_out=f"an encoder in {modules[0]['path']}")
    pooling = _pooling(read_object(folder / modules[1]["path"] / "config.json"))
    left_out = _transformer(folder) or _prompt(folder)
    if pooling is None:
        left_out = f"the pooling of {modules[1]['path']}/config.json"
    return Vectors(pooling or "mean", len(kinds) == 3, left_out)


def _modules(path: Path) -> list[Any]:
    try:
        found = parse(read_text(path, "fetch or write it again"))
    except ValueError as error:
        raise InputError(f"{path}: not readable as JSON ({error}): fetch or write it again") from error
    if not isinstance(found, list):
        raise InputError(f"{path}: expected a JSON list, found {type(found).__name__}: fetch or write it again")
    return found


def _kind(folder: Path, module: Any) -> str:
    if not isinstance(module, dict) or not all(isinstance(module.get(key), str) for key in ("type", "path")):
        raise InputError(f"{folder / MODULES}: {module!r:.80} is no module: expected a type and a path")
    path = module["path"]
    if path != Path(path).name or path == "..":
        raise InputError(f"{folder / MODULES}: {path!r:.80} is not a folder of this directory")
    return str(module["type"]).rpartition(".")[2]


def _pooling(config: Mapping[str, Any]) -> EmbeddingPooling | None:
    """The one pooling of a config; None for others and for several."""
    if "pooling_mode" in config:
        return NAMES.get(config["pooling_mode"]) if isinstance(config["pooling_mode"], str) else None
    on = [name for name, value in config.items() if name.startswith("pooling_mode_") and value]
    return next((pooling for pooling, name in MODES.items() if on == [name]), None)


def _transformer(folder: Path) -> str | None:
    path = folder / TRANSFORMER
    told = read_object(path) if path.is_file() else {}
    if told.get("do_lower_case"):
        return f"text in lower case ({TRANSFORMER})"
    if told.get("transformer_task", "feature-extraction") != "feature-extraction":
        return f"the task {told['transformer_task']!r} ({TRANSFORMER})"
    return None


def _prompt(folder: Path) -> str | None:
    path = folder / SETTINGS
    told = read_object(path) if path.is_file() else {}
    name, prompts = told.get("default_prompt_name"), told.get("prompts")
    if name is not None and (not isinstance(prompts, dict) or prompts.get(name) != ""):
        return f"the prompt {name!r} before each text ({SETTINGS})"
    return None


def vectors_files(vectors: Vectors, hidden_size: int, max_length: int) -> dict[str, Any]:
    """{path: what its JSON says} of a directory whose root holds the encoder.

    >>> sorted(vectors_files(Vectors("mean", normalize=True), 8, 128))[:2]
    ['1_Pooling/config.json', '2_Normalize/config.json']
    """
    kinds = [("", "Transformer"), (POOLING, "Pooling")] + [(NORMALIZE, "Normalize")] * vectors.normalize
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(kinds)
    ]
    pooling: dict[str, Any] = {"word_embedding_dimension": hidden_size}
    pooling |= {MODES[known]: known == vectors.pooling for known in get_args(EmbeddingPooling)}
    files: dict[str, Any] = {
        MODULES: modules,
        f"{POOLING}/config.json": pooling,
        TRANSFORMER: {"max_seq_length": max_length, "do_lower_case": False},
        SETTINGS: {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    }
    return files | ({f"{NORMALIZE}/config.json": {}} if vectors.normalize else {})
