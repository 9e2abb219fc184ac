"""The recipe modern on the family free: for changing one choice of the block and nothing else."""

from pretune.recipes.modern import modern

free = modern.derive(
    "free",
    family="free",
    sources={
        "architecture": "as modern, until model.* changes it: every typed choice may (`families/free.py`)",
        "deviation": "files are pretune's own: transformers has no class for such bodies",
    },
)
