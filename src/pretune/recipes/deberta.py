"""Replaced tokens on DeBERTa's body, as version 3 is pre-trained (He et al. 2023), with ELECTRA's settings."""

from pretune.recipes.electra import electra

deberta = electra.derive(
    "deberta",
    family="deberta",
    size="base",
    sources={
        "architecture": "He et al. 2021, section 3; He et al. 2023, table 1 (version 3: xsmall to large)",
        "deviation": "settings are ELECTRA's, the generator is narrower instead of half as deep, embeddings are shared "
        "as in ELECTRA (version 3 keeps the discriminator's gradients from them), no enhanced mask decoder",
        "sizes": "xsmall, small, base and large are published; base and large have ELECTRA's settings of these names, "
        "others those of ELECTRA small",
    },
)
