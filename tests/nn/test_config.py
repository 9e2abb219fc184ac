import subprocess
import sys

import pytest

from pretune.core.errors import InputError
from pretune.nn.config import Attention, Rotary


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(num_layers=0), "num_layers is 0"),
        (dict(attention=Attention(3)), "hidden_size 16 is not a multiple of num_heads 3"),
        (dict(hidden_size=6, attention=Attention(2), position=Rotary()), "even head size, not 6 / 2"),
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
