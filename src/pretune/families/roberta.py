"""RoBERTa: BERT's body with byte-level pieces and no segments to tell apart (Liu et al. 2019; its code: fairseq).

Also reads the files of XLM-RoBERTa (Conneau et al. 2020) and CamemBERT (Martin et al. 2020), which are the same model
under other names, and writes them under the names they came with. Sizes are BERT's; base and large are published.

Positions begin after the pad token's id: fairseq counts so, and files have as many rows more than there are positions
(514 with pad 1). The rows are the model's, so a tokenizer with another pad id is refused; a fresh model takes its
tokenizer's. transformers gives a pad token *inside* a text that very id as its position and does not count it; here it
is a token like others.

Weights start from a normal distribution that is not cut (fairseq, `init_bert_params`); layer norms have 1e-5.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.families.bert import BODY, POOLER, Bert, tokens
from pretune.families.family import HeadSpec, Kind, Loaded
from pretune.families.layout import ENCODER_CLASSES, Layout, Part
from pretune.families.settings import LARGEST, key, read, size, write
from pretune.families.weights import module, same
from pretune.nn.body import Body
from pretune.nn.config import Attention, FeedForward, HeadTransform, Learned, LMHead, Norm, Normal, TransformerConfig
from pretune.nn.heads import ClassificationHead
from pretune.nn.model import Model
from pretune.nn.pooling import Pooling

CLASSES = {"roberta": "Roberta", "xlm-roberta": "XLMRoberta", "camembert": "Camembert"}
"""model_type -> how the names of transformers' classes begin."""
PAD = 1
"""The pad token's id in all published vocabularies, which transformers assumes of a file that does not say."""

KEYS = (
    key("vocab_size", 50_265, "vocab_size"),
    key("hidden_size", 768, "hidden_size"),
    key("num_hidden_layers", 12, "num_layers"),
    key("num_attention_heads", 12, "attention.num_heads"),
    key("intermediate_size", 3072, "feed_forward.intermediate_size"),
    key("hidden_act", "gelu", "feed_forward.activation"),
    key("hidden_dropout_prob", 0.1, "hidden_dropout", "embedding_dropout"),
    key("attention_probs_dropout_prob", 0.1, "attention.dropout"),
    key("type_vocab_size", 2, "num_segments"),
    key("layer_norm_eps", 1e-12, "norm.eps", "output.transform.norm.eps"),
    key("initializer_range", 0.02, "init.std"),
    key("is_decoder", False, "attention.causal"),
)

LM = [
    *module("lm.transform.dense", "lm_head.dense"),
    *module("lm.transform.norm", "lm_head.layer_norm"),
    *same("lm.decoder.bias", "lm_head.bias", "lm_head.decoder.bias"),
]


