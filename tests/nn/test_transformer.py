import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from pretune.nn.config import Attention, FeedForward, Learned, NoPosition, Norm, Normal, Rotary, Sinusoidal
from pretune.nn.heads import MaskedLMHead
from pretune.nn.transformer import Transformer

CONFIGS = {
    "modern": {},
    "local": dict(attention=Attention(2, bias=False, windows=(None, 2, 2)), position=Rotary(100.0, local_base=10.0)),
    "normed queries": dict(attention=Attention(2, qk_norm=True), norm=Norm("rms", 1e-6)),
    "bert": dict(
        position=Learned(128),
        norm=Norm(),
        placement="post",
        feed_forward=FeedForward(24),
        attention=Attention(2),
        init=Normal(0.02, 2.0),
        num_segments=2,
        final_norm=False,
    ),
    "original": dict(
        position=Sinusoidal(128),
        norm=Norm(eps=1e-5),
        placement="post",
        embedding_norm=False,
        final_norm=False,
        feed_forward=FeedForward(24, "relu"),
    ),
    "gpt-like": dict(
        position=NoPosition(),
        embedding_norm=False,
        feed_forward=FeedForward(24, "gelu_tanh", bias=True),
        attention=Attention(4),
        num_layers=1,
    ),
}
LENGTHS = [1, 4, 4, 9, 31, 2]


def plain_norm(module, x):
    if module is None:
        return x
    if isinstance(module, torch.nn.RMSNorm):
        return x / (x.pow(2).mean(-1, keepdim=True) + module.eps).sqrt() * module.weight
    centred = x - x.mean(-1, keepdim=True)
    out = centred / (centred.pow(2).mean(-1, keepdim=True) + module.eps).sqrt() * module.weight
    return out if module.bias is None else out + module.bias


def plain_turn(x_THE, positions_T, base):
    half = x_THE.shape[-1] // 2
    angles = torch.outer(positions_T.float(), 1 / base ** (torch.arange(half) / half))[:, None]
    a, b = x_THE[..., :half], x_THE[..., half:]
    return torch.cat([a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], dim=-1)


def plain_attention(dense, block, config, layer, x, stream):
    heads, window = config.attention.num_heads, config.window(layer)
    q, k, v = F.linear(x, block.attention.qkv.weight, block.attention.qkv.bias).view(len(x), 3, heads, -1).unbind(1)
    q, k = plain_norm(block.attention.query_norm, q), plain_norm(block.attention.key_norm, k)
    if isinstance(config.position, Rotary):
        local = config.position.local_base
        base = local if window is not None and local else config.position.base
        q, k = plain_turn(q, stream.positions_T, base), plain_turn(k, stream.positions_T, base)
    return block.attention.output(dense(q, k, v, stream, stream, window=window).flatten(1))


def plain_feed_forward(block, settings, x):
    act = {"gelu": F.gelu, "relu": F.relu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh")}[settings.activation]
    inner = block.feed_forward.inner(x)
    if settings.gated:
        inner = act(inner[:, : settings.intermediate_size]) * inner[:, settings.intermediate_size :]
    else:
        inner = act(inner)
    return block.feed_forward.output(inner)


def plain_forward(dense, body, batch):
    """The whole body, layer by layer, in plain operations on the whole stream."""
    config, stream = body.config, batch.source
    x = body.token_embedding.weight[stream.ids_T]
    if config.num_segments:
        x = x + body.segment_embedding.weight[stream.segment_ids_T]
    if isinstance(config.position, Learned):
        x = x + body.position.embedding.weight[stream.positions_T]
    if isinstance(config.position, Sinusoidal):
        x = x + body.position.table_PD[stream.positions_T]
    x = plain_norm(body.embedding_norm, x)
    layers = [x]
    for layer, block in enumerate(body.layers):
        if config.placement == "pre":
            x = x + plain_attention(dense, block, config, layer, plain_norm(block.attention_norm, x), stream)
            x = x + plain_feed_forward(block, config.feed_forward, plain_norm(block.feed_forward_norm, x))
        else:
            x = plain_norm(block.attention_norm, x + plain_attention(dense, block, config, layer, x, stream))
            x = plain_norm(block.feed_forward_norm, x + plain_feed_forward(block, config.feed_forward, x))
        layers.append(x)
    layers[-1] = plain_norm(body.final_norm, x)
    return layers


def make_body(nn_tools, name):
    return nn_tools.randomise(Transformer(nn_tools.config(**CONFIGS[name]))).double()


def gradients(body, loss):
    parameters = dict(body.named_parameters())
    return dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values()), allow_unused=True), strict=True))


