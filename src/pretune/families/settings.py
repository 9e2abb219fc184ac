"""A family's config.json as a table: their key, and where the number stands in a TransformerConfig; read both ways.

Writing reads the finished file back and compares, so a body that the family's files cannot express (a BERT with rotary
positions) is refused when it is saved and never saved as something else.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from pretune.core.errors import InputError, unknown
from pretune.nn.config import FanIn, Init, Normal, TransformerConfig

ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu"} | {
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
"""Hugging Face's activation names (transformers' activations.py) and ours. The first name of several is written."""


HARMLESS = frozenset(
    """
    architectures model_type transformers_version torch_dtype dtype _name_or_path _commit_hash name language pretune
    id2label label2id num_labels _num_labels problem_type finetuning_task tokenizer_class prefix task_specific_params
    use_cache return_dict output_hidden_states output_attentions output_past torchscript use_bfloat16 xla_device
    gradient_checkpointing tf_legacy_loss attn_implementation _attn_implementation _attn_implementation_autoset
    sentence_transformers transformers.js_config cross_attention_hidden_size tie_encoder_decoder
    bos_token_id eos_token_id sep_token_id cls_token_id pad_token_id mask_token_id unk_token_id decoder_start_token_id
    max_length min_length do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p
    typical_p repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids
    num_return_sequences output_scores return_dict_in_generate forced_bos_token_id forced_eos_token_id
    remove_invalid_values exponential_decay_length_penalty suppress_tokens begin_suppress_tokens
    deterministic_flash_attn reference_compile repad_logits_with_grad layer_norm_eps sparse_prediction
    sparse_pred_ignore_index directionality pooler_type pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers
    pooler_size_per_head
    """.split()  # noqa: SIM905 (a list of these would be sixty lines)
)
"""Keys that say nothing about how an encoder computes: bookkeeping, training, generation, decoders."""
CODE = ("auto_map", "custom_pipelines", "trust_remote_code")
"""Keys by which transformers is sent to Python code in the model's directory. pretune runs none, ever."""
LARGEST = 1 << 24
"""No size in a config.json is larger (16.8 million): products of three of them stay below 2 ** 63."""
LARGEST_BASE = 1e12
"""Nor a rotary base, which is no size: models for long texts have some hundreds of millions."""


@dataclass(frozen=True)
class Key:
    """A key of config.json that stands at each of `ours` (dotted paths in a TransformerConfig).

    default: what transformers assumes where a file leaves the key out; its type is the type a value must have.
    """

    theirs: str
    default: Any
    ours: tuple[str, ...]

    @property
    def is_activation(self) -> bool:
        return self.ours[0].endswith("activation")


def key(theirs: str, default: Any, *ours: str) -> Key:
    return Key(theirs, default, ours)


def read(
    keys: Sequence[Key], base: TransformerConfig, hf: Mapping[str, Any], more: Mapping[str, Any] | None = None
) -> TransformerConfig:
    """The config that `hf` describes: `base` with every key's value put in its places, and `more` {path: value}.

    Raises InputError that names the key for a value of a wrong type and for numbers that do not fit together.
    """
    changes: dict[str, Any] = {}
    for path, value in (more or {}).items():
        _put(changes, path, value)
    for entry in keys:
        value = _value(entry, hf)
        for path in entry.ours:
            _put(changes, path, value)
    return change(base, changes)  # type: ignore[no-any-return]


def write(keys: Sequence[Key], config: TransformerConfig) -> dict[str, Any]:
    """The keys of config.json that `config` has places for; the others are left to the caller."""
    found = {}
    for entry in keys:
        try:
            value = _at(config, entry.ours[0])
        except AttributeError:
            continue
        if entry.is_activation:
            value = next(theirs for theirs, ours in ACTIVATIONS.items() if ours == value)
        found[entry.theirs] = value
    return found


def write_init(init: Init) -> dict[str, Any]:
    """How weights start, for a family's `pretune` key.

    >>> write_init(Normal(std=0.1))
    {'kind': 'Normal', 'std': 0.1, 'cutoff': None}
    """
    return {"kind": type(init).__name__, **vars(init)}


def read_init(told: Any) -> Init:
    """The opposite of `write_init`. InputError for what it would not write."""
    try:
        numbers = {name: value for name, value in told.items() if name != "kind"}
        if not all(
            value is None or (type(value) in (int, float) and 0 < value <= LARGEST) for value in numbers.values()
        ):
            raise TypeError
        kinds: dict[str, type[Normal] | type[FanIn]] = {"Normal": Normal, "FanIn": FanIn}
        return kinds[told["kind"]](**numbers)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"config.json: pretune.init is {told!r}: not what pretune writes") from error


def refuse(hf: Mapping[str, Any], allowed: Mapping[str, tuple[Any, ...]]) -> None:
    """Raises InputError for a key whose value changes the numbers in a way pretune does not compute."""
    for name in CODE:
        if hf.get(name):
            raise InputError(
                f"config.json: {name} names code to compute this model with, and pretune runs no code of a model's "
                f"directory, ever: if it is a plain {hf.get('model_type')!r:.60}, remove the key from your copy"
            )
    for name, values in allowed.items():
        if name in hf and hf[name] not in values:
            expected = " or ".join(repr(value) for value in values)
            raise InputError(f"config.json: {name} is {hf[name]!r}: pretune computes only {expected}")


