"""ELECTRA's objective: what is masked, drawn and judged; beside a plain padded version on transformers' models."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from pretune.core.assemble import assemble
from pretune.core.errors import InputError
from pretune.core.loss import total
from pretune.core.pack import pack
from pretune.core.stream import Segments, Span
from pretune.core.vocab import Vocab
from pretune.families.family import open_family
from pretune.nn.generator import Generator
from pretune.nn.model import Model
from pretune.objectives import replaced_token as module
from pretune.objectives.add import add
from pretune.objectives.causal_lm import causal_lm
from pretune.objectives.gumbel import gumbel_noise, gumbel_sample, noise_keys
from pretune.objectives.mlm import mlm
from pretune.objectives.replaced_token import generator_changes, replaced, replaced_token
from pretune.objectives.sentence_order import sentence_order

SMALL = {"hidden_size": 32, "attention.num_heads": 2, "feed_forward.intermediate_size": 64}
FAMILIES = ("electra", "bert", "modern", "roberta", "distilbert", "albert", "deberta")
LM, RTD = "lm", "replaced_token"
EMBEDDINGS = ("token_embedding", "position", "segment_embedding", "embedding_norm")
"""What the original code shares (the paper names tokens and positions)."""


def made(family="electra", vocab_size=60, seed=0, **changes):
    found = open_family(family)
    body = found.build(found.config("tiny", vocab_size, **SMALL, **changes), seed)
    return Model(body, replaced_token().heads(body)).eval()


def randomised(model, seed=1):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def texts(lab, lengths, objective=None, seed=0, vocab_size=60):
    rng = np.random.default_rng(seed)
    told = lab.context(lab.numbered([80]), 64, seed)
    told = replace(told, vocab=Vocab(vocab_size, np.arange(vocab_size) < lab.FIRST, 0, 4, 1, 2, lab.MASK))
    plain = [
        assemble(Segments([Span(rng.integers(lab.FIRST, vocab_size, n), np.ones(n, np.uint8))]), lab.TEMPLATE)
        for n in lengths
    ]
    return [(objective or replaced_token()).corrupt(each, told) for each in plain]


# what corrupt makes


def test_what_is_judged_and_what_is_masked(lab):
    """Every token is judged, special ones too; 85 % of the chosen ones are masked, the others stay as they are."""
    examples = texts(lab, [38] * 400)
    chosen = np.concatenate([each.predict[LM].at_MK[:, 0] for each in examples])
    assert all(len(each.predict[LM]) == round(0.15 * 38) for each in examples) and chosen.min() == 1
    assert chosen.max() == 38  # neither [CLS], row 0, nor [SEP], row 39
    seen = np.concatenate([each.source.ids_T[each.predict[LM].at_MK[:, 0]] for each in examples])
    gold = np.concatenate([each.predict[LM].gold_M for each in examples])
    assert abs((seen == lab.MASK).mean() - 0.85) < 0.02 and (seen[seen != lab.MASK] == gold[seen != lab.MASK]).all()
    for each in examples:
        judged = each.predict[RTD]
        assert judged.at_MK[:, 0].tolist() == list(range(40)) and judged.weight_M.sum() == 40
        assert (judged.gold_M[each.predict[LM].at_MK[:, 0]] == each.predict[LM].gold_M).all()
    keys = np.concatenate([each.predict[LM].given_M for each in examples])
    assert len(np.unique(keys)) == len(keys) and keys.min() >= 0


def test_settings_and_neighbours(lab):
    for wrong in ({"mask": 0}, {"mask": 1.5}, {"generator_size": 0}, {"generator_size": 1.01}, {"weight": 0}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} is "):
            replaced_token(**wrong)
    corpus = lab.varied()
    with pytest.raises(InputError, match="does not go with what predicts sentence_order"):
        lab.example(add(sentence_order(), replaced_token()), corpus, 0)
    for other in (mlm(), causal_lm()):
        with pytest.raises(InputError, match="'lm'|does not go with"):
            lab.example(add(replaced_token(), other), corpus, 0)
        with pytest.raises(InputError, match="does not go with what predicts lm"):
            lab.example(add(other, replaced_token()), corpus, 0)
    told = replace(lab.context(corpus), vocab=replace(corpus.vocab, mask_id=None))
    with pytest.raises(InputError, match=r"no \[MASK\] token, which the generator"):
        replaced_token().corrupt(assemble(replaced_token().arrange(corpus, 0, told), lab.TEMPLATE), told)


# the generator's size


@pytest.mark.parametrize("size", ["small", "base", "large"])
def test_the_papers_generators(size):
    """Table 6: a quarter, a third and a quarter as wide, which is what the family's presets of that name are."""
    electra = open_family("electra")
    config, expected = (electra.config(name, 30_522) for name in (size, f"{size}-generator"))
    assert replace(config, **generator_changes(config, None)) == expected


