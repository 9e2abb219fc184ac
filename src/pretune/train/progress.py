"""Progress: a bar on a terminal, plain lines elsewhere. It reads the run and changes nothing."""

import sys
import time
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pretune.core.hooks import Hook
from pretune.train.run import Run


class ShowProgress(Hook):
    """Shows steps, loss, last scores and speed on `stream` (standard error unless given), which may be a terminal.

    every_seconds: between plain lines where there is no terminal. Of several processes only process 0 shows anything.
    """

    def __init__(self, title: str = "training", stream: TextIO | None = None, every_seconds: float = 10.0) -> None:
        self.title = title
        self.stream = stream or sys.stderr
        self.every_seconds = every_seconds
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self.last_line = 0.0

    def on_start(self, run: Run) -> None:
        if not run.is_first:
            return
        if run.resumed_from is not None:
            state = "complete" if run.stopped else "continuing"
            print(f"{self.title}: {state} at step {run.step}", file=self.stream, flush=True)
        if run.stopped is None and self.stream.isatty():
            console = Console(file=self.stream)
            columns = (BarColumn(), TextColumn("{task.fields[facts]}"), TimeElapsedColumn(), TimeRemainingColumn())
            self.bar = Progress(TextColumn("{task.description}"), *columns, console=console, refresh_per_second=4)
            self.task = self.bar.add_task(self.title, total=1000, completed=round(1000 * run.progress), facts="")
            self.bar.start()
        self.last_line = time.monotonic()

    def on_step(self, run: Run) -> None:
        if not run.is_first:
            return
        if self.bar is not None:
            self.bar.update(self.task, completed=1000 * run.progress, facts=facts(run))
            if run.stopped:
                self.bar.stop()
                self.bar = None
        elif run.stopped or time.monotonic() - self.last_line >= self.every_seconds:
            self.last_line = time.monotonic()
            print(f"{self.title}: {run.progress:4.0%} {facts(run)}", file=self.stream, flush=True)

    def on_end(self, run: Run) -> None:
        """Where a later hook, or another process, ended the run after this step was shown."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def facts(run: Run) -> str:
    """One line about a run: step, loss and its parts where there are several, last scores, tokens a second."""
    steps = f"step {run.step:,}" + (f"/{run.num_steps:,}" if run.num_steps is not None else "")
    scores = "".join(f", valid {name} {value:.4f}" for name, value in run.scores.items())
    parts = ", ".join(f"{name} {value:.4f}" for name, value in run.losses.items())
    loss = f"loss {run.loss:.4f}" + (f" ({parts})" if len(run.losses) > 1 else "")
    return f"{steps}, {loss}{scores}, {run.tokens_per_second:,.0f} tokens/s"
