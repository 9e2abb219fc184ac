"""Evaluate: scores during training, the best weights, and early stopping."""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pretune.core.hooks import Hook
from pretune.train.run import Best, Run

T = TypeVar("T")
Score = Callable[[Any], Mapping[str, float]]


class Evaluate(Hook):
    """Calls `score(model)` (in eval mode, without gradients) during the run and after its last step.

    every: from 1 on, so many steps; below 1, such a share of the run; None, after the last step only.
    metric: the score that selects the best weights, higher being better unless `higher_is_better` says otherwise; the
    model has these weights when `fit` returns. None: nothing is selected, the last weights stay.
    patience: so many evaluations in a row without a better score end the run.
    A score that is not a number never counts as better. The best weights travel in checkpoints.
    Of several processes each scores everything, and the figures of process 0 count.
    """

    def __init__(
        self,
        score: Score,
        *,
        every: float | None = None,
        metric: str | None = None,
        higher_is_better: bool = True,
        patience: int | None = None,
    ) -> None:
        if every is not None and (every <= 0 or (every > 1 and every != int(every))):
            raise ValueError(f"every={every} is neither a share below 1 nor a whole number of steps")
        if patience is not None and (metric is None or patience < 1):
            raise ValueError("patience counts evaluations without a better `metric`: give a metric, and at least 1")
        self.score = score
        self.every = every
        self.metric = metric
        self.sign = 1 if higher_is_better else -1
        self.patience = patience
        self.best: Best | None = None
        self.best_weights: dict[str, Tensor] = {}
        self.num_without = 0
        self.shares_done = 0

    def on_start(self, run: Run) -> None:
        """The best weights are kept whole by process 0 alone, also those of a checkpoint."""
        if not run.is_first:
            self.best_weights = {}

    def on_step(self, run: Run) -> None:
        """A signal may end this in `score`; nothing of the hook has changed then, and it is called again."""
        shares = int(run.progress / self.every + 1e-9) if self.every is not None and self.every < 1 else 0
        if run.stopped or shares > self.shares_done or self._is_due_by_steps(run):
            self._evaluate(run)
        self.shares_done = shares

    def _is_due_by_steps(self, run: Run) -> bool:
        return self.every is not None and self.every >= 1 and run.step % int(self.every) == 0

    def _evaluate(self, run: Run) -> None:
        with run.signals.interruptible():
            scores = run.scored(lambda model: scored(model, self.score))
        run.scores = scores
        run.log({"valid": run.scores})
        if self.metric is None:
            return
        if self.metric not in run.scores:
            raise ValueError(f"the evaluation gives no {self.metric!r}, only {', '.join(run.scores)}")
        value = run.scores[self.metric]
        if math.isfinite(value) and (self.best is None or self.sign * value > self.sign * self.best.score):
            self.best = run.best = Best(run.step, self.metric, value, run.scores)
            self.best_weights = run.weights()
            self.num_without = 0
        else:
            self.num_without += 1
            if self.patience is not None and self.num_without >= self.patience:
                run.stop(f"no better {self.metric} in {self.num_without} evaluations")

    def on_end(self, run: Run) -> None:
        if self.best is not None:
            run.best = self.best
            run.load_weights(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        best = None if self.best is None else vars(self.best)
        counts = {"num_without": self.num_without, "shares_done": self.shares_done}
        return {"best": best, "best_weights": self.best_weights, **counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = None if state["best"] is None else Best(**state["best"])
        self.best_weights = state["best_weights"]
        self.num_without = state["num_without"]
        self.shares_done = state["shares_done"]


@torch.no_grad()
def scored(model: nn.Module, score: Callable[[Any], T]) -> T:
    """`score(model)` in eval mode; each module's own mode is restored. (Not inference mode: caches may outlive it.)"""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        return score(model)
    finally:
        for module, training in modes:
            module.training = training