def test_other_sizes():
    def shape(family, size, fraction=None, **changes):
        config = open_family(family).config(size, 100, **changes)
        made = replace(config, **generator_changes(config, fraction))
        return made.hidden_size, made.attention.num_heads, made.feed_forward.intermediate_size, made.embedding_size

    assert shape("bert", "base") == (256, 4, 1024, 768)
    assert shape("modern", "tiny") == (32, 1, 80, 128)
    assert shape("modern", "mini", 1 / 3) == (88, 1, 232, 256)  # to multiples of eight
    assert shape("electra", "tiny", 0.5) == (64, 1, 256, None)  # no map: embeddings are as wide
    assert shape("bert", "tiny", 1.0) == (128, 2, 512, None)


@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_are_the_same_parameters(family):
    model = made(family)
    generator = model.heads[LM]
    assert isinstance(generator, Generator) and generator.body.config.hidden_size == 8
    shared = [name for name in EMBEDDINGS if (family, name) != ("deberta", "position")]  # a part of its attention
    for name in EMBEDDINGS:
        is_shared = getattr(generator.body, name) is getattr(model.body, name)
        assert is_shared == (name in shared)
    assert generator.head.decoder.weight is model.body.token_embedding.weight
    names = [name for name, _ in model.named_parameters()]
    assert not [name for name in names if name.startswith("heads.lm.body") and name.split(".")[3] in shared]
    inner = [body.layers[0].attention.output.weight[:8, :8] for body in (model.body, generator.body)]
    assert not torch.allclose(*inner)  # draws of its own
    assert torch.equal(inner[1], made(family).heads[LM].body.layers[0].attention.output.weight)
    assert not torch.equal(inner[1], made(family, seed=1).heads[LM].body.layers[0].attention.output.weight)


# sampling


def test_noise_is_gumbels_and_splitmixs():
    """The first outputs for the seed 1234567 are published with the algorithm (rosettacode.org, Splitmix64)."""
    published = np.array([6457827717110365317, 3203168211198807973, 9817491932198370423], np.uint64)
    uniform = ((published >> np.uint64(41)) + 0.5) * 2.0**-23
    noise = gumbel_noise(torch.tensor([1234567]), 3)[0]
    assert torch.allclose(noise, torch.from_numpy(-np.log(-np.log(uniform))).float(), atol=1e-5)
    noise = gumbel_noise(torch.from_numpy(noise_keys(np.random.default_rng(3), 300)), 200).numpy()
    assert stats.kstest(noise.ravel(), "gumbel_r").pvalue > 1e-3
    assert abs(np.corrcoef(noise) - np.eye(300)).max() < 0.4 and abs(np.corrcoef(noise.T) - np.eye(200)).max() < 0.35
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.02


def test_samples_follow_the_softmax():
    logits_V = torch.randn(50, generator=torch.Generator().manual_seed(0)) * 2
    keys_M = torch.from_numpy(noise_keys(np.random.default_rng(4), 40_000))
    drawn = gumbel_sample(logits_V.expand(40_000, 50), keys_M)
    expected = logits_V.double().softmax(0).numpy() * 40_000
    assert stats.chisquare(np.bincount(drawn, minlength=50), expected).pvalue > 1e-3


def test_a_row_is_drawn_alike_wherever_it_stands():
    """One by one or all at once, in any order, over the border of a piece: as the noise, fixed, says."""
    logits_MV = torch.randn(700, 400, generator=torch.Generator().manual_seed(0))
    keys_M = torch.from_numpy(noise_keys(np.random.default_rng(5), 700))
    drawn = gumbel_sample(logits_MV, keys_M)
    order = torch.randperm(700, generator=torch.Generator().manual_seed(1))
    assert torch.equal(gumbel_sample(logits_MV[order], keys_M[order]), drawn[order])
    assert torch.equal(drawn, (logits_MV + gumbel_noise(keys_M, 400)).argmax(1))
    assert gumbel_sample(logits_MV[:0], keys_M[:0]).shape == (0,)


# what the discriminator sees and is asked


