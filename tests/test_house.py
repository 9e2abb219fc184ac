"""The rules of the house hold in src/pretune, and each rule finds a breach planted in a small tree."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("house", ROOT / "tools/house.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["house"] = module
    spec.loader.exec_module(module)
    return module


house = load()


@pytest.mark.parametrize("rule", house.RULES, ids=lambda rule: rule.__name__)
def test_rule_holds(rule) -> None:  # type: ignore[no-untyped-def]
    breaches = [str(breach) for breach in rule(house.House(ROOT / "src/pretune"))]
    assert not breaches, "\n".join(breaches)


def test_guarded_modules_load_without_torch() -> None:
    """The same as `torch_free`, seen from outside: other packages might bring torch in."""
    names = house.torch_free_modules(house.House(ROOT / "src/pretune"))
    assert "pretune.core.errors" in names and "pretune.metrics.spans" in names
    code = f"import sys, {', '.join(names)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


CLEAN = {
    "__init__.py": '"""The face."""\n',
    "core/__init__.py": '"""Nouns.\n\nerrors.py  what is raised\nstream.py  torch\n"""\n',
    "core/errors.py": '"""Errors."""\n',
    "core/stream.py": '"""Streams."""\nimport torch\n',
    "text/__init__.py": '"""Readers.\n\nreaders.py  files\n"""\n',
    "text/readers.py": '"""Files."""\nfrom pretune.core.errors import InputError\n',
    "nn/__init__.py": '"""Layers.\n\nkernels/  fast paths\nnorms.py  norms\n"""\n',
    "nn/norms.py": '"""Norms."""\nimport torch\nfrom pretune.core import stream\n',
    "nn/kernels/__init__.py": '"""Fast paths.\n\nfast.py  one\n"""\n',
    "nn/kernels/fast.py": '"""One."""\n',
    "train/__init__.py": '"""The loop.\n\nloop.py  the loop\n"""\n',
    "train/loop.py": '"""Loop."""\nimport torch.distributed\nfrom pretune.nn.norms import Norm\n',
}


def breaches(tmp_path: Path, changes: dict[str, str]) -> list[str]:
    """What all rules say of the clean tree with some files added to, or new."""
    for name, text in {**CLEAN, **changes}.items():
        path = tmp_path / "pretune" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CLEAN.get(name, "") + text if name in changes else text)
    tree = house.House(tmp_path / "pretune")
    return [f"{rule.__name__}: {breach.what}" for rule in house.RULES for breach in rule(tree)]


def test_the_clean_tree_is_clean(tmp_path: Path) -> None:
    assert breaches(tmp_path, {}) == []


PLANTED = {
    "higher rank": ({"text/readers.py": "from pretune.train import loop\n"}, "ranks: text (rank 1) imports"),
    "equal rank": ({"nn/norms.py": "import pretune.text.readers\n"}, "ranks: nn (rank 1) imports pretune.text"),
    "in a function": ({"nn/norms.py": "def f():\n    from pretune.train.loop import fit\n"}, "ranks: nn (rank 1)"),
    "relative": ({"nn/kernels/fast.py": "from ...train import loop\n"}, "ranks: nn (rank 1) imports pretune.train"),
    "a folder's face": ({"nn/__init__.py": "import pretune.train\n"}, "ranks: nn (rank 1) imports pretune.train"),
    "by text": ({"nn/norms.py": 'x = entries("pretune.train")\n'}, "ranks: nn (rank 1) imports pretune.train"),
    "import_module": ({"nn/norms.py": 'import_module("pretune.train.loop")\n'}, "ranks: nn (rank 1) imports"),
    "the face": (
        {"text/readers.py": "from pretune import load\n"},
        "ranks: text (rank 1) imports pretune.load (rank 11)",
    ),
    "unknown folder": ({"misc/__init__.py": '"""Things."""\n'}, "ranks: folder misc/ has no rank"),
    "cycle": (
        {"core/errors.py": "import pretune.core.stream\n", "core/stream.py": "from pretune.core import errors\n"},
        "cycles: import cycle: pretune.core.errors -> pretune.core.stream -> pretune.core.errors",
    ),
    "cycle, late": (
        {"core/errors.py": "def f():\n    import pretune.core.stream\n", "core/stream.py": "from . import errors\n"},
        "cycles: import cycle",
    ),
    "torch": (
        {"text/readers.py": "import torch\n"},
        "torch_free: must import no torch, but does: pretune.text.readers",
    ),
    "torch, two steps": (
        {"text/readers.py": "from pretune.core.stream import Stream\n"},
        "torch_free: must import no torch, but does: pretune.text.readers -> pretune.core.stream -> torch",
    ),
    "torch, by the face": (
        {"__init__.py": "from pretune.core import stream\n"},
        "torch_free: must import no torch, but does: pretune.text -> pretune -> pretune.core.stream -> torch",
    ),
    "torch, in a try": (
        {"text/readers.py": "try:\n    import torch.nn\nexcept ImportError:\n    pass\n"},
        "torch_free",
    ),
    "distributed": ({"nn/norms.py": "from torch import distributed\n"}, "distribution: only train/"),
    "distributed, used": ({"nn/norms.py": "x = torch.distributed.get_rank()\n"}, "distribution: only train/"),
    "transformers": ({"nn/norms.py": "def f():\n    from transformers import BertModel\n"}, "references: imports"),
    "transformers, by text": ({"nn/norms.py": 'need_extra("transformers", "dev")\n'}, "references: imports"),
    "pickle": ({"nn/norms.py": "import pickle\n"}, "pickles: saves or loads by pickle"),
    "torch.load": ({"nn/norms.py": "x = torch.load('a')\n"}, "pickles: saves or loads by pickle"),
    "torch.load elsewhere": (
        {"nn/norms.py": "x = torch.load('a', weights_only=True)\n"},
        "pickles: saves or loads by pickle",
    ),
    "torch.load of anything": (
        {
            "checkpoint/__init__.py": '"""Files.\n\npickled.py  bins\n"""\n',
            "checkpoint/pickled.py": '"""Bins."""\nx = torch.load("a", weights_only=only)\n',
        },
        "pickles: saves or loads by pickle",
    ),
    "torch.save in the one file": (
        {
            "checkpoint/__init__.py": '"""Files.\n\npickled.py  bins\n"""\n',
            "checkpoint/pickled.py": '"""Bins."""\nx = torch.load("a", weights_only=True)\ntorch.save(x, "b")\n',
        },
        "pickles: saves or loads by pickle",
    ),
    "numpy's pickle by a variable": (
        {"nn/norms.py": "x = np.load('a', allow_pickle=y)\n"},
        "pickles: saves or loads by pickle",
    ),
    "numpy's pickle": ({"nn/norms.py": "x = np.load('a', allow_pickle=True)\n"}, "pickles: saves or loads by pickle"),
    "utils": ({"nn/__init__.py": "", "nn/utils.py": ""}, "layout: name the concept"),
    "left to do": ({"nn/norms.py": "# TODO faster\n"}, "layout: something is left to do"),
    "long file": ({"nn/norms.py": "x = 1\n" * 401}, "layout: 404 lines"),
    "long function": ({"nn/norms.py": "def f():\n" + "    x = 1\n" * 60}, "layout: f has 61 lines"),
    "file not named": ({"nn/rotary.py": '"""R."""\n'}, "contents: does not name rotary.py"),
    "folder not named": ({"nn/gpu/__init__.py": '"""G."""\n'}, "contents: does not name gpu/"),
    "no __init__": ({"metrics/f1.py": '"""F."""\n'}, "contents: missing"),
    "named, not there": (
        {"metrics/__init__.py": '"""Scores.\n\nf1.py  the F measure\n"""\n'},
        "contents: names f1.py, which is not there",
    ),
    "code in __init__": ({"nn/__init__.py": "x = 1\n"}, "contents: holds more or less than a docstring"),
}


@pytest.mark.parametrize("case", PLANTED)
def test_planted_breach_is_found(tmp_path: Path, case: str) -> None:
    changes, expected = PLANTED[case]
    found = breaches(tmp_path, changes)
    assert any(line.startswith(expected) for line in found), found


def test_the_one_file_may_read_tensors_from_a_pickle_and_functions_may_pass_the_users_word_along(
    tmp_path: Path,
) -> None:
    files = {
        "checkpoint/__init__.py": '"""Files.\n\npickled.py  bins\n"""\n',
        "checkpoint/pickled.py": '"""Bins."""\nx = torch.load("a", weights_only=True)\n',
        "nn/norms.py": "x = read('a', allow_pickle=asked)\n",
    }
    assert breaches(tmp_path, files) == []


def test_late_torch_and_types_alone_are_allowed(tmp_path: Path) -> None:
    late = "def f():\n    import torch\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n"
    assert breaches(tmp_path, {"text/readers.py": late}) == []


def test_command_line(tmp_path: Path) -> None:
    breaches(tmp_path, {"nn/norms.py": "import pickle\n"})
    run = [sys.executable, str(ROOT / "tools/house.py"), str(tmp_path / "pretune")]
    result = subprocess.run(run, capture_output=True, text=True, check=False)
    assert result.returncode == 1 and "norms.py:4: saves or loads by pickle" in result.stdout
