"""Bundle: a model, its tokenizer and what is known of them, as one directory in Hugging Face layout.

config.json model.safetensors                                    open with transformers' AutoModel*.from_pretrained
tokenizer.json tokenizer_config.json special_tokens_map.json     open with AutoTokenizer
generation_config.json                                           where the model came with one
pretune.json                                                     the manifest
generator/                                                       the same again, of the generator of a discriminator
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from pretune.checkpoint.disk import STOP, OnFull
from pretune.checkpoint.folder import replace_folder, restore
from pretune.checkpoint.generation import GENERATION, NEVER, read_generation, with_ids
from pretune.checkpoint.hub import fetch, is_hub_name
from pretune.checkpoint.huggingface import CONFIG, TOKENIZER, WEIGHTS, read_json, read_weights, write_model
from pretune.checkpoint.not_opened import not_opened
from pretune.checkpoint.seal import MANIFEST, fault, opened, write_sealed
from pretune.checkpoint.sentence_transformers import ENCODER_ALONE, OF_DECODER, Vectors, read_vectors
from pretune.checkpoint.sentence_transformers import FILES as VECTORS
from pretune.checkpoint.token_ids import for_tokenizer, of_another, with_roles_told
from pretune.core.assemble import Template
from pretune.core.errors import InputError, unknown
from pretune.core.registry import entries
from pretune.families.family import KINDS, Family, HeadSpec, Kind, Loaded, family_of, ids_told, open_family
from pretune.families.two_stacks import TwoStacks
from pretune.nn.generator import Generator
from pretune.nn.model import Model
from pretune.nn.siamese import EmbeddingHead
from pretune.tokenizers.tokenizer import Tokenizer

LM = HeadSpec("lm")
GENERATOR = "generator"
"""The folder, in a discriminator's, of the generator that was trained beside it."""
NO_VECTOR = "embedding_left_out"
"""In the manifest: what sentence-transformers does after the encoder that pretune does not compute."""


