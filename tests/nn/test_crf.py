"""The CRF against enumeration of all paths, against pytorch-crf, and where numbers are hard."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pad_sequence
from torchcrf import CRF as Reference

from pretune.core.errors import InputError
from pretune.metrics.schemes import legal_transitions
from pretune.nn.crf import CRF, log_partition, marginals, negative_log_likelihood, path_scores, restricted, viterbi


def problem(num_tags, lengths, seed=0, scale=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    scores = scale * torch.randn(sum(lengths), num_tags, generator=generator, dtype=dtype)
    transitions = torch.randn(num_tags + 1, num_tags + 1, generator=generator, dtype=dtype)
    gold = torch.randint(num_tags, (sum(lengths),), generator=generator)
    return scores.requires_grad_(), transitions.requires_grad_(), gold


def every_path(scores, transitions, lengths):
    """Ten plain lines: for each sentence {path: score}."""
    found, edge = [], len(transitions) - 1
    for rows in torch.split(scores.detach(), list(lengths)):
        scored = {}
        for path in itertools.product(range(edge), repeat=len(rows)):
            steps = zip([edge, *path], [*path, edge], strict=True)
            scored[path] = float(sum(transitions.detach()[a, b] for a, b in steps)) + float(
                sum(rows[place, tag] for place, tag in enumerate(path))
            )
        found.append(scored)
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 1000), st.booleans())
def test_equals_enumeration(num_tags, lengths, seed, forbid):
    scores, transitions, gold = problem(num_tags, lengths, seed)
    if forbid and num_tags > 1:
        legal = torch.ones(num_tags + 1, num_tags + 1, dtype=torch.bool)
        legal[0, 1] = legal[-1, 1] = legal[1, -1] = False
        transitions = restricted(transitions, legal)
    paths = every_path(scores, transitions, lengths)
    log_z = torch.tensor([np.logaddexp.reduce(list(each.values())) for each in paths], dtype=torch.float64)
    torch.testing.assert_close(log_partition(scores, lengths, transitions), log_z)
    golds = [tuple(part.tolist()) for part in torch.split(gold, lengths)]
    of_gold = torch.tensor([each[path] for each, path in zip(paths, golds, strict=True)], dtype=torch.float64)
    torch.testing.assert_close(path_scores(scores, gold, lengths, transitions), of_gold)
    best = [tag for each in paths for tag in max(each, key=each.__getitem__)]
    assert viterbi(scores, lengths, transitions).tolist() == best
    expected = torch.zeros_like(scores).detach()
    start = 0
    for each, z, length in zip(paths, log_z, lengths, strict=True):
        for path, score in each.items():
            expected[start + torch.arange(length), torch.tensor(path)] += np.exp(score - float(z))
        start += length
    torch.testing.assert_close(marginals(scores, lengths, transitions), expected)


CASES = [(3, [4, 1, 7, 2]), (9, [20, 20, 5, 11]), (2, [1, 1]), (50, [30, 3, 64])]


@pytest.mark.parametrize("num_tags, lengths", CASES)
def test_equals_pytorch_crf(num_tags, lengths):
    scores, transitions, gold = problem(num_tags, lengths, scale=3.0)
    theirs = Reference(num_tags, batch_first=True).double()
    with torch.no_grad():
        theirs.transitions.copy_(transitions[:-1, :-1])
        theirs.start_transitions.copy_(transitions[-1, :-1])
        theirs.end_transitions.copy_(transitions[:-1, -1])
    rows, tags = (pad_sequence(torch.split(each, lengths), batch_first=True) for each in (scores, gold))
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    expected = -theirs(rows, tags, mask=mask, reduction="none")
    found = negative_log_likelihood(scores, gold, lengths, transitions)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    weights = torch.linspace(0.5, 2.0, len(lengths), dtype=torch.float64)  # each sentence by a weight of its own
    inputs = [scores, theirs.transitions, theirs.start_transitions, theirs.end_transitions]
    of_scores, between, start, end = torch.autograd.grad((expected * weights).sum(), inputs, materialize_grads=True)
    of_ours, of_transitions = torch.autograd.grad((found * weights).sum(), [scores, transitions])
    torch.testing.assert_close(of_ours, of_scores, rtol=1e-5, atol=1e-5)
    for ours, reference in (
        (of_transitions[:-1, :-1], between),
        (of_transitions[-1, :-1], start),
        (of_transitions[:-1, -1], end),
    ):
        torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-5)
    assert of_transitions[-1, -1] == 0
    assert viterbi(scores, lengths, transitions).tolist() == sum(theirs.decode(rows, mask=mask), [])


def test_gradients_are_those_of_finite_differences_with_forbidden_transitions():
    lengths = [3, 1, 4]
    scores, transitions, _ = problem(5, lengths)
    labels = ("B-X", "I-X", "E-X", "S-X", "O")
    legal = torch.from_numpy(legal_transitions(labels, "bioes"))
    gold = torch.tensor([0, 1, 2, 3, 4, 0, 2, 4])

    def loss(scores, transitions):
        return negative_log_likelihood(scores, gold, lengths, restricted(transitions, legal))

    assert torch.autograd.gradcheck(loss, (scores, transitions))
    gradient = torch.autograd.grad(loss(scores, transitions).sum(), transitions)[0]
    assert gradient.isfinite().all() and not gradient[~legal].any()


@pytest.mark.parametrize(
    "scheme, labels", [("bio", ["B-X", "I-X", "B-Y", "I-Y", "O"]), ("bioes", ["B-X", "I-X", "E-X", "S-X", "O"])]
)
def test_forbidden_transitions_stay_finite_in_fp32_and_unused(scheme, labels):
    legal = torch.from_numpy(legal_transitions(labels, scheme))
    lengths = [40, 1, 2, 17]
    scores, transitions, _ = problem(len(labels), lengths, scale=30.0, dtype=torch.float32)
    chain = restricted(transitions, legal)
    path = viterbi(scores, lengths, chain)
    edge = len(labels)
    for tags in torch.split(path, lengths):
        steps = [edge, *tags.tolist(), edge]
        assert all(legal[a, b] for a, b in itertools.pairwise(steps))
    assert negative_log_likelihood(scores, path, lengths, chain).isfinite().all()
    loss = negative_log_likelihood(scores, path, lengths, chain).sum()
    for gradient in torch.autograd.grad(loss, [scores, transitions]):
        assert gradient.isfinite().all()
    p = marginals(scores, lengths, chain)
    assert p.isfinite().all() and torch.allclose(p.sum(-1), torch.ones(len(p)))
    illegal_at_first = ~legal[-1, :-1]
    assert illegal_at_first.any() and not p[0, illegal_at_first].any()


def test_a_tag_no_path_reaches_gives_no_nan():
    """Nothing may stand before tag 1: its forward sums are -inf at every word."""
    transitions = torch.zeros(4, 4)
    transitions[:, 1] = -torch.inf
    scores = torch.randn(5, 3).requires_grad_()
    loss = negative_log_likelihood(scores, torch.tensor([0, 2, 2, 0, 0]), [3, 2], transitions.requires_grad_())
    for gradient in torch.autograd.grad(loss.sum(), [scores, transitions]):
        assert gradient.isfinite().all()
    assert not marginals(scores, [3, 2], transitions)[:, 1].any()


def test_fp32_is_stable_at_512_words_and_50_tags():
    lengths = [512, 100, 511]
    scores, transitions, gold = problem(50, lengths, scale=5.0, dtype=torch.float32)
    wide = [each.detach().double().requires_grad_() for each in (scores, transitions)]
    loss = negative_log_likelihood(scores, gold, lengths, transitions)
    exact = negative_log_likelihood(wide[0], gold, lengths, wide[1])
    torch.testing.assert_close(loss.double(), exact, rtol=1e-6, atol=0)
    ours = torch.autograd.grad(loss.sum(), [scores, transitions])
    for gradient, expected in zip(ours, torch.autograd.grad(exact.sum(), wide), strict=True):
        torch.testing.assert_close(gradient.double(), expected, rtol=1e-4, atol=2e-5)
    p = marginals(scores, lengths, transitions)
    torch.testing.assert_close(p.sum(-1), torch.ones(len(p)), rtol=0, atol=1e-5)
    torch.testing.assert_close(p.double(), marginals(*wide[:1], lengths, wide[1]), rtol=0, atol=2e-5)
    best = path_scores(scores, viterbi(scores, lengths, transitions), lengths, transitions)
    assert torch.all(best >= path_scores(scores, gold, lengths, transitions))
    certain = 2000.0 * torch.nn.functional.one_hot(gold, 50).float()  # a loss of 0 is 0, not the rest of large sums
    assert negative_log_likelihood(certain, gold, lengths, transitions.detach()).abs().max() < 1e-4


@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_sentences_do_not_see_each_other(lengths, random):
    scores, transitions, gold = problem(3, lengths, seed=len(lengths))
    order = list(range(len(lengths)))
    random.shuffle(order)
    parts, golds = (torch.split(each, lengths) for each in (scores, gold))
    moved = [lengths[n] for n in order]
    shuffled, of_shuffled = torch.cat([parts[n] for n in order]), torch.cat([golds[n] for n in order])
    together = negative_log_likelihood(scores, gold, lengths, transitions)
    torch.testing.assert_close(negative_log_likelihood(shuffled, of_shuffled, moved, transitions), together[order])
    alone = [viterbi(part, [len(part)], transitions) for part in parts]
    assert torch.equal(viterbi(scores, lengths, transitions), torch.cat(alone))
    one_by_one = [marginals(part, [len(part)], transitions) for part in parts]
    torch.testing.assert_close(marginals(scores, lengths, transitions), torch.cat(one_by_one))


def test_without_transitions_it_is_a_softmax_a_word():
    lengths = [3, 2]
    scores, _, gold = problem(4, lengths)
    flat = torch.zeros(5, 5, dtype=torch.float64)
    each = torch.nn.functional.cross_entropy(scores, gold, reduction="none")
    expected = torch.stack([part.sum() for part in torch.split(each, lengths)])
    torch.testing.assert_close(negative_log_likelihood(scores, gold, lengths, flat), expected)
    torch.testing.assert_close(marginals(scores, lengths, flat), scores.detach().softmax(-1))


def test_dead_ends_and_misuse_are_errors():
    scores, transitions, _ = problem(2, [2])
    closed = restricted(transitions, torch.tensor([[False, False, True], [False, False, True], [True, True, True]]))
    for use in (viterbi, marginals):
        with pytest.raises(ValueError, match="every path of a sentence is forbidden"):
            use(scores, [2], closed)
    with pytest.raises(ValueError, match="every sentence needs a word"):
        viterbi(scores, [2, 0], transitions)
    with pytest.raises(InputError, match="has no logits"):
        CRF(3)(scores)
    assert not CRF(3).transitions.any()
