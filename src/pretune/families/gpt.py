"""GPT: a decoder with BERT's order of norms and no segments (Radford et al. 2018, section 4.1).

Post-norm, learned positions, no norm over the embeddings or after the last layer; weights from N(0, 0.02²). Base is the
published size, the others are BERT's. As in GPT-2's files nothing is put around a text or between two (the paper's
start, delimiter and extract tokens belong to its fine-tuning and are not in transformers' tokenizer), and a text is
read as a whole at its last token. The feed-forward is four times as wide as the body: the files know no other.

"gelu" is the tanh form in these files (transformers' ACT_FNS). transformers knows no tagger and no answers for GPT:
these heads stand under our own names. Not here: DoubleHeads models, and the auxiliary language model of fine-tuning.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pretune.core.errors import InputError
from pretune.families.bert import bert
from pretune.families.encoder import AnyBody, Encoder
from pretune.families.gpt2 import LAYER, SIZES, SUMMARY_KEYS, TEXT_HEADS, Gpt2
from pretune.families.layout import Layout, Part
from pretune.families.settings import key, read, size, write
from pretune.families.weights import same
from pretune.nn.config import Learned, TransformerConfig

AFN = {"gelu": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"}
"""The files' names of activations and ours; the first name of several is written."""


class Gpt(Gpt2):
    """The family `gpt`."""

    name = "gpt"
    model_type = "openai-gpt"
    presets = {name: bert.presets[name] for name in ("tiny", "mini", "small", "medium", "base")}
    published = {"base": 117_000_000}
    keys = (*SIZES, key("n_positions", 512, "position.max_positions"))
    older_keys = (
        *("n_ctx", "n_special", "predict_special_tokens", "is_decoder"),
        *(f"summary_{name}" for name in SUMMARY_KEYS),
    )
    layout = Layout(
        class_name="OpenAIGPT",
        prefix="transformer.",
        body=Part(
            (
                *same("body.token_embedding.weight", "tokens_embed.weight", "lm_head.weight"),
                *same("body.position.embedding.weight", "positions_embed.weight"),
                *LAYER,
            )
        ),
        heads=TEXT_HEADS,
        architectures={"Model": (), "LMHeadModel": ("lm",), "ForSequenceClassification": ("sequence",)},
    )
    refused = {
        name: values
        for name, values in Gpt2.refused.items()
        if name not in ("scale_attn_weights", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn")
    }

    def base(self, vocab_size: int) -> TransformerConfig:
        return replace(
            super().base(vocab_size), position=Learned(max_positions=512), placement="post", final_norm=False
        )

    def read_config(self, hf: Mapping[str, Any]) -> TransformerConfig:
        activation = hf.get("afn", "gelu")
        if not isinstance(activation, str) or activation not in AFN:
            raise InputError(f"config.json: afn is {activation!r:.60}: pretune computes {', '.join(AFN)}")
        inner = 4 * size(hf, "n_embd", 768)
        more = {"feed_forward.activation": AFN[activation], "feed_forward.intermediate_size": inner}
        return read(self.keys, self.base(vocab_size=1), hf, more)

    def write_config(self, config: TransformerConfig) -> dict[str, Any]:
        """An activation that the files cannot say is written as gelu, and found out when they are read back."""
        ours = config.feed_forward.activation
        return write(self.keys, config) | {"afn": next((name for name, of in AFN.items() if of == ours), "gelu")}

    def build(self, config: TransformerConfig, seed: int = 0) -> AnyBody:
        return Encoder.build(self, config, seed)


gpt = Gpt()