@dataclass(eq=False)
class Bundle:
    """model, tokenizer and manifest.

    manifest, JSON: "heads" (a HeadSpec each, as a dict), "fresh" (our names of the weights no file gave when it was
    loaded), "unread" (weights of a file's heads that were not asked for), "config" (keys of config.json carried along),
    "generation" (what generation_config.json says); whoever made the model adds keys, and they are kept. folder: where
    it was loaded from, for messages.
    """

    model: Model
    tokenizer: Tokenizer
    manifest: dict[str, Any] = field(default_factory=dict)
    folder: str = "this model"

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        tokenizer: str | Path | Tokenizer | None = None,
        heads: Sequence[HeadSpec] | None = None,
        changes: Mapping[str, Any] | None = None,
        seed: int = 0,
        allow_pickle: bool = False,
    ) -> "Bundle":
        """A model from a directory that pretune or Hugging Face wrote, a preset (`bert-mini`: fresh) or a hub name.

        tokenizer: needed for a preset, else in place of the model's own. heads: None for those of the files (a preset:
        "lm"); else exactly these: read where the files have them with the same labels, otherwise fresh, drawn from
        `seed` and listed in `manifest["fresh"]`. changes: of a preset's shape, as `Family.config` takes them.
        allow_pickle: read `pytorch_model.bin` where there is no safetensors, tensors only. Code in the directory is
        never run. What pretune wrote is verified (`seal.py`). Raises InputError for what is not a model, is damaged, or
        holds something that pretune cannot reproduce exactly.
        """
        preset = _preset(source)
        if preset is not None:
            if tokenizer is None:
                raise InputError(
                    f"{source} is a preset with fresh weights: name the tokenizer it is to have. The hub's weights "
                    "have their owner's name before theirs (FacebookAI/roberta-base, google-t5/t5-small)"
                )
            family, size = preset
            kinds = (LM,) if heads is None else heads
            return cls.fresh(family, size, _tokenizer(tokenizer), heads=kinds, changes=dict(changes or {}), seed=seed)
        if changes:
            raise InputError(f"model.* shapes a preset with fresh weights (bert-mini); {source} has its own shape")
        folder = _folder(source, allow_pickle)
        manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
        _check_task(folder / MANIFEST, manifest.get("task"))
        damage = fault(folder, manifest, leave_out=() if tokenizer is None else TOKENIZER)
        given = None if tokenizer is None else _tokenizer(tokenizer)
        try:
            generation = read_generation(folder)
            config = with_ids(read_json(folder / CONFIG), generation)
            family = family_of(config)
            hf, left_out = _with_vectors(config, _of_encoder(family, config, read_vectors(folder)))
            loaded = family.from_hf(hf, read_weights(folder, allow_pickle), heads, seed)
            pieces = given or with_roles_told(Tokenizer.load(folder), family, hf)
            facts = _facts(loaded) | ({NO_VECTOR: left_out} if left_out and heads is None else {})
            facts |= {"generation": generation} if generation else {}
            facts["config"] |= {NEVER: hf[NEVER]} if hf.get(NEVER) else {}
            if given is not None:
                ids = ids_told(family, given.special_ids)
                facts |= {name: of_another(facts[name], ids) for name in ("config", "generation") if name in facts}
            bundle = cls(loaded.model, pieces, opened(manifest) | facts, str(folder))._checked()
            _ = bundle.template  # the special tokens it needs are there
        except InputError as error:
            told = str(error) if str(folder) in str(error) else f"{folder}: {error}"
            raise InputError(f"{damage}. Read as it is: {told}" if damage else told) from error
        if damage:
            raise InputError(damage)
        return bundle

    @classmethod
    def fresh(
        cls,
        family: str | Family,
        size: str | dict[str, Any],
        tokenizer: Tokenizer,
        *,
        heads: Sequence[HeadSpec] = (),
        changes: dict[str, Any] | None = None,
        seed: int = 0,
    ) -> "Bundle":
        """A model with fresh weights for a tokenizer. size, changes: as `Family.config` takes them."""
        chosen = open_family(family) if isinstance(family, str) else family
        settings = {**(changes or {}), **chosen.for_tokenizer(tokenizer.special_ids)}
        body = chosen.build(chosen.config(size, tokenizer.vocab.size, **settings), seed)
        model = Model(body, {spec.kind: chosen.head_of(spec, body, seed) for spec in heads})
        loaded = Loaded(model, tuple(heads), fresh=("body", *(spec.kind for spec in heads)))
        return cls(model, tokenizer, _facts(loaded))._checked()

    def save(self, directory: str | Path, *, on_full: OnFull = STOP, more: Mapping[str, Any] | None = None) -> None:
        """Writes the directory whole or not at all; one that pretune wrote before is replaced. Weights are fp32. A
        generator is written as a model of its own, in the folder `generator`.

        more: {path: what its JSON says} of files for other libraries (`checkpoint/sentence_transformers.py`).
        Raises InputError where the directory holds other files or the family's files cannot express the model, and
        RunError when the disk refuses, or is full and `on_full` does not wait.
        """
        writers = {"": self.alone._writer(more or {})}
        if self.generator is not None:
            writers[GENERATOR] = self.generator._writer({})

        def write(folder: Path) -> None:
            for name, write_one in writers.items():
                (folder / name).mkdir(exist_ok=True)
                write_one(folder / name)

        ours = (CONFIG, WEIGHTS, MANIFEST, GENERATION, *TOKENIZER, *VECTORS, GENERATOR)
        replace_folder(Path(directory).absolute(), write, ours=ours, marker=MANIFEST, on_full=on_full)

    def check(self) -> None:
        """InputError where `save` would find that the family's files cannot express the model, or its generator."""
        for each in (self.alone, self.generator):
            if each is not None:
                each.family.to_hf(each.model, each.specs, each.manifest.get("config", {}))

    def _writer(self, more: Mapping[str, Any]) -> Callable[[Path], None]:
        """What writes this model into an empty folder. InputError where its family's files cannot express it."""
        ids = ids_told(self.family, self.tokenizer.special_ids)
        kept = ids | for_tokenizer(self.manifest.get("config", {}), ids)
        generation = for_tokenizer(self.manifest.get("generation", {}), ids)
        more = {**more, **({GENERATION: generation} if generation else {})}
        config, weights = self.family.to_hf(self.model, self.specs, kept)
        about = {"pretune": version("pretune"), "family": self.family.name, "heads": [_as_json(s) for s in self.specs]}
        about |= not_opened(config, "crf" in self.model.heads)
        manifest = {key: value for key, value in self.manifest.items() if key != "transformers"} | about

        def write(folder: Path) -> None:
            write_model(folder, config, weights)
            found = self.template
            self.tokenizer.save(
                folder,
                model_max_length=self.max_length,
                token_type_ids=any(found.segments_pair),
                template=(_parts(found.single, found.segments_single), _parts(found.pair, found.segments_pair)),
            )
            for path, value in more.items():
                (folder / path).parent.mkdir(exist_ok=True)
                (folder / path).write_text(json.dumps(value, indent=2) + "\n", "utf-8")
            write_sealed(folder, manifest)

        return write

    def with_heads(self, heads: Mapping[str, nn.Module]) -> "Bundle":
        """The same body and tokenizer with these heads, named by their kinds, in place of the ones it has."""
        specs = tuple(HeadSpec(kind) for kind in KINDS if kind in heads)
        model = Model(self.model.body, heads)
        return Bundle(model, self.tokenizer, self.manifest | {"heads": [asdict(spec) for spec in specs]})

    @property
    def alone(self) -> "Bundle":
        """Without a generator."""
        heads = {kind: head for kind, head in self.model.heads.items() if not isinstance(head, Generator)}
        return self if len(heads) == len(self.model.heads) else self.with_heads(heads)

    @property
    def generator(self) -> "Bundle | None":
        """The generator that the model is trained beside, as a model of its own, with the embeddings they share."""
        for head in self.model.heads.values():
            if isinstance(head, Generator):
                about = {"heads": [_as_json(LM)], "config": self.manifest.get("config", {})}
                return Bundle(Model(head.body, {"lm": head.head}), self.tokenizer, about, self.folder)
        return None

    @property
    def family(self) -> Family:
        return open_family(self.model.body.family)

    @property
    def specs(self) -> tuple[HeadSpec, ...]:
        """The model's heads, with their labels."""
        told = (dict(spec) for spec in self.manifest.get("heads", []))
        specs = [HeadSpec(**{**spec, "labels": tuple(spec.get("labels", ()))}) for spec in told]
        return tuple(spec for spec in specs if spec.kind in self.model.heads)

    def labels(self, kind: Kind) -> tuple[str, ...]:
        """The names of a head's outputs. InputError for a head the model does not have."""
        for spec in self.specs:
            if spec.kind == kind:
                return spec.labels
        raise unknown("head", kind, [spec.kind for spec in self.specs])

    @property
    def fresh_weights(self) -> tuple[str, ...]:
        """Our names of the weights that no file gave when this bundle was loaded."""
        return tuple(self.manifest.get("fresh", ()))

    @property
    def vector_head(self) -> EmbeddingHead | None:
        """What makes the vector of a text, where the model was trained for one."""
        if "embedding" not in self.model.heads:
            return None
        head = self.model.heads["embedding"]
        assert isinstance(head, EmbeddingHead)
        return head

    @property
    def no_vector(self) -> str | None:
        """What sentence-transformers does for a text's vector after this encoder that pretune does not compute."""
        found: str | None = self.manifest.get(NO_VECTOR)
        return found

    @property
    def template(self) -> Template:
        """Where the model's special tokens go. A model with a single segment has both texts of a pair in it."""
        template = self.family.template(self.tokenizer.special_ids)
        if self.model.body.config.reads_to_the_right:
            template = replace(template, summary=-1)  # the only row that has seen the whole
        if self.model.body.config.num_segments >= 2:
            return template
        return replace(template, segments_pair=(0,) * len(template.pair))

    @property
    def max_length(self) -> int:
        """The longest sequence the model takes, special tokens included."""
        return self.family.max_length(self.model.body.config, self.manifest.get("config", {}))

    def _checked(self) -> "Bundle":
        pieces, rows = self.tokenizer.vocab.size, self.model.body.config.vocab_size
        if pieces > rows:
            raise InputError(
                f"the tokenizer has {pieces} pieces and the model {rows} rows for them: they do not belong"
            )
        for path, wanted in self.family.for_tokenizer(self.tokenizer.special_ids).items():
            if (held := reduce(getattr, path.split("."), self.model.body.config)) != wanted:
                raise InputError(
                    f"with this tokenizer's special tokens {path} is {wanted}, and the model's is {held}: they do not "
                    f"belong"
                )
        return self


