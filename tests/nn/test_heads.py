import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pretune.core.loss import cross_entropy
from pretune.core.stream import Targets
from pretune.nn.config import FanIn, HeadTransform, LMHead, Norm
from pretune.nn.heads import ClassificationHead, MaskedLMHead
from pretune.nn.pooling import group_mean
from pretune.nn.transformer import Transformer


def targets_of(num: int, group=None, gold=None, weight=None) -> Targets:
    return Targets(torch.arange(num)[:, None], gold_M=gold, weight_M=weight, group_M=group)


def test_lm_head_is_transform_then_the_embedding_matrix(nn_tools):
    body = Transformer(nn_tools.config())
    head = nn_tools.randomise(MaskedLMHead(body, LMHead(HeadTransform(norm=Norm(eps=1e-5))), FanIn()))
    x = torch.randn(7, 16)
    inner = F.layer_norm(
        F.gelu(x @ head.transform.dense.weight.T + head.transform.dense.bias),
        (16,),
        head.transform.norm.weight,
        head.transform.norm.bias,
        1e-5,
    )
    expected = inner @ body.token_embedding.weight.T + head.decoder.bias
    torch.testing.assert_close(head(x[:, None], targets_of(7)), expected, rtol=0, atol=1e-4)


def test_tied_decoder_is_the_same_parameter_and_making_a_head_leaves_it(nn_tools):
    body = Transformer(nn_tools.config())
    before = body.token_embedding.weight.clone()
    tied = MaskedLMHead(body, LMHead(), FanIn())
    own = MaskedLMHead(body, LMHead(tied=False, bias=False), FanIn())
    assert tied.decoder.weight is body.token_embedding.weight
    assert own.decoder.weight is not body.token_embedding.weight and own.decoder.bias is None
    assert torch.equal(before, body.token_embedding.weight)


def test_row_head_is_pooler_then_linear():
    head = ClassificationHead(4, 3, FanIn(), transform=HeadTransform("tanh"))
    x = torch.randn(5, 4)
    expected = torch.tanh(head.transform.dense(x)) @ head.classifier.weight.T
    torch.testing.assert_close(head(x[:, None], targets_of(5)), expected)


def test_mean_head_by_hand():
    head = ClassificationHead(2, 2, FanIn(), pooling="mean")
    with torch.no_grad():
        head.classifier.weight.copy_(torch.eye(2))
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0], [10.0, 0.0], [5.0, 6.0]])
    out = head(x[:, None], targets_of(4, group=torch.tensor([0, 0, 1, 0])))
    assert out.tolist() == [[3.0, 4.0], [3.0, 4.0], [10.0, 0.0], [3.0, 4.0]]


def test_mean_head_with_weights_of_one_over_rows_is_one_prediction_a_text():
    head = ClassificationHead(6, 3, FanIn(), pooling="mean", transform=HeadTransform())
    sizes, gold_G = torch.tensor([1, 4, 9]), torch.tensor([2, 0, 1])
    group = torch.arange(3).repeat_interleave(sizes)
    x = torch.randn(14, 1, 6)
    rows = targets_of(14, group=group, gold=gold_G[group], weight=1 / sizes[group].float())
    loss = cross_entropy(head(x, rows), rows)
    pooled = torch.stack([part.mean(0) for part in x[:, 0].split(sizes.tolist())])
    logits = head.classifier(F.gelu(head.transform.dense(pooled)))
    torch.testing.assert_close(loss.sum, F.cross_entropy(logits, gold_G, reduction="sum"))
    assert loss.count == pytest.approx(3)


def test_group_mean_of_nothing():
    assert group_mean(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)).shape == (0, 4)


def test_head_dropout_only_in_training():
    head = ClassificationHead(64, 2, FanIn(), dropout=0.5)
    x, targets = torch.ones(3, 1, 64), targets_of(3)
    assert not torch.equal(head(x, targets)[0], head(x, targets)[1])
    assert torch.equal(head.eval()(x, targets)[0], head(x, targets)[1])


def test_wrong_targets_say_why():
    with pytest.raises(ValueError, match="reads one row a prediction, not 2"):
        ClassificationHead(4, 2, FanIn())(torch.zeros(3, 2, 4), targets_of(3))
    with pytest.raises(ValueError, match="needs group_M"):
        ClassificationHead(4, 2, FanIn(), pooling="mean")(torch.zeros(3, 1, 4), targets_of(3))


def test_fresh_logits_are_of_the_order_of_one(nn_tools):
    body = Transformer(nn_tools.config(vocab_size=500, hidden_size=64))
    head = MaskedLMHead(body, body.config.output, body.config.init)
    batch = nn_tools.batch(np.full(20, 30).tolist())
    logits = head(body(batch)[:, None], targets_of(600))
    assert 0.5 < logits.std().item() < 2.0
