"""What encoder families share: bodies, heads and files from tables, which the families' files hold."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pretune.core.errors import InputError, unknown
from pretune.core.randomness import derive_seed
from pretune.families import layout as files
from pretune.families import settings
from pretune.families.family import KINDS, LABELLED, PRETRAINING, HeadSpec, Kind, Loaded
from pretune.families.labels import write_labels
from pretune.families.layout import Layout
from pretune.families.present import heads_in, wanted_spec
from pretune.families.reading import check_sizes, read_weights
from pretune.families.settings import Key
from pretune.families.weights import to_theirs
from pretune.nn.body import Body
from pretune.nn.config import BiLSTM, HeadTransform, TransformerConfig
from pretune.nn.crf import CRF
from pretune.nn.encoder_decoder import EncoderDecoder
from pretune.nn.heads import ClassificationHead, SpanBoundaryHead
from pretune.nn.model import Model
from pretune.nn.pooling import Pooling
from pretune.nn.siamese import EmbeddingHead, SiameseHead
from pretune.nn.transformer import Transformer

OUTPUTS: Mapping[Kind, int] = {
    "lm": 0,
    "next_sentence": 2,
    "sentence_order": 2,
    "choice": 1,
    "answer": 2,
    "replaced_token": 1,
}
"""Outputs of the kinds of heads whose labels nobody chooses; "lm" has those of the vocabulary."""
TIED = "tie_word_embeddings"
"""A key that says something only of what writes words."""

AnyBody = Transformer | EncoderDecoder


def new_body(config: TransformerConfig, seed: int | None) -> AnyBody:
    """A body of one stream, or of two where the config has a decoder. seed: None for whoever fills it."""
    return Transformer(config, seed) if config.decoder is None else EncoderDecoder(config, seed)


class Encoder(ABC):
    """A family of Transformer encoders. Subclasses give the tables and what differs: heads, template, config.json."""

    name: str
    model_type: str
    presets: Mapping[str, Mapping[str, Any]]
    published: Mapping[str, int] = {}
    token_ids: Mapping[str, str | tuple[str, ...]]
    keys: Sequence[Key]
    older_keys: Sequence[str] = ()
    """Keys of config.json that `read_config` reads and `write_config` does not write."""
    layout: Layout
    refused: Mapping[str, tuple[Any, ...]]
    kept: Mapping[str, Any]
    """Keys of config.json that change no numbers here and are carried along, with what a fresh model has."""
    reads_at_end = False
    """Whether transformers reads a whole text at its last row, as a causal body needs it."""

    @abstractmethod
    def base(self, vocab_size: int) -> TransformerConfig:
        """The config that presets and files change."""

    @abstractmethod
    def read_config(self, hf: Mapping[str, Any]) -> TransformerConfig:
        """The body's config of a config.json whose refused keys have been looked at."""

    @abstractmethod
    def write_config(self, config: TransformerConfig) -> dict[str, Any]:
        """The keys of config.json that say what the body is."""

    @abstractmethod
    def make_head(
        self, kind: Kind, body: Body, num_labels: int, seed: int, pooling: Pooling | None, dropout: float | None
    ) -> nn.Module:
        """A fresh head of a kind that exists, with a number of labels where it needs one."""

    @abstractmethod
    def head_settings(self, hf: Mapping[str, Any], kind: Kind) -> tuple[Pooling, float | None]:
        """How config.json says that a head of whole texts pools, and the dropout before a kind's last map."""

    @abstractmethod
    def write_head_settings(self, spec: HeadSpec) -> dict[str, Any]:
        """The keys of config.json for pooling and dropout of a head that has such settings."""

    def layout_of(self, config: TransformerConfig) -> Layout:
        """The layout of a body's files: `layout`, where no choice of the body changes their names."""
        return self.layout

    def config(self, size: str | Mapping[str, Any], vocab_size: int, **changes: Any) -> TransformerConfig:
        """The body's config of a preset or of a mapping of settings, with changes.

        Settings are fields of TransformerConfig by dotted path or nested: {"num_layers": 3, "attention.dropout": 0.0}.
        One that the family's files keep as one number changes every place of it.
        Raises InputError for an unknown size or setting and for what the family's files could not express.
        """
        if isinstance(size, str) and size not in self.presets:
            raise unknown(f"size of {self.name},", size, self.presets)
        config = self.base(vocab_size)
        for tree in (self.presets[size] if isinstance(size, str) else size, changes):
            config = settings.change_by_path(config, tree, self.keys)
        self.check(config)
        return config

    def check(self, config: TransformerConfig, may_map: bool = False) -> dict[str, Any]:
        """The keys of config.json for a body. InputError where they would not say what the body is.

        may_map: a map between embeddings and layers that the family's files do not know is said under `pretune`, as a
        generator needs it (transformers cannot open such a file).
        """
        hf = self.write_config(config)
        told = self.read_config(hf)
        own: dict[str, Any] = {}
        if told.init != config.init:
            own["init"] = settings.write_init(config.init)
        for name in ("causal", "prefix"):
            if (ours := getattr(config.attention, name)) != getattr(told.attention, name):
                own[name] = ours
        if may_map and told.embedding_size != config.embedding_size:
            own["embedding_size"] = config.embedding_size
        if config.top is not None:
            own["top"] = "bilstm"
        if own:
            hf["pretune"] = {**hf.get("pretune", {}), **own}
        if different := settings.differences(config, self._config_of(hf)):
            raise InputError(
                f"not a body that {self.name}'s files can express: {'; '.join(different)} (the family free has files "
                "for any choice of a body of one stream)"
            )
        return hf

    def _config_of(self, hf: Mapping[str, Any]) -> TransformerConfig:
        """The body's config of a config.json. How weights start is ours to say, under `pretune`, and where the family
        has no key for it, that a body is causal or goes on with a prefix, and the size of mapped embeddings."""
        config = self.read_config(hf)
        told = hf.get("pretune")
        for name in ("causal", "prefix"):
            if isinstance(told, Mapping) and name in told:
                if not isinstance(told[name], bool):
                    raise InputError(f"config.json: pretune.{name} is {told[name]!r:.60}: expected true or false")
                config = replace(config, attention=replace(config.attention, **{name: told[name]}))
        if isinstance(told, Mapping) and "embedding_size" in told:
            config = replace(config, embedding_size=settings.size(told, "embedding_size", 1))
        if isinstance(told, Mapping) and "top" in told:
            if told["top"] != "bilstm":
                raise InputError(f"config.json: pretune.top is {told['top']!r:.60}: pretune knows bilstm")
            config = replace(config, top=BiLSTM())
        init = told.get("init") if isinstance(told, Mapping) else None
        return config if init is None else replace(config, init=settings.read_init(init))

    def for_tokenizer(self, special_ids: Mapping[str, int]) -> dict[str, Any]:
        """Nothing: most bodies fit any tokenizer."""
        return {}

    def need_special(self, special_ids: Mapping[str, int], roles: Sequence[str] = ("cls", "sep")) -> dict[str, int]:
        """The special ids; InputError where a role is missing."""
        if lacking := [role for role in roles if role not in special_ids]:
            raise InputError(f"the tokenizer has no {' and no '.join(lacking)} token, which {self.name} needs")
        return dict(special_ids)

    def build(self, config: TransformerConfig, seed: int = 0) -> AnyBody:
        """A body with fresh weights that can make this family's heads, theirs drawn from `seed` too."""
        return self._joined(new_body(config, derive_seed(seed, "body")), seed)

    def _joined(self, body: AnyBody, seed: int) -> AnyBody:
        return body.join(self.name, partial(self._family_head, seed), seed)

    def _family_head(self, seed: int, kind: str, body: Body, num_labels: int | None = None) -> nn.Module:
        return self.head(kind, body, num_labels, seed=seed)

    @abstractmethod
    def max_length(self, config: TransformerConfig, kept: Mapping[str, Any]) -> int:
        """The longest sequence. kept: of config.json, or the whole of it; InputError for a length that is none."""

    def head(
        self,
        kind: str,
        body: Body,
        num_labels: int | None = None,
        *,
        seed: int = 0,
        pooling: Pooling | None = None,
        dropout: float | None = None,
        normalize: bool | None = None,
    ) -> nn.Module:
        """A head with fresh weights. Raises InputError for an unknown kind and for labels that do not fit it."""
        known = next((each for each in KINDS if each == kind), None)
        if known is None:
            raise unknown("kind of head", kind, KINDS)
        if known in PRETRAINING and body.config.top is not None:
            raise InputError("a body with a layer on top is fine-tuned: pre-train the model that it was made from")
        if known in LABELLED and not num_labels:
            raise InputError(f'a head of kind "{kind}" needs a number of labels')
        if known == "crf":
            return CRF(int(num_labels or 0)).to(body.device)
        if known == "embedding":
            return EmbeddingHead(pooling or "mean", bool(normalize))  # type: ignore[arg-type]
        if known == "span_boundary":
            return SpanBoundaryHead(body, body.config.init, derive_seed(seed, kind)).to(body.device)
        if known == "replaced_token":
            config: TransformerConfig = body.config
            layer, drawn = HeadTransform(activation=config.feed_forward.activation), derive_seed(seed, kind)
            return ClassificationHead(config.hidden_size, 1, config.init, transform=layer, seed=drawn).to(body.device)
        if known == "siamese":
            return SiameseHead(
                body.config.hidden_size, int(num_labels or 0), body.config.init, derive_seed(seed, kind)
            ).to(body.device)
        outputs = OUTPUTS.get(known, int(num_labels or 0))
        return self.make_head(known, body, outputs, derive_seed(seed, kind), pooling, dropout)

    def head_of(self, spec: HeadSpec, body: Body, seed: int = 0) -> nn.Module:
        """The head a spec asks for, with fresh weights."""
        num_labels = len(spec.labels) or None
        how: dict[str, Any] = {"pooling": spec.pooling, "dropout": spec.dropout, "normalize": spec.normalize}
        return self.head(spec.kind, body, num_labels, seed=seed, **how)

    @property
    def has_pooler(self) -> bool:
        return self.layout.pooler is not None

    def pooler_of(self, body: Body, seed: int = 0) -> nn.Module:
        raise InputError(f"{self.name} has no pooler")

    def reads(self, hf: Mapping[str, Any]) -> bool:
        return hf.get("model_type") == self.model_type

    def from_hf(
        self,
        hf: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        heads: Sequence[HeadSpec] | None = None,
        seed: int = 0,
    ) -> Loaded:
        """A model from config.json and weights. heads: None for those of the file, else exactly these.

        Raises InputError for settings that pretune does not compute, for missing and for unknown weights.
        """
        tied = {name: values for name, values in self.refused.items() if name == TIED}
        settings.refuse(hf, {name: values for name, values in self.refused.items() if name != TIED})
        settings.refuse_unknown(hf, self._known_keys())
        self._refuse_more_layers(hf, len(weights))
        config = self._config_of(hf)
        self.max_length(config, hf)
        layout = self.layout_of(config)
        file = files.normal_names(layout, weights)
        with torch.device("meta"):  # sizes are compared before memory is taken for them
            check_sizes(layout, new_body(config, None), file)
        told = partial(self.head_settings, hf)
        told("sequence")  # what it says is looked at, whatever heads there are
        present = heads_in(layout, hf, file, told, heads is None)
        specs = (
            [each.spec for each in present] if heads is None else [wanted_spec(spec, present, told) for spec in heads]
        )
        if config.decoder is not None or "lm" in {spec.kind for spec in (*specs, *(each.spec for each in present))}:
            settings.refuse(hf, tied)
        body = self._joined(new_body(config, None), seed)
        if layout.pooler is not None and files.raw_names([layout.pooler]) & file.keys():
            self.pooler_of(body, seed).requires_grad_(False)  # until a head reads it
        model = Model(body, {spec.kind: self.head_of(spec, body, seed) for spec in specs})
        fresh, unread = read_weights(layout, model, file, specs, present, may_be_fresh=heads is not None)
        kept = {name: hf[name] for name in self.kept if name in hf}
        return Loaded(model, tuple(specs), tuple(fresh), tuple(unread), kept)

    def _known_keys(self) -> set[str]:
        told = (entry.theirs for entry in self.keys)
        return {*told, *self.refused, *self.kept, *self.older_keys, *self.write_config(self.base(vocab_size=1))}

    def _refuse_more_layers(self, hf: Mapping[str, Any], num_tensors: int) -> None:
        (name,) = [entry.theirs for entry in self.keys if entry.ours == ("num_layers",)]
        if isinstance(hf.get(name), int) and hf[name] > num_tensors:
            raise InputError(f"config.json: {name} is {hf[name]!r:.60}, and the weights are {num_tensors} tensors")

    def to_hf(
        self, model: Model, specs: Sequence[HeadSpec] = (), kept: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """config.json and weights, contiguous and not shared, tied ones once.

        specs: one for each head with labels. Raises InputError for a model the family's files cannot express.
        """
        by_kind = _specs_of(model, specs)
        # a causal body reads a whole text at its end, transformers, but for decoders, at its beginning
        causal = model.body.config.attention.causal and not self.reads_at_end
        top = model.body.config.top is not None  # which transformers would leave out
        layout = self.layout_of(model.body.config)
        class_name, native = files.choose_class(
            layout,
            [
                s.kind
                for s in by_kind.values()
                if files.is_native(layout, s) and not top and not (causal and s.reads_text)
            ],
        )
        hf: dict[str, Any] = {"architectures": [class_name], "model_type": self.model_type, "dtype": "float32"}
        hf |= {**self.kept, **(kept or {}), **self.check(model.body.config, may_map=True)}
        for spec in reversed(by_kind.values()):
            if spec.kind in native:
                hf |= write_labels(spec) | (self.write_head_settings(spec) if spec.has_settings else {})
        own = [spec for spec in by_kind.values() if spec.kind not in native]
        if own:
            hf["pretune"] = {**hf.get("pretune", {}), "heads": {spec.kind: _as_json(spec) for spec in own}}
        is_bare = layout.architectures[class_name.removeprefix(layout.class_name)] == ()
        return hf, self._weights(layout, model, native, "" if is_bare else layout.prefix)

    def _weights(self, layout: Layout, model: Model, native: Sequence[Kind], prefix: str) -> dict[str, Tensor]:
        ours, fused = files.tensors_of(model), files.fused_rows(model)
        body = [part for part in (layout.body, layout.pooler) if part is not None]
        body.append(files.top_part(ours))
        heads = [part for kind in native for part in layout.heads[kind]]
        heads += [files.own_part(kind, ours) for kind in model.heads if kind not in native]
        written: dict[str, Tensor] = {}
        covered: set[str] = set()
        for parts, before in ((body, prefix), (heads, "")):
            for part in parts:
                rules = files.expanded(part, files.num_layers(model.body.config), ours)
                covered |= {rule.ours for rule in rules}
                written |= {before + name: tensor for name, tensor in to_theirs(rules, ours, fused).items()}
        if lost := sorted(ours.keys() - covered):
            raise InputError(f"{self.name}'s files have no place for {', '.join(lost)}")
        return written


def _as_json(spec: HeadSpec) -> dict[str, Any]:
    told = {"labels": list(spec.labels), "problem": spec.problem, "pooling": spec.pooling, "dropout": spec.dropout}
    return told | ({"normalize": bool(spec.normalize)} if spec.kind == "embedding" else {})


def _specs_of(model: Model, specs: Sequence[HeadSpec]) -> dict[Kind, HeadSpec]:
    """The spec of each head of a model, checked against it; those of `PRETRAINING` need none."""
    given: dict[str, HeadSpec] = {spec.kind: spec for spec in specs}
    if stray := sorted(given.keys() - set(model.heads)):
        raise InputError(f"labels were given for {', '.join(stray)}, and the model has no such head")
    found: dict[Kind, HeadSpec] = {}
    for name, head in model.heads.items():
        if name not in KINDS:
            raise InputError(f"a head {name!r} has no place in the files: heads are {', '.join(KINDS)}")
        if name not in given and name in LABELLED:
            raise InputError(f"the {name} head needs its labels to be saved")
        spec = given.get(name) or HeadSpec(name)
        if isinstance(head, ClassificationHead) and spec.has_settings:
            if (num_outputs := head.classifier.out_features) != OUTPUTS.get(spec.kind, len(spec.labels)):
                raise InputError(f"the {name} head has {num_outputs} outputs and {len(spec.labels)} labels")
            spec = replace(spec, pooling=head.pooling, dropout=head.dropout)
        if isinstance(head, EmbeddingHead):
            spec = replace(spec, pooling=head.pooling, normalize=head.normalize)
        found[spec.kind] = spec
    return found