@pytest.mark.parametrize("visibility", ["full", "causal", "mixed"])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_layer_and_gradient_equals_the_plain_form(nn_tools, name, visibility):
    body, batch = make_body(nn_tools, name), nn_tools.batch(LENGTHS, visibility)
    layers, plain = body(batch, layers="all"), plain_forward(nn_tools.dense, body, batch)
    assert len(layers) == body.config.num_layers + 1
    for one, other in zip(layers, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    assert torch.equal(body(batch), layers[-1])
    weights = torch.randn_like(plain[-1])
    ours, theirs = (gradients(body, (out[-1] * weights).sum()) for out in (layers, plain))
    for key, grad in theirs.items():
        torch.testing.assert_close(ours[key], grad, rtol=1e-5, atol=1e-4, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("visibility", ["full", "causal", "query stream"])
@pytest.mark.parametrize("name", CONFIGS)
def test_read_rows_equal_those_of_the_whole_with_gradients(nn_tools, name, visibility):
    body, batch = make_body(nn_tools, name), nn_tools.batch(LENGTHS, visibility)
    check_rows(body, batch, batch.rows_R)


def check_rows(body, batch, rows):
    whole, read = body(batch)[rows], body(batch, rows=rows)
    torch.testing.assert_close(read, whole, rtol=0, atol=1e-11)
    weights = torch.randn_like(whole)
    ours, theirs = (gradients(body, (out * weights).sum()) for out in (read, whole))
    for key, grad in theirs.items():
        torch.testing.assert_close(ours[key], grad, rtol=1e-9, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=12), st.data())
def test_any_rows_may_be_read(nn_tools, lengths, data):
    rows = sorted(data.draw(st.sets(st.integers(0, sum(lengths) - 1), min_size=1)))
    check_rows(make_body(nn_tools, "modern"), nn_tools.batch(lengths), torch.tensor(rows))


def test_no_rows_give_no_vectors_and_zero_gradients(nn_tools):
    body, batch = make_body(nn_tools, "modern"), nn_tools.batch([3, 5])
    out = body(batch, rows=torch.zeros(0, dtype=torch.int64))
    assert out.shape == (0, 16)
    assert all(grad is None or (grad == 0).all() for grad in gradients(body, out.sum()).values())


@pytest.mark.parametrize("name", CONFIGS)
def test_a_sequence_never_changes_another(nn_tools, name):
    body, batch = make_body(nn_tools, name), nn_tools.batch([9, 9, 10, 12])
    before = body(batch)
    changed = copy.deepcopy(batch)
    changed.source.ids_T[9:18] = (changed.source.ids_T[9:18] + 7) % nn_tools.vocab
    apart = (body(changed) - before).abs().amax(1)
    assert (apart[9:18] > 1e-6).all()
    assert apart[:9].max() < 1e-13 and apart[18:].max() < 1e-13


def test_position_and_segment_count(nn_tools):
    body, batch = make_body(nn_tools, "bert"), nn_tools.batch([6, 6])
    before = body(batch)
    for column in ("positions_T", "segment_ids_T"):
        changed = copy.deepcopy(batch)
        getattr(changed.source, column)[3] = 1 - getattr(changed.source, column)[3].clamp(0, 1)
        assert (body(changed) - before)[:6].abs().min() > 1e-8, column


def test_autocast_bfloat16_stays_close(nn_tools):
    body, batch = Transformer(nn_tools.config()), nn_tools.batch(LENGTHS)
    head = MaskedLMHead(body, body.config.output, body.config.init)
    targets = batch.predict["lm"]
    exact = head(body(batch, rows=batch.rows_R)[targets.slot_MK], targets)
    with torch.autocast("cpu", torch.bfloat16):
        rough = head(body(batch, rows=batch.rows_R)[targets.slot_MK], targets)
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), exact, rtol=0, atol=0.1)
    rough.float().logsumexp(-1).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in body.parameters())


@pytest.mark.parametrize(
    "changes",
    [dict(hidden_dropout=0.1), dict(embedding_dropout=0.1), dict(attention=Attention(2, dropout=0.1))],
    ids=["hidden", "embedding", "attention"],
)
def test_dropout_only_in_training(nn_tools, changes):
    body, batch = Transformer(nn_tools.config(**changes)), nn_tools.batch(LENGTHS)
    torch.manual_seed(0)
    first = body(batch)
    assert not torch.equal(first, body(batch))
    torch.manual_seed(0)
    assert torch.equal(first, body(batch))
    assert torch.equal(body.eval()(batch), body(batch))


def test_only_the_first_layer_after_normed_embeddings_has_no_attention_norm(nn_tools):
    def has_norms(name):
        return [block.attention_norm is not None for block in make_body(nn_tools, name).layers]

    assert has_norms("modern") == [False, True, True]
    assert has_norms("bert") == [True, True, True]
    assert has_norms("gpt-like") == [True]


def test_like_changes_choices_and_keeps_the_family(nn_tools):
    body = Transformer(nn_tools.config()).join("modern", lambda kind, body, num_labels: torch.nn.Linear(2, num_labels))
    other = body.like(num_layers=1, hidden_size=8)
    assert (len(other.layers), other.token_embedding.weight.shape[1], other.family) == (1, 8, "modern")
    assert other.family_head("sequence", 5).out_features == 5
    with pytest.raises(ValueError, match="belongs to no family"):
        Transformer(nn_tools.config()).family_head("lm")


def test_wrong_calls_say_why(nn_tools):
    from dataclasses import replace

    body, batch = Transformer(nn_tools.config()), nn_tools.batch([3])
    with pytest.raises(ValueError, match="leave rows out"):
        body(batch, rows=batch.rows_R, layers="all")
    with pytest.raises(ValueError, match="target stream"):
        body(replace(batch, target=batch.source))
    with pytest.raises(ValueError, match="still in numpy"):
        body(replace(batch, source=replace(batch.source, ids_T=batch.source.ids_T.numpy())))
