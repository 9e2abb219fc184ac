"""Random generators whose texts differ with the prompt, and a tokenizer of GPT-2's kind for them."""

import tokenizers
import torch

from beside_transformers import randomise

END = "<|endoftext|>"
TEXT = "the old man said to her that she and the good day were not what they had been before , it was a night of wind "
SPECIAL = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
"""Of a model with a decoder beside its encoder; "eos" is "sep"."""
SCALES = {"bias": 0.1, "c_proj.weight": 2.0, "wte.weight": 0.3, "out_proj.weight": 4.0, "fc2.weight": 2.0}
SCALES |= {"shared.weight": 4.0, "EncDecAttention.o.weight": 8.0}


def byte_level(special_tokens=(END,)):
    """A backend with some pieces of several letters."""
    backend = tokenizers.ByteLevelBPETokenizer()
    backend.train_from_iterator([TEXT] * 3, vocab_size=300, min_frequency=2, special_tokens=list(special_tokens))
    return tokenizers.Tokenizer.from_str(backend.to_str())


def lively(model, seed=0):
    """All weights random, and scaled so that it does not write one token again and again."""
    randomise(model, seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.mul_(next((by for end, by in SCALES.items() if name.endswith(end)), 1.0))
    return model
