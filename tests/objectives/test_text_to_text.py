"""Corrupted texts that are written again: by hand, what is never predicted, borders, compositions, refusals."""

from dataclasses import replace

import numpy as np
import pytest

from pretune.core.assemble import Template, assemble
from pretune.core.errors import InputError
from pretune.core.marks import SENTENCE_START, SPECIAL, WORD_START
from pretune.core.pack import pack
from pretune.core.stream import Segments, Span, bidirectional
from pretune.core.vocab import Vocab
from pretune.objectives.add import add
from pretune.objectives.bert_style import bert_style
from pretune.objectives.causal_lm import causal_lm
from pretune.objectives.deshuffling import deshuffling
from pretune.objectives.document_rotation import document_rotation
from pretune.objectives.full_sentences import full_sentences
from pretune.objectives.mass_style import mass_style
from pretune.objectives.mlm import mlm
from pretune.objectives.sentence_permutation import sentence_permutation
from pretune.objectives.span_corruption import span_corruption
from pretune.objectives.text_infilling import text_infilling
from pretune.objectives.token_deletion import token_deletion
from pretune.objectives.token_masking import token_masking
from pretune.objectives.token_stream import token_stream

T5 = Template({"eos": 2, "pad": 0}, single=(0, "eos"), pair=(0, "eos", 1, "eos"), start="pad")
WRITERS = {
    "token_masking": token_masking(0.3),
    "token_deletion": token_deletion(0.3),
    "sentence_permutation": sentence_permutation(),
    "document_rotation": document_rotation(),
    "deshuffling": deshuffling(),
    "bert_style": bert_style(0.3),
    "text_infilling": text_infilling(),
}


def corrupted(objective, lab, corpus, number=0, template=None, **how):
    return lab.example(objective, corpus, number, template=template or lab.TWO, **how)


def test_bart_s_two_streams_by_hand(lab):
    """Encoder <s> text </s>, corrupted; decoder </s> <s> text; predicted <s> text </s>."""
    corpus = lab.numbered([6])
    one = corrupted(token_masking(0.5), lab, corpus)
    kept = one.source.ids_T != lab.MASK
    assert one.source.ids_T[kept].tolist() == np.array([1, *range(5, 11), 2])[kept].tolist()
    assert (~kept).sum() == 3 and kept[[0, -1]].all()
    assert one.target.ids_T.tolist() == [2, 1, 5, 6, 7, 8, 9, 10]
    assert one.target.sees_up_to_T.tolist() == list(range(8)) and one.target.visibility == "causal"
    assert one.predict["lm"].at_MK.ravel().tolist() == list(range(8))
    assert one.predict["lm"].gold_M.tolist() == [1, 5, 6, 7, 8, 9, 10, 2]
    assert one.source.visibility == "full"


def test_t5_s_two_streams_by_hand(lab):
    """Encoder text </s>; decoder begins with padding; a sentinel before what stood there, one more, and </s>."""
    corpus = lab.MemoryCorpus([[list(range(5, 15))]], sentinels=4)
    told = lab.context(corpus, template=T5, num_special=(1, 2))
    objective = span_corruption(0.3, 3)
    one = objective.corrupt(assemble(objective.arrange(corpus, 0, told), T5), told)
    first, second = corpus.vocab.sentinel_ids[:2]
    assert (first, second) == (18, 17)
    assert one.source.ids_T.tolist() == [*range(5, 12), first, 2]  # the only span stands at the end
    assert one.target.ids_T.tolist() == [0, first, 12, 13, 14, second]
    assert one.predict["lm"].gold_M.tolist() == [first, 12, 13, 14, second, 2]


def test_language_model_of_two_streams_by_hand(lab):
    """The encoder reads an empty text."""
    one = corrupted(causal_lm(), lab, lab.numbered([4]))
    assert one.source.ids_T.tolist() == [1, 2] and one.target.ids_T.tolist() == [2, 1, 5, 6, 7, 8]
    assert one.predict["lm"].gold_M.tolist() == [1, 5, 6, 7, 8, 2]


@pytest.mark.parametrize("name", WRITERS)
def test_unknown_tokens_are_never_predicted(lab, name):
    """They stand in both texts all the same."""
    corpus = lab.MemoryCorpus([[[7, lab.UNK, 8, 9, lab.UNK, 10]]])
    one = corrupted(WRITERS[name], lab, corpus)
    assert one.target.ids_T.tolist() == [2, 1, 7, lab.UNK, 8, 9, lab.UNK, 10]
    assert one.predict["lm"].at_MK.ravel().tolist() == [0, 1, 3, 4, 6, 7]
    assert one.predict["lm"].gold_M.tolist() == [1, 7, 8, 9, 10, 2]


