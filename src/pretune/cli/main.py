"""The `pretune` command: registers one verb a file and turns errors into messages and exit statuses.

Exit status: 0 done, 1 a run failed (says why and what is safe on disk), 2 the request is wrong (says what to change).
`--help` answers without importing torch: a verb's work is imported when it runs.
"""

import sys

import typer

from pretune.cli import (
    check,
    compare,
    corpus,
    curve,
    embed,
    evaluate,
    export,
    fill,
    finetune,
    generate,
    listing,
    perplexity,
    plan,
    predict,
    pretrain,
    quickstart,
    search,
    settings,
    suite,
    tokenizer,
)
from pretune.cli.torchrun import refuse_processes
from pretune.core.errors import PretuneError

app = typer.Typer(
    name="pretune",
    help="Pre-train, fine-tune and honestly measure language models of your own, in Hugging Face format.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (
    quickstart,
    check,
    plan,
    pretrain,
    finetune,
    evaluate,
    perplexity,
    suite,
    compare,
    curve,
    predict,
    fill,
    generate,
    embed,
    search,
    export,
    settings,
):
    module.register(app)
app.add_typer(tokenizer.app, name="tokenizer")
app.add_typer(corpus.app, name="corpus")
listing.register(app)


@app.callback()
def started(context: typer.Context) -> None:
    refuse_processes(context.invoked_subcommand or "")


INTERRUPTED = 130
"""What typer makes of Ctrl-C."""


def run() -> None:
    """The console script: runs the command line and exits with its status."""
    try:
        app()
    except PretuneError as error:
        print(f"pretune: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print("pretune: interrupted; checkpoints are safe, and the same command continues", file=sys.stderr)
        raise
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"pretune: {where}{error.strerror or error}: check the path, its rights and the disk", file=sys.stderr)
        sys.exit(1)
