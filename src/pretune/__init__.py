"""pretune: pre-train, fine-tune and honestly measure language models of your own, in Hugging Face format.

The names below are the face that outside code relies on; each is imported when first used, so that `import pretune`
costs nothing. The rooms behind it, by rank (a folder imports itself and lower ranks): core; text, nn, metrics;
tokenizers, objectives, families; corpus, checkpoint; train, adapt; tasks; evaluate; recipes; verbs; cli.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_FACE = {
    "Pretrained": "pretune.verbs.pretrained",
    "load": "pretune.verbs.pretrained",
    "Ensemble": "pretune.verbs.ensemble",
    "train_tokenizer": "pretune.verbs.tokenizer",
    "build_corpus": "pretune.verbs.corpus",
    "verify_corpus": "pretune.verbs.corpus",
    "pretrain": "pretune.verbs.pretrain",
    "check": "pretune.verbs.check",
    "finetune": "pretune.verbs.finetune",
    "evaluate": "pretune.verbs.evaluate",
    "perplexity": "pretune.verbs.perplexity",
    "suite": "pretune.verbs.suite",
    "compare": "pretune.verbs.compare",
    "plan": "pretune.verbs.plan",
    "curve": "pretune.verbs.curve",
    "export": "pretune.verbs.export",
    "quickstart": "pretune.verbs.quickstart",
    "InputError": "pretune.core.errors",
    "RunError": "pretune.core.errors",
    "PretuneError": "pretune.core.errors",
}

__all__ = ["__version__", *_FACE]


class _Face(ModuleType):
    """A verb may have a folder's name (`evaluate`): importing the folder does not hide the verb."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _FACE and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module 'pretune' has no attribute {name!r}")
    return getattr(import_module(_FACE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
