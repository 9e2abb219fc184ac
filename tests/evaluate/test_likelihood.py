"""Scores of sentences beside plain loops over transformers' models: one mask at a time, the causal loss as it is."""

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers")

from beside_transformers import randomise  # noqa: E402
from pretune.checkpoint.bundle import Bundle  # noqa: E402
from pretune.core.errors import InputError  # noqa: E402
from pretune.evaluate.likelihood import scoring_of, sentence_scores  # noqa: E402

SENTENCES = [
    "the man was kind and her heart is new .",
    "no",
    "whatsoever unhappiness had she walked through , while talking about that extraordinarily high school ?",
    "the man was kind and her heart are new .",
    "☃ the dog",
    "no",
]
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
SHAPE |= {"max_position_embeddings": 64}
MODERN = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48}
MODELS = {
    "BertForMaskedLM": ("BertConfig", SHAPE),
    "RobertaForMaskedLM": ("RobertaConfig", SHAPE),
    "ModernBertForMaskedLM": ("ModernBertConfig", MODERN | {"local_attention": 8, "max_position_embeddings": 64}),
    "BertLMHeadModel": ("BertConfig", SHAPE | {"is_decoder": True}),
    "ElectraForCausalLM": ("ElectraConfig", SHAPE | {"is_decoder": True, "embedding_size": 16}),
    "ElectraForPreTraining": ("ElectraConfig", SHAPE | {"embedding_size": 16}),
}


def made(world, class_name, folder):
    """A model of theirs with every weight random, its directory, and it as we open it."""
    config_name, shape = MODELS[class_name]
    tokenizer = transformers.AutoTokenizer.from_pretrained(world.tokenizer)
    ids = {f"{role}_token_id": getattr(tokenizer, f"{role}_token_id") for role in ("pad", "cls", "sep")}
    ids |= {"bos_token_id": ids["cls_token_id"], "eos_token_id": ids["sep_token_id"]}
    config = getattr(transformers, config_name)(vocab_size=len(tokenizer), **ids, **shape, attn_implementation="eager")
    theirs = randomise(getattr(transformers, class_name)(config))
    theirs.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return theirs, tokenizer, Bundle.load(folder)


def plain_pll(theirs, tokenizer, sentence, within_words=False):
    """One mask at a time, one sentence at a time."""
    ids = tokenizer(sentence, return_tensors="pt").input_ids
    words = tokenizer(sentence).word_ids()
    total = 0.0
    for row in range(1, ids.shape[1] - 1):
        masked = ids.clone()
        masked[0, row] = tokenizer.mask_token_id
        for later in range(row + 1, ids.shape[1] - 1):
            if within_words and words[later] == words[row]:
                masked[0, later] = tokenizer.mask_token_id
        total += theirs(masked).logits[0, row].log_softmax(-1)[ids[0, row]].item()
    return total


@pytest.mark.parametrize("class_name", ["BertForMaskedLM", "RobertaForMaskedLM", "ModernBertForMaskedLM"])
@pytest.mark.parametrize("scoring", ["pll", "pll-word-l2r"])
def test_pseudo_log_likelihood_is_that_of_a_plain_loop(world, class_name, scoring, tmp_path):
    theirs, tokenizer, ours = made(world, class_name, tmp_path)
    with torch.no_grad():
        expected = [plain_pll(theirs, tokenizer, sentence, scoring == "pll-word-l2r") for sentence in SENTENCES]
    for tokens_per_batch in (4096, 40):  # all in one batch; a sentence's copies in several
        found = sentence_scores(ours, SENTENCES, scoring, tokens_per_batch=tokens_per_batch)
        assert found.score_N == pytest.approx(expected, abs=1e-4)
    lengths = [len(tokenizer(sentence).input_ids) - 2 for sentence in SENTENCES]
    assert found.num_pieces_N.tolist() == lengths and len(set(lengths)) > 3
    assert found.num_unknown_N.tolist() == [0, 0, 0, 0, 1, 0]
    assert scoring_of(ours) == "pll" and scoring_of(ours, scoring) == scoring


def test_masking_within_words_changes_the_score_of_words_of_several_pieces_alone(world, tmp_path):
    _, tokenizer, ours = made(world, "BertForMaskedLM", tmp_path)
    sentences = ["the man was", SENTENCES[2]]
    assert len(tokenizer.tokenize(sentences[0])) == 3
    plain, corrected = (sentence_scores(ours, sentences, way).score_N for way in ("pll", "pll-word-l2r"))
    assert plain[0] == pytest.approx(corrected[0], abs=1e-6) and abs(plain[1] - corrected[1]) > 0.1