def _check_task(path: Path, told: Any) -> None:
    """InputError where a manifest's entry of the task it was fine-tuned for is not {name, settings, max_length}."""
    if told is None:
        return
    kinds = {"name": str, "settings": dict, "max_length": int}
    wrong = [
        key for key, kind in kinds.items() if not isinstance(told, dict) or not isinstance(told.get(key), kind)
    ] or ([] if told["max_length"] >= 1 else ["max_length"])
    if wrong:
        raise InputError(
            f"{path}: task: {', '.join(wrong)}: expected a name, settings and a length: fetch or write it again"
        )


def _of_encoder(family: Family, hf: Mapping[str, Any], vectors: Vectors | None) -> Vectors | None:
    if vectors is None or not isinstance(family, TwoStacks) or hf.get("model_type") in ENCODER_ALONE:
        return vectors
    return replace(vectors, left_out=vectors.left_out or OF_DECODER)


def _with_vectors(hf: dict[str, Any], vectors: Vectors | None) -> tuple[dict[str, Any], str | None]:
    """config.json with the embedding head that a directory of sentence-transformers describes, and what such a
    directory asks for besides. Its files count, not what config.json kept of an earlier pretune."""
    if vectors is None:
        return hf, None
    ours = hf.get("pretune")
    ours = dict(ours) if isinstance(ours, Mapping) else {}
    heads = ours.get("heads")
    heads = {kind: told for kind, told in heads.items() if kind != "embedding"} if isinstance(heads, Mapping) else {}
    if vectors.left_out is None:
        heads["embedding"] = _as_json(HeadSpec("embedding", pooling=vectors.pooling, normalize=vectors.normalize))
    return hf | {"pretune": ours | {"heads": heads}}, vectors.left_out


