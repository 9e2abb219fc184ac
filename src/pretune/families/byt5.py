"""ByT5: T5 1.1 on bytes, with an encoder three times as deep as the decoder (Xue et al. 2022, section 3.2).

small to xxl are the published sizes; tiny, mini and medium the house's. The vocabulary is 256 bytes behind padding,
</s> and the unknown token, and further rows, 384 in all in the released files. Everything else is T5's 1.1.

Its files say model_type "t5" and name their tokenizer, ByT5Tokenizer, by which they are told apart.
"""

from collections.abc import Mapping
from typing import Any

from pretune.families.t5 import OF_BYTES, T5, V1_1, shape


def _shape(encoder: int, decoder: int, hidden: int, heads: int, inner: int) -> dict[str, Any]:
    return {**shape(encoder, hidden, heads, inner), "decoder.num_layers": decoder, **V1_1}


class ByT5(T5):
    """The family `byt5`."""

    name = "byt5"
    presets = {
        "tiny": _shape(3, 1, 128, 2, 320),
        "mini": _shape(6, 2, 256, 4, 704),
        "small": _shape(12, 4, 1472, 6, 3584),
        "medium": _shape(12, 4, 512, 8, 1344),
        "base": _shape(18, 6, 1536, 12, 3968),
        "large": _shape(36, 12, 1536, 16, 3840),
        "xl": _shape(36, 12, 2560, 32, 6720),
        "xxl": _shape(36, 12, 4672, 64, 12_352),
    }
    published = {
        "small": 300_000_000,
        "base": 582_000_000,
        "large": 1_230_000_000,
        "xl": 3_740_000_000,
        "xxl": 12_900_000_000,
    }
    kept = {**T5.kept, "n_positions": 1024, "tokenizer_class": OF_BYTES}

    def reads(self, hf: Mapping[str, Any]) -> bool:
        return hf.get("model_type") == self.model_type and hf.get("tokenizer_class") == OF_BYTES


byt5 = ByT5()