def refuse_unknown(hf: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raises InputError for a key that is on no list: it might change how the model computes."""
    known = {*known, *HARMLESS, *CODE}
    if foreign := sorted(hf.keys() - known):
        near = difflib.get_close_matches(foreign[0], known, n=1)
        raise InputError(
            f"config.json: unknown key {foreign[0]!r:.80}{f' (is {near[0]} meant?)' if near else ''}: it might change "
            f"how the model computes; if you know that it does not, remove it from your copy"
        )


def rate(hf: Mapping[str, Any], name: str) -> float | None:
    """A dropout rate that may be null. InputError for anything but a number of at least 0 and below 1."""
    value = hf.get(name)
    if value is not None and (type(value) not in (int, float) or not 0 <= value < 1):
        raise InputError(f"config.json: {name} is {value!r:.60}: expected null or a number from 0 to below 1")
    return None if value is None else float(value)


def size(hf: Mapping[str, Any], name: str, default: int) -> int:
    """A size of at least 1. InputError for anything else."""
    value = hf.get(name, default)
    if type(value) is not int or not 1 <= value <= LARGEST:
        raise InputError(f"config.json: {name} is {value!r:.60}: expected a whole number from 1 to {LARGEST:,}")
    return value


def change(config: Any, changes: Mapping[str, Any]) -> Any:
    """A frozen dataclass with nested changes, all applied at once so that they are checked together.

    >>> from pretune.nn.config import HeadTransform, Norm
    >>> change(HeadTransform(norm=Norm()), {"bias": False, "norm": {"eps": 1e-5}}).norm.eps
    1e-05
    """
    flat = {n: change(getattr(config, n), v) if isinstance(v, Mapping) else v for n, v in changes.items()}
    return replace(config, **flat)


def change_by_path(config: TransformerConfig, tree: Mapping[str, Any], keys: Sequence[Key]) -> TransformerConfig:
    """`config` with fields changed, by dotted path or nested. What the files keep as one number changes everywhere.

    Raises InputError for a field that does not exist and for a value of another type than the field's.
    """
    linked = {entry.ours[0]: entry.ours for entry in keys}
    changes: dict[str, Any] = {}
    for path, value in flat(tree):
        held = _held(config, path)
        if type(held) is float and type(value) is int:
            value = float(value)
        if type(held) in (int, float, bool, str) and type(value) is not type(held):
            raise InputError(f"{path} is {value!r}: expected {type(held).__name__}, like {held!r}")
        if not is_dataclass(value) and is_dataclass(held):
            raise InputError(
                f"{path} is {value!r:.60}: set its parts, {', '.join(vars(held)) or 'of which it has none'}"
            )
        if held is None or isinstance(held, tuple):
            _check_optional(config, path, value)
        if path.endswith("activation") and value not in ACTIVATIONS.values():
            raise unknown(path, str(value), set(ACTIVATIONS.values()))
        for place in linked.get(path, (path,)):
            _put(changes, place, tuple(value) if isinstance(value, list) else value)
    return change(config, changes)  # type: ignore[no-any-return]


def flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested settings by their dotted paths.

    >>> flat({"num_layers": 3, "norm": {"eps": 1e-5}})
    [('num_layers', 3), ('norm.eps', 1e-05)]
    """
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        found += flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(prefix + name, value)]
    return found


def _check_optional(config: Any, path: str, value: Any) -> None:
    """InputError for what a field that may be empty does not take; of parts a body may have, the config says it."""
    *parents, name = path.split(".")
    kind = type(_at(config, ".".join(parents)) if parents else config)
    hint = get_type_hints(kind)[name]
    if any(map(is_dataclass, get_args(hint))):
        return
    try:
        TypeAdapter(hint).validate_python(tuple(value) if isinstance(value, list) else value, strict=True)
    except ValidationError as error:
        wanted = hint if get_args(hint) else hint.__name__
        raise InputError(f"{path} is {value!r:.60}: expected {wanted}") from error


def _held(config: Any, path: str) -> Any:
    """The value at a dotted path; InputError, with the fields there are, where there is none."""
    for depth, name in enumerate(path.split(".")):
        if not is_dataclass(config) or name not in config.__dataclass_fields__:
            before = "".join(f"{part}." for part in path.split(".")[:depth])
            known = [before + field for field in config.__dataclass_fields__] if is_dataclass(config) else [before[:-1]]
            raise unknown("model setting", path, known)
        config = getattr(config, name)
    return config


def differences(first: Any, second: Any, path: str = "") -> list[str]:
    """The dotted paths at which two configs differ, with both values.

    >>> from pretune.nn.config import Norm
    >>> differences(Norm(eps=1e-5), Norm(eps=1e-6))
    ['eps is 1e-05 and not 1e-06']
    """
    if type(first) is not type(second) or not is_dataclass(first):
        return [] if first == second else [f"{path or 'it'} is {first!r} and not {second!r}"]
    found = []
    for name in first.__dataclass_fields__:
        inner = f"{path}.{name}" if path else name
        found += differences(getattr(first, name), getattr(second, name), inner)
    return found


def _value(entry: Key, hf: Mapping[str, Any]) -> Any:
    value = hf.get(entry.theirs, entry.default)
    wanted = type(entry.default)
    accepted = (int, float) if wanted is float else (wanted,)
    if type(value) not in accepted:
        raise InputError(f"config.json: {entry.theirs} is {value!r:.60}: expected {wanted.__name__}")
    if entry.is_activation:
        if value not in ACTIVATIONS:
            raise InputError(f"config.json: {entry.theirs} is {value!r:.60}: pretune computes {', '.join(ACTIVATIONS)}")
        return ACTIVATIONS[value]
    if type(value) in (int, float) and not 0 <= value <= LARGEST:  # NaN is not either
        raise InputError(f"config.json: {entry.theirs} is {value!r:.60}: expected a number from 0 to {LARGEST:,}")
    return wanted(value)


def _put(tree: dict[str, Any], path: str, value: Any) -> None:
    *parents, leaf = path.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[leaf] = value


def _at(config: Any, path: str) -> Any:
    for name in path.split("."):
        config = getattr(config, name)
    return config