def _facts(loaded: Loaded) -> dict[str, Any]:
    return {
        "heads": [_as_json(spec) for spec in loaded.specs],
        "fresh": list(loaded.fresh),
        "unread": list(loaded.unread),
        "config": dict(loaded.kept),
    }


def _as_json(spec: HeadSpec) -> dict[str, Any]:
    return {**asdict(spec), "labels": list(spec.labels)}


def _parts(parts: Sequence[int | str], segments: Sequence[int]) -> tuple[tuple[int | str, int], ...]:
    return tuple(zip(parts, segments, strict=True))


def _tokenizer(tokenizer: str | Path | Tokenizer) -> Tokenizer:
    return tokenizer if isinstance(tokenizer, Tokenizer) else Tokenizer.load(tokenizer)


def _preset(source: str | Path) -> tuple[Family, str] | None:
    """`bert-mini` to the family and the size; None for what is no preset or is a directory."""
    if Path(source).exists():
        return None
    for name in entries("pretune.families"):
        size = str(source).removeprefix(f"{name}-")
        family = open_family(name)
        if size != str(source) and size in family.presets:
            return family, size
    return None


def _folder(source: str | Path, allow_pickle: bool) -> Path:
    path = Path(source)
    restore(path)
    if path.is_dir():
        return path
    if path.exists():
        raise InputError(f"{path} is a file: name the model's directory")
    if not is_hub_name(str(source)):
        raise InputError(f"{path}: no such directory")
    return fetch(str(source), allow_pickle)