@pytest.mark.parametrize("class_name", ["BertLMHeadModel", "ElectraForCausalLM"])
def test_log_likelihood_is_the_causal_loss(world, class_name, tmp_path):
    theirs, tokenizer, ours = made(world, class_name, tmp_path)
    assert scoring_of(ours) == "log-likelihood"
    found = sentence_scores(ours, SENTENCES, "log-likelihood")
    for sentence, score, pieces in zip(SENTENCES, found.score_N, found.num_pieces_N, strict=True):
        ids = tokenizer(sentence, return_tensors="pt").input_ids
        labels = ids.masked_fill(ids == tokenizer.sep_token_id, -100)
        with torch.no_grad():
            mean = theirs(input_ids=ids, labels=labels).loss.item()
        assert score == pytest.approx(-mean * pieces, abs=1e-4)
    with pytest.raises(InputError, match="cannot be scored by pll: it allows log-likelihood"):
        scoring_of(ours, "pll")


def test_a_causal_model_of_ours_is_scored_from_left_to_right(world, tmp_path):
    """A later word changes nothing of what stands before it."""
    words = ["pretrain", "modern-tiny", "--corpus", world.corpus, "--out", tmp_path / "run", "steps=2", "batch_size=4"]
    assert world.command(*words, "objective.name=causal_lm", "valid_samples=4").status == 0
    ours = Bundle.load(tmp_path / "run" / "model")
    assert scoring_of(ours) == "log-likelihood"
    texts = ["the man", "the man was", "the man was old"]
    grown = sentence_scores(ours, texts, "log-likelihood").score_N
    steps = log_probabilities(ours, texts[-1])
    assert np.diff(grown) == pytest.approx(steps[2:], abs=1e-4) and grown[0] == pytest.approx(sum(steps[:2]), abs=1e-4)


def log_probabilities(bundle, text):
    """log P of each piece of a text, from the logits that `load` gives."""
    from pretune.verbs.pretrained import Pretrained

    (logits,) = Pretrained(bundle, "cpu").logits([text], "lm")
    ids = bundle.tokenizer.encode(text).ids_P
    return [torch.from_numpy(logits[row]).log_softmax(-1)[int(piece)].item() for row, piece in enumerate(ids)]


def test_a_discriminator_is_asked_of_every_piece(world, tmp_path):
    theirs, tokenizer, ours = made(world, "ElectraForPreTraining", tmp_path)
    assert scoring_of(ours) == "replaced-token"
    found = sentence_scores(ours, SENTENCES, "replaced-token").score_N
    for sentence, score in zip(SENTENCES, found, strict=True):
        with torch.no_grad():
            logits = theirs(**tokenizer(sentence, return_tensors="pt")).logits[0, 1:-1]
        assert score == pytest.approx((1 - logits.sigmoid()).log().sum().item(), abs=1e-4)


def test_equal_pieces_have_equal_scores_and_are_scored_once(world):
    ours = Bundle.load(world.modern / "model")
    done = []
    found = sentence_scores(ours, SENTENCES, "pll", progress=lambda *counts: done.append(counts), tokens_per_batch=50)
    assert found.score_N[1] == found.score_N[5]
    sentence_scores(ours, SENTENCES, "pll", progress=lambda *counts: done.append(counts))
    assert done.pop() == (5, 5)  # of 6 sentences two are the same
    assert done[-1][0] == done[-1][1] and [one[0] for one in done] == sorted(one[0] for one in done)
    upper = sentence_scores(ours, [sentence.upper() for sentence in SENTENCES], "pll")
    assert upper.score_N == pytest.approx(found.score_N, abs=1e-5)  # this tokenizer does not tell them apart


def test_what_cannot_be_scored_is_named(world, tmp_path):
    ours = Bundle.load(world.bert / "model")
    with pytest.raises(InputError, match="' ' has no piece"):
        sentence_scores(ours, ["the man", " "], "pll")
    short, _, _ = made(world, "BertForMaskedLM", tmp_path)
    with pytest.raises(InputError, match=r"the the .* tokens and .* takes 64: score shorter sentences"):
        sentence_scores(Bundle.load(tmp_path), ["the " * 70], "pll")
    words = ["--model", world.modern / "model", "--train", world.file("classify"), "--out", tmp_path / "tuned"]
    assert world.command("finetune", "classify", *words, "epochs=0.2").status == 0
    with pytest.raises(InputError, match=r"tuned.model has no masked-LM head \(its heads: sequence\)"):
        scoring_of(Bundle.load(tmp_path / "tuned" / "model"))
