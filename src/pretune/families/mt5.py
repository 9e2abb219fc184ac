"""mT5: T5 1.1 in 101 languages, with 250,000 pieces (Xue et al. 2021, section 3.2).

small to xxl are the published sizes; tiny, mini and medium the house's. The model is T5 1.1; transformers has classes
of its own for it, which never divide the output's rows.
"""

from pretune.families.t5 import T5, V1_1, shape, t5_layout


class MT5(T5):
    """The family `mt5`."""

    name = "mt5"
    model_type = "mt5"
    class_name = "MT5"
    may_scale = False
    presets = {
        "tiny": {**shape(2, 128, 2, 320), **V1_1},
        "mini": {**shape(2, 256, 4, 704), **V1_1},
        "small": {**shape(8, 512, 6, 1024), **V1_1},
        "medium": {**shape(8, 512, 8, 1344), **V1_1},
        "base": {**shape(12, 768, 12, 2048), **V1_1},
        "large": {**shape(24, 1024, 16, 2816), **V1_1},
        "xl": {**shape(24, 2048, 32, 5120), **V1_1},
        "xxl": {**shape(24, 4096, 64, 10_240), **V1_1},
    }
    published = {
        "small": 300_000_000,
        "base": 580_000_000,
        "large": 1_200_000_000,
        "xl": 3_700_000_000,
        "xxl": 13_000_000_000,
    }
    layout = t5_layout("MT5", is_gated=False, is_tied=True)


mt5 = MT5()
