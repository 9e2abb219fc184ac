"""Random models as transformers makes them, read by ours, with a tokenizer of bytes."""

from types import SimpleNamespace

import numpy as np
import pytest
import tokenizers
import torch

from lively import END, SPECIAL, byte_level, lively
from pretune.core.continuation import asking, opening
from pretune.decode.generate import Writer
from pretune.decode.settings import Borders, Generation
from pretune.families.family import family_of
from pretune.tokenizers.tokenizer import Tokenizer

PROMPTS = ["the old man", "she", "a good day and the night", "wind of what they had been before , the", "it was"]

MORE = {
    "bart": {"scale_embedding": True},
    "t5": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "marian": {"scale_embedding": True},
}


@pytest.fixture(scope="session")
def pieces():
    """A tokenizer of GPT-2's kind, with one special token."""
    return Tokenizer(byte_level(), special_tokens=dict.fromkeys(("bos", "eos", "unk"), END))


@pytest.fixture(scope="session")
def small():
    """A model of twelve pieces."""
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({char: n for n, char in enumerate("abcdefghijkl")}, "l"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    return random_decoder(Tokenizer(backend, special_tokens={"eos": "k", "unk": "l"}))


@pytest.fixture(scope="session")
def decoder(pieces):
    return random_decoder(pieces)


def random_decoder(pieces, seed=0, **changes):
    """A GPT-2 of random weights: theirs, ours, and a writer of ours."""
    transformers = pytest.importorskip("transformers")
    size = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
    end = pieces.special_ids["eos"]
    config = transformers.GPT2Config(vocab_size=len(pieces), bos_token_id=end, eos_token_id=end, **size | changes)
    return beside(lively(transformers.GPT2LMHeadModel(config), seed), pieces)


@pytest.fixture(scope="session", params=["bart", "t5", "marian"])
def two_stacks(request):
    return random_two_stacks(request.param)


def pieces_with_specials():
    """A tokenizer with the roles of special tokens that families ask for."""
    return Tokenizer(byte_level(SPECIAL.values()), special_tokens=SPECIAL | {"bos": "<s>", "eos": "</s>"})


def random_two_stacks(name, **changes):
    """An encoder-decoder of random weights."""
    transformers = pytest.importorskip("transformers")
    pieces = pieces_with_specials()
    start = pieces.special_ids["sep" if name == "bart" else "pad"]
    ids = {f"{role}_token_id": pieces.special_ids[role] for role in ("pad", "bos", "eos")}
    ids |= {"decoder_start_token_id": start, "vocab_size": len(pieces)}
    sizes = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2}
    sizes |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 64}
    if name == "t5":
        sizes = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
    begins, ends = {"bart": ("Bart", "ForConditionalGeneration"), "t5": ("T5", "ForConditionalGeneration"),
                    "marian": ("Marian", "MTModel")}[name]  # fmt: skip
    config = getattr(transformers, f"{begins}Config")(
        **sizes, **ids | {"forced_eos_token_id": None} | MORE[name] | changes
    )
    model = lively(getattr(transformers, f"{begins}{ends}")(config))
    for part in model.modules():
        if type(part).__name__ == "MarianSinusoidalPositionalEmbedding":
            part.weight.data.copy_(part.create_weight())
    model.tie_weights()
    return beside(model, pieces)


def beside(theirs, pieces):
    """Both libraries' models of the same weights."""
    hf = theirs.config.to_dict() | {"architectures": [type(theirs).__name__]}
    family = family_of(hf)
    weights = {name: value.clone() for name, value in theirs.state_dict().items()}
    model = family.from_hf(hf, weights).model.eval()
    template = family.template(pieces.special_ids)
    writer = Writer.of(model, pieces, template, {}, family.max_length(model.body.config, {}))
    return SimpleNamespace(theirs=theirs, model=model, template=template, pieces=pieces, writer=writer)


def examples(pair, prompts=PROMPTS):
    spans = [pair.pieces.encode(prompt).span() for prompt in prompts]
    if pair.template.start_id is not None:
        return [asking(span, pair.template, pair.pieces.vocab) for span in spans]
    return [opening(span, pair.template) for span in spans]


def ours(pair, prompts=PROMPTS, *, borders=None, **settings):
    writer = pair.writer if borders is None else with_borders(pair.writer, borders)
    return writer.write(examples(pair, prompts), Generation(**settings))


def with_borders(writer, borders):
    return Writer(writer.model, writer.tokenizer, borders, writer.max_length, writer.lead)


def theirs(pair, prompts=PROMPTS, *, alone=False, end_ids=None, **settings):
    """ids of transformers' generate for each prompt, and scores where it has them. alone: prompts one by one, else
    padded on the left."""
    if alone:
        found = [theirs(pair, [prompt], end_ids=end_ids, **settings) for prompt in prompts]
        return [texts for one in found for texts in one]
    ends = list(pair.writer.borders.end_ids) if end_ids is None else list(end_ids)
    rows = [example.source.ids_T.tolist() for example in examples(pair, prompts)]
    width = max(map(len, rows))
    input_ids = torch.tensor([[ends[0]] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    width = width if pair.template.start_id is None else 1
    out = pair.theirs.generate(
        input_ids, attention_mask=mask, pad_token_id=ends[0], eos_token_id=ends,
        return_dict_in_generate=True, output_scores=True, **{"do_sample": False} | settings,
    )  # fmt: skip
    each = settings.get("num_return_sequences", 1)
    texts = [_without_end(row[width:].tolist(), ends) for row in out.sequences]
    scores = [None] * len(texts) if settings.get("num_beams", 1) == 1 else out.sequences_scores.tolist()
    both = list(zip(texts, scores, strict=True))
    return [both[at : at + each] for at in range(0, len(both), each)]


def _without_end(ids, ends):
    place = next((place for place, token in enumerate(ids) if token in ends), len(ids))
    return tuple(ids[:place])


def assert_same(found, wanted):
    """The same ids for each prompt, and scores where beams were searched."""
    assert len(found) == len(wanted)
    for mine, other in zip(found, wanted, strict=True):
        assert [text.ids for text in mine] == [ids for ids, _ in other]
        for text, (_, score) in zip(mine, other, strict=True):
            assert (text.score is None) == (score is None)
            assert score is None or np.isclose(text.score, score, atol=1e-4)


@pytest.fixture(scope="session")
def lab():
    return SimpleNamespace(
        PROMPTS=PROMPTS,
        Borders=Borders,
        assert_same=assert_same,
        examples=examples,
        ours=ours,
        pieces_with_specials=pieces_with_specials,
        random_decoder=random_decoder,
        theirs=theirs,
    )
