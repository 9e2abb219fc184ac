import subprocess
import sys

import pytest
import torch

from pretune.core.errors import InputError
from pretune.nn.config import Attention, Rotary
from pretune.nn.transformer import Transformer


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(num_layers=0), "num_layers is 0"),
        (dict(attention=Attention(3)), "hidden_size 16 is not a multiple of num_heads 3"),
        (dict(hidden_size=6, attention=Attention(2), position=Rotary()), "even head size, not 3"),
        (dict(attention=Attention(2, windows=(1,))), "windows has 1 entries for 3 layers"),
        (dict(hidden_dropout=1.0), "hidden_dropout is 1.0"),
        (dict(attention=Attention(2, dropout=-0.1)), "attention.dropout is -0.1"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(nn_tools, changes, message):
    with pytest.raises(InputError, match=message):
        nn_tools.config(**changes)


def test_window_of_a_layer(nn_tools):
    config = nn_tools.config(attention=Attention(2, windows=(None, 64, 64)))
    assert [config.window(layer) for layer in range(3)] == [None, 64, 64]
    assert nn_tools.config().window(1) is None


def test_config_imports_no_torch():
    code = "import sys, pretune.nn.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_layers_that_share_blocks(nn_tools):
    """Four layers with two blocks are a body of four whose layers have equal weights in pairs."""
    shared = nn_tools.randomise(Transformer(nn_tools.config(num_layers=4, num_groups=2, embedding_size=6)))
    assert len(shared.layers) == 2 and shared.token_embedding.weight.shape[1] == 6
    alone = Transformer(nn_tools.config(num_layers=4, num_groups=4, embedding_size=6))
    state = {key: value for key, value in shared.state_dict().items() if not key.startswith("layers.")}
    for layer, block in enumerate((0, 0, 1, 1)):
        state |= {f"layers.{layer}.{key}": value for key, value in shared.layers[block].state_dict().items()}
    alone.load_state_dict(state)
    batch = nn_tools.batch([3, 5])
    with torch.no_grad():
        assert torch.equal(shared(batch), alone(batch))
    for wrong in ({"num_groups": 5}, {"num_groups": 0}, {"embedding_size": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            nn_tools.config(num_layers=4, **wrong)