def test_samples_stand_where_tokens_were_chosen(lab):
    """In the packed batch, whose order is another; elsewhere are the true tokens, also where one was masked."""
    batch = pack(texts(lab, [20, 3, 31])).to("cpu")
    model = randomised(made())
    logits = model(batch, heads=[LM])[LM]
    seen = replaced(batch, logits)
    true_T = torch.empty_like(batch.source.ids_T)
    true_T[batch.predict[RTD].at_MK[:, 0]] = batch.predict[RTD].gold_M
    rows = batch.predict[LM].at_MK[:, 0]
    expected = true_T.clone()
    expected[rows] = (logits + gumbel_noise(batch.predict[LM].given_M, 60)).argmax(1)
    assert torch.equal(seen.source.ids_T, expected) and (seen.source.ids_T[rows] != true_T[rows]).any()
    assert not (seen.source.ids_T == lab.MASK).any() or (expected[rows] == lab.MASK).any()


def fixed(monkeypatch, drawn):
    """Sampling that gives these tokens."""
    monkeypatch.setattr(module, "gumbel_sample", lambda logits, keys: torch.as_tensor(drawn))


def test_a_sample_equal_to_the_original_is_original(lab, monkeypatch):
    """By hand: of four chosen tokens, two are drawn as they were. The head says 2 of every row."""
    (example,) = texts(lab, [6], replaced_token(0.6))
    batch, model = pack([example]).to("cpu"), made()
    gold = batch.predict[LM].gold_M
    with torch.no_grad():
        model.heads[RTD].classifier.weight.zero_()
        model.heads[RTD].classifier.bias.fill_(2.0)
    original, other = np.log1p(np.exp(2.0)), np.log1p(np.exp(-2.0))  # of a row that is, and is not, replaced
    for changed in (0, 2, 4):
        drawn = gold.clone()
        drawn[:changed] = torch.where(drawn[:changed] == 5, 6, 5)
        fixed(monkeypatch, drawn)
        loss = replaced_token(0.6).loss(model, batch)[RTD]
        assert (loss.count, loss.weight) == (8.0, 50.0)
        assert loss.sum.item() == pytest.approx((8 - changed) * original + changed * other, rel=1e-5)


def test_nothing_flows_back_through_the_samples(lab):
    """The discriminator's loss moves no weight that only the generator has, and the generator's no other's."""
    batch, model = pack(texts(lab, [20, 30])).to("cpu"), made()
    shared = {id(each) for name in EMBEDDINGS for each in getattr(model.body, name).parameters()}
    for name, mine in ((LM, "heads.lm"), (RTD, ("body.", "heads.replaced"))):
        model.zero_grad()
        replaced_token().loss(model, batch)[name].sum.backward()
        moved = {key for key, each in model.named_parameters() if each.grad is not None and each.grad.abs().sum() > 0}
        own = {key for key, each in model.named_parameters() if key.startswith(mine) or id(each) in shared}
        assert moved == own - {"body.segment_embedding.weight"} | (moved & {"body.segment_embedding.weight"})


@pytest.mark.parametrize("family", ["electra", "modern"])
def test_the_true_token_under_a_mask_does_not_leak(lab, family):
    """Another true token leaves the generator's logits, what is drawn and the discriminator's scores as they were."""
    model = randomised(made(family))
    (example,) = texts(lab, [24])
    masked = example.predict[LM]
    tried = 0
    for index, row in enumerate(masked.at_MK[:, 0]):
        if example.source.ids_T[row] != lab.MASK:
            continue
        gold, every = masked.gold_M.copy(), example.predict[RTD].gold_M.copy()
        gold[index] = every[row] = lab.FIRST + (gold[index] - lab.FIRST + 9) % 55
        judged = replace(example.predict[RTD], gold_M=every)
        other = replace(example, predict={LM: replace(masked, gold_M=gold), RTD: judged})
        both = [pack([each]).to("cpu") for each in (example, other)]
        with torch.no_grad():
            logits = [model(each, heads=[LM])[LM] for each in both]
            seen = [replaced(each, one) for each, one in zip(both, logits, strict=True)]
            scores = [model(each, heads=[RTD])[RTD] for each in seen]
        assert torch.equal(*logits) and torch.equal(*(each.source.ids_T for each in seen)) and torch.equal(*scores)
        tried += 1
    assert tried >= 2


@pytest.mark.parametrize("causal", [False, True])
def test_the_discriminator_reads_the_samples(lab, monkeypatch, causal):
    """Two replacements, both wrong, are told apart; also where bodies keep in a stream what they made of it."""
    batch, model = pack(texts(lab, [24])).to("cpu"), randomised(made(**{"attention.causal": causal}))
    losses = []
    for token in sorted(set(range(lab.FIRST, 60)) - set(batch.predict[LM].gold_M.tolist()))[:2]:
        fixed(monkeypatch, torch.full_like(batch.predict[LM].gold_M, token))
        losses.append(replaced_token().loss(model, batch)[RTD].sum.item())
    assert abs(losses[0] - losses[1]) > 1e-3


