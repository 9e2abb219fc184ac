"""Settings of a training run: optimizer, schedule, budget, lengths, records. Imports no torch.

The keys are those of the command line (`optimizer.lr`, `schedule.warmup`, `batch_size` ...). A run ends after `steps`,
`tokens` or `epochs`, or when `seconds` of wall clock are over, whichever comes first; at least one must be given. With
`seconds` the schedule follows the larger of the two shares, so such a run is not reproducible bit by bit: how many
steps it makes depends on the machine.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from pretune.core.config import Settings

BUDGETS = ("steps", "tokens", "epochs", "seconds")
"""What can end a run. Giving one of them replaces the default of the others."""

CRF_LR = 5e-3
"""The least learning rate of a CRF's transitions, unless `optimizer.crf_lr` says another."""

Share = Annotated[float, Field(ge=0, le=1)]


class OptimizerSettings(Settings):
    """How weights are updated."""

    name: Literal["adamw", "muon"] = "adamw"
    """adamw (Loshchilov and Hutter 2019), or muon on hidden matrices with AdamW on the rest (Jordan 2024)."""
    lr: Annotated[float, Field(gt=0)] = 3e-4
    """Highest learning rate of the schedule."""
    matrix_lr: Annotated[float, Field(gt=0)] | None = None
    """Highest learning rate of the matrices that Muon updates; none: `lr`, which carries over as updates are scaled."""
    crf_lr: Annotated[float, Field(gt=0)] | None = None
    """Highest learning rate of a CRF's transitions; none: `lr`, and at least 5e-3."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    """Decay of AdamW's first and second moments."""
    eps: Annotated[float, Field(gt=0)] = 1e-6
    """AdamW's epsilon (1e-6 as BERT's code has it)."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled decay of matrices; biases, norms and other vectors are never decayed."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.95
    """Muon's Nesterov momentum."""


class ScheduleSettings(Settings):
    """How the learning rate changes over the run."""

    name: Literal["linear", "cosine", "wsd", "inverse_sqrt", "constant"] = "linear"
    """After the warm-up: linear or cosine decay, warm-up-stable-decay (Hu et al. 2024), the inverse square root of the
    step (Vaswani et al. 2017; it needs a warm-up), or constant."""
    warmup: Annotated[float, Field(ge=0)] = 0.1
    """Linear warm-up: below 1 a share of the run, from 1 on a number of steps."""
    decay: Share = 0.5
    """The share of the run in which wsd decays, at its end."""
    final: Share = 0.0
    """What is left of the learning rate at the end, as a share of `optimizer.lr`."""

    @model_validator(mode="after")
    def _fits(self) -> "ScheduleSettings":
        if self.name == "wsd" and self.warmup < 1 and self.warmup + self.decay > 1:
            raise ValueError(f"warmup {self.warmup} and decay {self.decay} together exceed the run: lower one of them")
        if self.name == "inverse_sqrt" and not self.warmup:
            raise ValueError("inverse_sqrt falls from the end of the warm-up on: give schedule.warmup above 0")
        if self.warmup >= 1 and self.warmup != int(self.warmup):
            raise ValueError(f"warmup {self.warmup} is neither a share below 1 nor a whole number of steps")
        return self

    def overlaps(self, num_steps: int) -> bool:
        """Whether a run of so many steps would begin wsd's decay before its warm-up in steps is over."""
        return self.name == "wsd" and self.warmup >= 1 and self.warmup / num_steps + self.decay > 1 + 1e-9


