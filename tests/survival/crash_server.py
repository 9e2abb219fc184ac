"""A fork server: imports torch and pretune once, then forks a child for each `pretune` command it is asked to run.

Each line of standard input is a JSON object: a command to start, answered with its process id, or {"wait": pid},
answered with its exit status (negative: the signal). A child is a session of its own, so that what it leaves behind
can be found. It forks before any torch operation and with a single thread (besides the one that pyarrow's jemalloc
starts when scikit-learn imports it, which jemalloc stops and starts around a fork).
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

LAZY = (
    "pretune.verbs.corpus", "pretune.verbs.finetune", "pretune.verbs.pretrain", "pretune.verbs.tokenizer",
    "sklearn.linear_model", "sklearn.feature_extraction.text", "scipy.stats", "torch.optim", "torch._dynamo",
)  # fmt: skip
"""What a command would import when it needs it."""


def main() -> None:
    import importlib

    for name in LAZY:
        importlib.import_module(name)
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    assert len([name for name in names if not name.startswith("jemalloc")]) == 1, f"a fork with threads: {names}"
    answer({"ready": os.getpid()})
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            answer({"status": os.waitstatus_to_exitcode(status)})
            continue
        child = os.fork()
        if child == 0:
            become(request)
        answer({"pid": child})
    os._exit(0)  # torch takes seconds to leave by itself


def answer(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


def become(request: dict[str, Any]) -> None:
    """The child: `pretune WORDS` with faults, its output in files."""
    status: Any = 0
    try:
        os.setsid()
        for descriptor, path in enumerate((os.devnull, request["out"], request["err"])):
            flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(path, flags), descriptor)
        sys.argv = ["pretune", *request["words"]]
        prepare(request)
        from pretune.cli.main import run

        run()
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
        status = 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)


def prepare(request: dict[str, Any]) -> None:
    """Fault points; and no search for the machine's fastest product, which takes longer than the run."""
    from crash_faults import FaultPoints

    import pretune.verbs.pretrain

    pretune.verbs.pretrain.peak_flops = lambda *_: 1e11
    FaultPoints(request["roots"], request["journal"], request["at"], request["torn"], request["of"]).install()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