def test_micro_batches_add_up(lab):
    """The same samples and the same gradient, however a batch is cut: sums over counts of the whole."""
    objective, examples = replaced_token(), texts(lab, [20, 3, 31, 7, 12])
    grads = []
    for cut in ([examples], [examples[:1], examples[1:4], examples[4:]], [[each] for each in examples[::-1]]):
        model = randomised(made())
        batches = [pack(part) for part in cut]
        counts = {name: sum(objective.counts(batch)[name] for batch in batches) for name in (LM, RTD)}
        for batch in batches:
            total(objective.loss(model, batch.to("cpu")), counts).backward()
        grads.append(torch.cat([each.grad.flatten() for each in model.parameters() if each.grad is not None]))
    assert all(torch.allclose(grads[0], other, atol=2e-5 * grads[0].abs().max()) for other in grads[1:])


# beside transformers


def test_losses_and_gradients_are_those_of_a_plain_padded_electra(lab, tmp_path):
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import save_file

    objective, family = replaced_token(0.3), open_family("electra")
    model = randomised(made())
    examples = texts(lab, [20, 3, 31, 1, 12], objective)
    batch = pack(examples).to("cpu")
    losses = objective.loss(model, batch)
    total(losses, objective.counts(batch)).backward()
    theirs = {}
    for name, part, kind in (
        (LM, Model(model.heads[LM].body, {LM: model.heads[LM].head}), "ForMaskedLM"),
        (RTD, Model(model.body, {RTD: model.heads[RTD]}), "ForPreTraining"),
    ):
        hf, weights = family.to_hf(part, kept={"pad_token_id": 0})
        config = transformers.ElectraConfig(**hf, attn_implementation="eager")
        theirs[name] = getattr(transformers, f"Electra{kind}")(config).eval()
        (tmp_path / name).mkdir()
        save_file(weights, tmp_path / name / "model.safetensors", {"format": "pt"})
        missing = theirs[name].load_state_dict(weights, strict=False)
        assert not missing.unexpected_keys and all("position_ids" in k or "lm_head.weight" in k for k in missing[0])
    lm, rtd = plain_losses(theirs, examples)
    assert losses[LM].sum.item() / losses[LM].count == pytest.approx(lm.item(), abs=1e-5)
    assert losses[RTD].sum.item() / losses[RTD].count == pytest.approx(rtd.item(), abs=1e-5)
    (lm + 50 * rtd).backward()
    both = [
        each.electra.embeddings.word_embeddings.weight.grad for each in theirs.values()
    ]  # theirs are two tensors, ours is one
    assert torch.allclose(model.body.token_embedding.weight.grad, sum(both), atol=2e-4)
    for ours, reference in (
        (model.heads[LM].head.transform.dense, theirs[LM].generator_predictions.dense),
        (model.heads[RTD].transform.dense, theirs[RTD].discriminator_predictions.dense),
        (model.heads[LM].body.embedding_map, theirs[LM].electra.embeddings_project),
    ):
        assert torch.allclose(ours.weight.grad, reference.weight.grad, atol=2e-4)


def plain_losses(theirs, examples):
    """ELECTRA on padded rows, after the original code's `PretrainingModel`, with the noise of the examples."""
    width = max(each.num_tokens for each in examples)
    padded = [np.pad(each.source.ids_T, (0, width - each.num_tokens)) for each in examples]
    ids = torch.from_numpy(np.stack(padded))
    shown = torch.stack([torch.arange(width) < each.num_tokens for each in examples])
    logits = theirs[LM](input_ids=ids, attention_mask=shown.long()).logits
    original = torch.zeros_like(ids)
    fake, entropies = torch.zeros_like(ids), []
    for number, each in enumerate(examples):
        original[number, : each.num_tokens] = torch.from_numpy(each.predict[RTD].gold_M)
        fake[number] = original[number]
        masked = each.predict[LM]
        for row, gold, key in zip(masked.at_MK[:, 0], masked.gold_M, masked.given_M, strict=True):
            noise = gumbel_noise(torch.tensor([key]), logits.shape[-1])[0]
            fake[number, row] = (logits[number, row].softmax(-1).log() + noise).argmax()
            entropies.append(-logits[number, row].log_softmax(-1)[gold])
    scores = theirs[RTD](input_ids=fake, attention_mask=shown.long()).logits
    labels = (fake != original).float()
    each = torch.nn.functional.binary_cross_entropy_with_logits(scores, labels, reduction="none")
    return torch.stack(entropies).mean(), (each * shown).sum() / shown.sum()
