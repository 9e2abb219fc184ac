"""What families with a decoder beside the encoder share: the decoder's sizes, heads, and what generation begins with.

Heads read the decoder's rows. A text as a whole is read at the decoder's last row, where it has read everything, with a
dense layer and tanh before the classes, dropped out before both (Lewis et al. 2020, section 3.1; transformers' heads of
BART and T5). A decoder's sizes follow the encoder's in whatever settings name only these.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.families.bert import POOLER
from pretune.families.encoder import Encoder
from pretune.families.family import HeadSpec, Kind, Loaded
from pretune.families.layout import Part
from pretune.families.settings import flat, rate
from pretune.families.weights import Rule, module
from pretune.nn.body import Body
from pretune.nn.config import TransformerConfig
from pretune.nn.heads import ClassificationHead, MaskedLMHead
from pretune.nn.pooling import Pooling

FOLLOWS = {
    "decoder.num_layers": "num_layers",
    "decoder.num_heads": "attention.num_heads",
    "decoder.intermediate_size": "feed_forward.intermediate_size",
}
"""The decoder's sizes, and the encoder's they are where only that one is named."""
LAYERS = ("encoder_layers", "decoder_layers", "num_layers", "num_decoder_layers")
"""Keys of the families' config.json that count layers."""
TEXT_HEAD = (
    Part(tuple(module("sequence.transform.dense", "classification_head.dense"))),
    Part(tuple(module("sequence.classifier", "classification_head.out_proj")), output=True),
)
"""The head of whole texts, as transformers' classes of these families name it."""
GENERATION: Mapping[str, Any] = {
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
    "decoder_start_token_id": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
}
"""Keys of config.json that say what generation begins and ends with. Written always: transformers has defaults."""


def followed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the decoder's sizes where only the encoder's are named.

    >>> followed({"num_layers": 3, "decoder": {"num_heads": 2}})
    {'num_layers': 3, 'decoder.num_heads': 2, 'decoder.num_layers': 3}
    """
    found = dict(flat(settings))
    if "decoder" in found:
        return found
    return found | {ours: found[told] for ours, told in FOLLOWS.items() if told in found and ours not in found}


class TwoStacks(Encoder):
    """A family of encoder-decoders. start: the role of the token that the decoder's input begins with."""

    start: str
    starts_as: str
    """The key of config.json that holds the same id as decoder_start_token_id."""
    reads_at_end = True

    def config(self, size: str | Mapping[str, Any], vocab_size: int, **changes: Any) -> TransformerConfig:
        told = self.presets.get(size, size) if isinstance(size, str) else size
        return super().config(told if isinstance(told, str) else followed(told), vocab_size, **followed(changes))

    def make_head(
        self, kind: Kind, body: Body, num_labels: int, seed: int, pooling: Pooling | None, dropout: float | None
    ) -> nn.Module:
        config: TransformerConfig = body.config
        if kind == "lm" and config.token_size != config.hidden_size:
            raise InputError(
                f"{self.name} has no language model over mapped embeddings, as replaced_token's generator is one: "
                "take an encoder family"
            )
        if kind == "lm":
            return MaskedLMHead(body, config.output, config.init, seed)
        reads_text = kind not in ("token", "answer")
        return ClassificationHead(
            config.hidden_size,
            num_labels,
            config.init,
            transform=POOLER if reads_text else None,
            pooling=pooling or "row",
            dropout=0.0 if kind == "answer" or dropout is None else dropout,
            drop_input=kind == "sequence",
            seed=seed,
        )

    def head_settings(self, hf: Mapping[str, Any], kind: Kind) -> tuple[Pooling, float | None]:
        return "row", rate(hf, "classifier_dropout") or 0.0

    def write_head_settings(self, spec: HeadSpec) -> dict[str, Any]:
        return {} if spec.kind == "answer" else {"classifier_dropout": spec.dropout or 0.0}

    @abstractmethod
    def template(self, special_ids: Mapping[str, int]) -> Template: ...

    def from_hf(
        self,
        hf: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        heads: Sequence[HeadSpec] | None = None,
        seed: int = 0,
    ) -> Loaded:
        told, expected = hf.get("decoder_start_token_id"), hf.get(self.starts_as)
        if None not in (told, expected) and told not in (expected if isinstance(expected, list) else [expected]):
            raise InputError(
                f"config.json: decoder_start_token_id is {told!r:.60} and {self.starts_as} {expected!r:.60}: a decoder "
                f"of {self.name} begins with that token in pretune"
            )
        return super().from_hf(hf, weights, heads, seed)

    def _refuse_more_layers(self, hf: Mapping[str, Any], num_tensors: int) -> None:
        for name in LAYERS:
            if isinstance(hf.get(name), int) and hf[name] > num_tensors:
                raise InputError(f"config.json: {name} is {hf[name]!r:.60}, and the weights are {num_tensors} tensors")


def fairseq_layers(side: str) -> list[Rule]:
    """The layers of one stack as fairseq named them: BART's and Marian's."""
    ours, theirs = f"body.{side}.layers.{{n}}", f"{side}.layers.{{n}}"
    rules = [
        *module(f"{ours}.attention.qkv", *(f"{theirs}.self_attn.{part}_proj" for part in "qkv")),
        *module(f"{ours}.attention.output", f"{theirs}.self_attn.out_proj"),
        *module(f"{ours}.attention_norm", f"{theirs}.self_attn_layer_norm"),
        *module(f"{ours}.feed_forward.inner", f"{theirs}.fc1"),
        *module(f"{ours}.feed_forward.output", f"{theirs}.fc2"),
        *module(f"{ours}.feed_forward_norm", f"{theirs}.final_layer_norm"),
    ]
    if side == "decoder":
        rules += [
            *module(f"{ours}.cross.query", f"{theirs}.encoder_attn.q_proj"),
            *module(f"{ours}.cross.key_value", f"{theirs}.encoder_attn.k_proj", f"{theirs}.encoder_attn.v_proj"),
            *module(f"{ours}.cross.output", f"{theirs}.encoder_attn.out_proj"),
            *module(f"{ours}.cross_norm", f"{theirs}.encoder_attn_layer_norm"),
        ]
    return rules