def test_an_end_that_is_the_unknown_token_too_is_predicted(lab):
    """GPT-2's tokenizer has one token for both."""
    corpus = lab.numbered([4])
    told = lab.context(corpus, template=lab.TWO)
    told = replace(told, vocab=replace(told.vocab, unk_id=2, eos_id=2))
    plain = assemble(token_masking().arrange(corpus, 0, told), lab.TWO)
    assert token_masking().corrupt(plain, told).predict["lm"].gold_M.tolist() == [1, 5, 6, 7, 8, 2]


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_crosses_a_document_s_border(lab, name):
    """Of a sample over several documents each is corrupted by itself; the separators stay, and are written."""
    corpus = lab.numbered([4, 5], [8], [3, 3, 6])
    objective = add(full_sentences(), WRITERS[name])
    for number in range(objective.samples(corpus, 40)):
        one = corrupted(objective, lab, corpus, number, max_length=40)
        plain = add(full_sentences()).arrange(corpus, number, lab.context(corpus, 40)).spans[0].ids_P
        assert one.predict["lm"].gold_M.tolist() == [1, *plain, 2]
        pieces, truth = (split(ids, 2) for ids in (one.source.ids_T[1:-1], plain))
        assert len(pieces) == len(truth) > 1
        for piece, true in zip(pieces, truth, strict=True):
            assert name == "bert_style" or set(piece) <= {*true, lab.MASK}


def split(ids, at):
    places = np.flatnonzero(np.asarray(ids) == at)
    return [part[part != at].tolist() for part in np.split(np.asarray(ids), places)]


def test_sentences_are_permuted_whole_and_in_every_order(lab):
    corpus = lab.numbered([2, 3, 1])
    sentences = ([5, 6], [7, 8, 9], [10])
    seen = set()
    for number in range(60):
        one = corrupted(sentence_permutation(), lab, corpus, seed=number)
        ids = one.source.ids_T[1:-1].tolist()
        order = sorted(range(3), key=lambda s: ids.index(sentences[s][0]))
        assert ids == [token for s in order for token in sentences[s]]
        seen.add(tuple(order))
    assert len(seen) == 6


def test_rotations_begin_anywhere(lab):
    corpus = lab.numbered([6])
    starts = []
    for seed in range(300):
        ids = corrupted(document_rotation(), lab, corpus, seed=seed).source.ids_T[1:-1]
        starts.append(int(ids[0]) - 5)
        assert ids.tolist() == np.roll(np.arange(5, 11), -starts[-1]).tolist()
    assert np.bincount(starts, minlength=6).min() > 25


def test_shares_are_exact(lab):
    """Of 200 tokens 30 are masked, and 30 others deleted; BERT's style turns a tenth of its ones into random tokens."""
    corpus = lab.numbered([200])
    num_random, where = [], np.zeros(200)
    for seed in range(60):
        source = {
            name: corrupted(objective, lab, corpus, seed=seed, max_length=202).source.ids_T[1:-1]
            for name, objective in (("mask", mass_style()), ("delete", token_deletion()), ("bert", bert_style()))
        }
        assert (source["mask"] == lab.MASK).sum() == 30 and len(source["delete"]) == 170
        where += source["mask"] == lab.MASK
        is_random = (source["bert"] != lab.MASK) & (source["bert"] != np.arange(5, 205))
        assert ((source["bert"] == lab.MASK) | is_random).sum() <= 30  # a random token may be the same
        assert not corpus.vocab.is_special_V[source["bert"][is_random]].any()
        num_random.append(is_random.sum())
    assert 2.2 < np.mean(num_random) < 3.8
    assert 0.12 < where[:20].mean() / 60 < 0.18 and 0.12 < where[-20:].mean() / 60 < 0.18