class FitSettings(Settings):
    """Everything `fit` and the feed need to know. Verbs extend it with their own fields and defaults.

    free_at_resume: settings that may differ when a run is continued, since its weights do not depend on them.
    """

    free_at_resume: ClassVar[frozenset[str]] = frozenset(
        {"save_every_steps", "save_every_minutes", "evaluate_every_steps", "log_every_steps", "keep_checkpoints"}
        | {"workers", "distribution", "on_non_finite", "max_skipped_steps", "spike_sigma", "spike_window"}
    )

    seed: Annotated[int, Field(ge=0)] = 0
    """Seeds data order, masking and dropout."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Samples in a step."""
    max_length: Annotated[int, Field(ge=1)] = 128
    """Longest sequence, special tokens included."""
    short_length: Annotated[int, Field(ge=1)] | None = None
    """Longest sequence of the run's first part, as BERT was trained at 128 before 512; none: one length throughout."""
    short_share: Share = 0.9
    """The share of the run that `short_length` holds for."""
    max_tokens_per_batch: Annotated[int, Field(ge=1)] = 16_384
    """A step is worked off in micro-batches of at most this many tokens; a longer single sample is one by itself."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """Length of the run in optimizer steps."""
    tokens: Annotated[int, Field(ge=1)] | None = None
    """Length of the run in real tokens; turned into steps beforehand by the mean length of the first samples."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Length of the run in passes over the samples."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """Wall clock after which the run ends, its schedule included; such runs are not reproducible bit by bit."""
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Gradients are scaled down to this norm; none: never."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto is bf16 (autocast) on a CUDA device that has it, fp32 elsewhere."""
    save_every_steps: Annotated[int, Field(ge=1)] = 1000
    """A checkpoint is written after so many steps, and at the end."""
    save_every_minutes: Annotated[float, Field(gt=0)] | None = 10.0
    """A checkpoint is written at the latest so long after the one before; none: by steps only."""
    evaluate_every_steps: Annotated[int, Field(ge=1)] | None = None
    """Evaluation on held-out data after so many steps; none: the verb's choice."""
    keep_checkpoints: Annotated[int, Field(ge=1)] = 2
    """How many checkpoints stay on disk."""
    log_every_steps: Annotated[int, Field(ge=1)] = 10
    """A line of metrics.jsonl after so many steps, and at the end."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that prepare batches; 0 is a thread. Order and content are the same for any number."""
    distribution: Literal["ddp", "fsdp"] = "ddp"
    """Of several processes each has a copy of the model (ddp), or a share of every parameter (fsdp: less memory)."""
    on_non_finite: Literal["stop", "skip"] = "stop"
    """A step whose loss or gradient is not finite never changes the weights: it ends the run, or is left out."""
    max_skipped_steps: Annotated[int, Field(ge=0)] = 10
    """With on_non_finite=skip: the run ends when more steps than this were left out."""
    spike_sigma: Annotated[float, Field(gt=0)] | None = 6.0
    """A loss so many standard deviations above the mean of the last ones is recorded with its samples; none: never."""
    spike_window: Annotated[int, Field(ge=2)] = 100
    """How many losses a spike is measured against."""

    @model_validator(mode="before")
    @classmethod
    def _given_budget_wins(cls, given: Any) -> Any:
        if isinstance(given, dict) and any(given.get(name) is not None for name in BUDGETS):
            return dict.fromkeys(BUDGETS) | given
        return given

    @model_validator(mode="after")
    def _one_course(self) -> "FitSettings":
        lengths = [name for name in BUDGETS[:3] if getattr(self, name) is not None]
        if len(lengths) > 1:
            raise ValueError(f"{' and '.join(lengths)} are both given: give one of them")
        if not lengths and self.seconds is None:
            raise ValueError("nothing says when the run ends: give steps, tokens, epochs or seconds")
        if not lengths and self.schedule.warmup >= 1:
            raise ValueError(
                "a warm-up in steps needs steps, tokens or epochs: give schedule.warmup as a share below 1"
            )
        if self.steps is not None and self.schedule.warmup > max(1, self.steps):
            raise ValueError(
                f"schedule.warmup of {self.schedule.warmup:g} steps is longer than the run of {self.steps}: "
                "give a share below 1, for example schedule.warmup=0.1"
            )
        if self.steps is not None and self.schedule.overlaps(self.steps):
            raise ValueError(
                f"schedule.warmup of {self.schedule.warmup:g} steps and schedule.decay of {self.schedule.decay:g} "
                f"together exceed the run of {self.steps} steps: lower one of them"
            )
        if self.short_length is not None:
            self._check_two_lengths(self.short_length)
        return self

    def _check_two_lengths(self, short_length: int) -> None:
        if short_length >= self.max_length:
            raise ValueError(f"short_length {short_length} is not below max_length {self.max_length}")
        if self.steps is None and self.tokens is None:
            raise ValueError("two lengths need a run of known length: give steps or tokens, or short_length=null")
        if self.seconds is not None:
            raise ValueError("two lengths and a budget of seconds do not go together: give short_length=null")

    @property
    def lengths(self) -> tuple[tuple[float, int], ...]:
        """(share of the run, longest sequence) of each phase, in order."""
        if self.short_length is None:
            return ((1.0, self.max_length),)
        return ((self.short_share, self.short_length), (1 - self.short_share, self.max_length))