class Roberta(Bert):
    """The family `roberta`.

    The head of whole texts has a dense layer of its own (dropout, dense, tanh, dropout, classes); only that of choices
    reads BERT's pooler, as in transformers. Heads of pairs are ours alone and have such a layer too.
    """

    name = "roberta"
    model_type = "roberta"
    published = {"base": 125_000_000, "large": 355_000_000}
    token_ids = {"bos_token_id": "cls", "eos_token_id": "sep"}
    keys = KEYS
    older_keys = ("max_position_embeddings", "pad_token_id")
    layout = Layout(
        class_name="Roberta",
        prefix="roberta.",
        body=Part((*tokens("lm_head.decoder.weight"), *BODY)),
        pooler=Part(tuple(module("body.pooler.dense", "pooler.dense"))),
        heads={
            "lm": (Part(tuple(LM), output=True),),
            "sequence": (
                Part(tuple(module("sequence.transform.dense", "classifier.dense"))),
                Part(tuple(module("sequence.classifier", "classifier.out_proj")), output=True),
            ),
            "token": (Part(tuple(module("token.classifier", "classifier")), output=True),),
            "choice": (Part(tuple(module("choice.classifier", "classifier")), output=True),),
            "answer": (Part(tuple(module("answer.classifier", "qa_outputs")), output=True),),
        },
        architectures={
            **ENCODER_CLASSES,
            "ForCausalLM": ("lm",),
        },
    )
    kept = {"model_type": "roberta", "bos_token_id": None, "eos_token_id": None, "classifier_dropout": None}
    causal_class = "ForCausalLM"

    def base(self, vocab_size: int) -> TransformerConfig:
        norm = Norm(kind="layer", eps=1e-5, bias=True)
        return TransformerConfig(
            vocab_size=vocab_size,
            hidden_size=768,
            num_layers=12,
            position=Learned(max_positions=512, first=PAD + 1),
            norm=norm,
            placement="post",
            feed_forward=FeedForward(intermediate_size=3072, activation="gelu"),
            attention=Attention(num_heads=12, dropout=0.1),
            init=Normal(std=0.02),
            output=LMHead(transform=HeadTransform(activation="gelu", norm=norm)),
            num_segments=1,
            embedding_norm=True,
            embedding_dropout=0.1,
            hidden_dropout=0.1,
        )

    def for_tokenizer(self, special_ids: Mapping[str, int]) -> dict[str, Any]:
        return {"position.first": self.need_special(special_ids, ("cls", "sep", "pad"))["pad"] + 1}

    def read_config(self, hf: Mapping[str, Any]) -> TransformerConfig:
        rows, pad = size(hf, "max_position_embeddings", 512), hf.get("pad_token_id", PAD)
        if type(pad) is not int or not 0 <= pad < rows - 1:
            raise InputError(
                f"config.json: pad_token_id is {pad!r:.60}: expected a whole number from 0 to "
                f"{min(rows - 2, LARGEST)}, for positions begin after it and there are {rows}"
            )
        positions = {"position.first": pad + 1, "position.max_positions": rows - pad - 1}
        return read(KEYS, self.base(vocab_size=1), hf, positions)

    def write_config(self, config: TransformerConfig) -> dict[str, Any]:
        positions = config.position if isinstance(config.position, Learned) else Learned(512, PAD + 1)
        rows = positions.first + positions.max_positions
        return write(KEYS, config) | {"max_position_embeddings": rows, "pad_token_id": positions.first - 1}

    def reads(self, hf: Mapping[str, Any]) -> bool:
        return str(hf.get("model_type")) in CLASSES

    def from_hf(
        self,
        hf: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        heads: Sequence[HeadSpec] | None = None,
        seed: int = 0,
    ) -> Loaded:
        """A file of the three model types: classes of the other two are read as RoBERTa's."""
        begins, named = CLASSES.get(str(hf.get("model_type")), ""), hf.get("architectures")
        if isinstance(named, list) and all(isinstance(name, str) for name in named) and begins != "Roberta":
            hf = {**hf, "architectures": [name.replace(begins, "Roberta", 1) for name in named]}
        return super().from_hf(hf, weights, heads, seed)

    def to_hf(
        self, model: Model, specs: Sequence[HeadSpec] = (), kept: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Under the names that the model came with."""
        hf, weights = super().to_hf(model, specs, kept)
        begins = CLASSES[hf["model_type"]]
        return hf | {"architectures": [name.replace("Roberta", begins, 1) for name in hf["architectures"]]}, weights

    def make_head(
        self, kind: Kind, body: Body, num_labels: int, seed: int, pooling: Pooling | None, dropout: float | None
    ) -> nn.Module:
        if kind in ("lm", "token", "choice", "answer"):
            return super().make_head(kind, body, num_labels, seed, pooling, dropout)
        config: TransformerConfig = body.config
        is_sequence = kind == "sequence"
        return ClassificationHead(
            config.hidden_size,
            num_labels,
            config.init,
            transform=POOLER,
            pooling=pooling or "row",
            dropout=(config.hidden_dropout if dropout is None else dropout) if is_sequence else 0.0,
            drop_input=is_sequence,
            seed=seed,
        )

    def template(self, special_ids: Mapping[str, int]) -> Template:
        """<s> A </s> and <s> A </s></s> B </s>, all of one segment (fairseq, `RobertaHubInterface.encode`)."""
        parts = ("cls", 0, "sep", "sep", 1, "sep")
        return Template(self.need_special(special_ids), pair=parts, segments_pair=(0,) * len(parts))


roberta = Roberta()