def test_one_text_goes_through_several_corruptions(lab):
    """In the order of their names, and is written once."""
    corpus = lab.numbered([5, 6, 4, 7])
    both = add(sentence_permutation(), text_infilling())
    one = corrupted(both, lab, corpus)
    assert len(both.parts) == 1 and list(one.predict) == ["lm"]
    assert one.predict["lm"].gold_M.tolist() == [1, *range(5, 27), 2]
    told = lab.context(corpus, template=lab.TWO)
    text = bidirectional(corpus.ids_T.astype(np.int64), marks_T=corpus.marks_T)
    permuted, _ = sentence_permutation().corruption(text, corpus.vocab, told.rng, 0.0)
    kept = one.source.ids_T[np.isin(one.source.ids_T, permuted)]
    assert np.array_equal(kept, permuted[np.isin(permuted, kept)])  # sentences stand as the first left them
    assert lab.MASK in one.source.ids_T
    three = add(token_stream(), token_deletion(0.2), token_masking(0.2), deshuffling())
    assert len(three.parts) == 2 and three.streams == ("two",)
    source = corrupted(three, lab, corpus).source.ids_T
    assert (source == lab.MASK).sum() == round(0.2 * 18) and len(source) == 2 + 18 + 1


def test_what_does_not_go_together(lab):
    corpus = lab.numbered([5, 6])
    with pytest.raises(InputError, match="write the whole text again go together"):
        add(span_corruption(), text_infilling())
    with pytest.raises(InputError, match="does not go with what predicts lm"):
        corrupted(add(mlm(), text_infilling()), lab, corpus)
    with pytest.raises(InputError, match="head 'lm'"):
        corrupted(add(text_infilling(), mlm()), lab, corpus)
    with pytest.raises(InputError, match="a decoder beside its encoder"):
        lab.example(text_infilling(), corpus, 0)
    assert add(text_infilling(), mlm()).streams == () and add(full_sentences(), causal_lm()).streams == ("one", "two")


def test_the_mask_of_a_vocabulary_without_one():
    """T5's first sentinel; without sentinels it is said what to do."""
    text = bidirectional(np.arange(10, 20), marks_T=np.full(10, WORD_START, np.uint8))
    for objective in (token_masking(0.3), text_infilling()):
        vocab = Vocab(40, np.arange(40) >= 37, sentinel_ids=(39, 38, 37))
        assert 39 in objective.corruption(text, vocab, np.random.default_rng(0), 0.0)[0]
        with pytest.raises(InputError, match="neither .MASK. nor sentinels"):
            objective.corruption(text, Vocab(40, np.zeros(40, np.bool_)), np.random.default_rng(0), 0.0)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: token_masking(0), "masking_rate is 0"),
        (lambda: token_deletion(1.5), "rate is 1.5"),
        (lambda: bert_style(random=-0.1), "random is -0.1"),
        (lambda: text_infilling(mean_length=0), "mean_length is 0"),
        (lambda: text_infilling(random=2), "random is 2"),
        (lambda: span_corruption(mean_length=0.5), "mean_length is 0.5"),
    ],
)
def test_wrong_settings(make, told):
    with pytest.raises(InputError, match=told):
        make()


def test_sources_are_packed_beside_what_is_written_of_them(lab):
    """Longer and shorter ones mixed: the n-th written text belongs to the n-th that is read."""
    corpus = lab.numbered([9], [3], [6], [12], [4])
    examples = [corrupted(causal_lm() if n % 2 else token_masking(), lab, corpus, n) for n in range(5)]
    batch = pack(examples)
    targets = np.split(batch.target.ids_T, np.cumsum(batch.target.lengths_N)[:-1])
    sources = np.split(batch.source.ids_T, np.cumsum(batch.source.lengths_N)[:-1])
    for source, target, number in zip(sources, targets, batch.target.order_N, strict=True):
        assert source.tolist() == examples[number].source.ids_T.tolist()
        assert target.tolist() == examples[number].target.ids_T.tolist()


def test_marks_of_special_tokens_decide_not_ids(lab):
    """A [SEP] that a text has for itself is a token of it."""
    span = Span(np.array([7, 2, 8, 9], np.int32), np.array([WORD_START | SENTENCE_START, 0, 0, 0], np.uint8))
    told = lab.context(lab.numbered([40]), template=lab.TWO)
    one = document_rotation().corrupt(assemble(Segments([span]), lab.TWO), told)
    rotations = [[1, *np.roll([7, 2, 8, 9], shift), 2] for shift in range(4)]
    assert one.source.ids_T.tolist() in rotations
    marked = replace(span, marks_P=np.array([0, SPECIAL, 0, 0], np.uint8))
    one = document_rotation().corrupt(assemble(Segments([marked]), lab.TWO), told)
    assert one.source.ids_T.tolist() in ([1, 7, 2, 8, 9, 2], [1, 7, 2, 9, 8, 2])
