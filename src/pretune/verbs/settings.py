"""The settings of each verb, and how a run's come together: defaults, then a saved run.yaml, then `KEY=VALUE`.

A budget (steps, tokens, epochs, seconds) in a later layer replaces those of earlier ones. Imports no torch, so that
`pretune settings` answers at once.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field

from pretune.core.config import Settings, load_yaml, parse_assignments, resolve
from pretune.core.errors import InputError
from pretune.decode.settings import Generation
from pretune.train.config import BUDGETS, FitSettings, OptimizerSettings

F = TypeVar("F", bound=FitSettings)
CheckHow = Literal["refuse", "warn", "skip"]


class PretrainSettings(FitSettings):
    """Everything a pre-training run can be told."""

    free_at_resume: ClassVar[frozenset[str]] = FitSettings.free_at_resume | {"watts", "valid_samples"}

    objective: dict[str, Any] = {}
    """Settings of the recipe's objective, for example objective.masking_rate=0.3. objective.name=sentence_order+mlm
    puts another in its place, with its own defaults; `pretune objectives` lists the names."""
    model: dict[str, Any] = {}
    """Changes to the size's preset, for example model.num_layers=3."""
    generator: str | None = None
    """With --init and an objective that has a generator (replaced_token): the model to start it from; none: the folder
    `generator` of the model to start from, else fresh."""
    valid_samples: Annotated[int, Field(ge=1)] = 500
    """At most so many held-out samples are scored at each evaluation."""
    repeats: Annotated[float, Field(ge=1)] | None = None
    """Train on so few samples that each is seen this often in the run (Raffel et al. 2020, table 9); none: on all."""
    watts: Annotated[float, Field(gt=0)] | None = None
    """Average power of the machine, for the energy estimate; none: 65 for a CPU, a GPU's own limit. Better measured."""


class FinetuneSettings(FitSettings):
    """Everything a fine-tuning run can be told. Defaults lie in the ranges of Devlin et al. 2019, appendix A.3."""

    free_at_resume: ClassVar[frozenset[str]] = FitSettings.free_at_resume | {"watts", "check"}

    epochs: Annotated[float, Field(gt=0)] | None = 3.0
    """Length of the run in passes over the training file."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Samples in a step."""
    max_length: Annotated[int, Field(ge=1)] = 128
    """Longest sequence, special tokens included; what is cut off is counted."""
    optimizer: OptimizerSettings = OptimizerSettings(lr=5e-5)
    """The optimizer."""
    save_every_steps: Annotated[int, Field(ge=1)] = 500
    """A checkpoint is written after so many steps, and at the end."""
    log_every_steps: Annotated[int, Field(ge=1)] = 1
    """A line of metrics.jsonl after so many steps, and at the end."""
    adapt: str = "full"
    """Which weights train: full, or frozen (the head alone)."""
    task: dict[str, Any] = {}
    """Settings of the task, for example task.metric=matthews."""
    columns: dict[str, Any] = {}
    """Names of the columns in the files, for example columns.text=sentence."""
    model: dict[str, Any] = {}
    """Changes to a preset with fresh weights, for example model.num_layers=3."""
    head: Literal["auto", "fresh"] = "auto"
    """auto: where the model has a head for the task with the same labels, training goes on from it; fresh: never."""
    top: Literal["bilstm"] | None = None
    """A fresh layer between the body and the head: bilstm, as BERT's ablation puts on a model that reads from left to
    right; none: nothing is added."""
    check: CheckHow = "refuse"
    """What to do about what `pretune check` finds: refuse files whose score would be wrong and look right, or warn;
    skip does not look."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Stop after so many evaluations without a better score on the validation file."""
    watts: Annotated[float, Field(gt=0)] | None = None
    """Average power of the machine, for the energy estimate; none: 65 for a CPU, a GPU's own limit. Better measured."""


class CurveSettings(FinetuneSettings):
    """Everything a learning curve can be told: the settings of its fine-tuning runs, and a few of its own.

    At small sizes `epochs` would be a handful of steps, too few for a fine-tuned model to be any good and stable
    (Mosbach et al. 2021, section 5; Zhang et al. 2021, section 5): every run has at least `min_steps`.
    """

    min_steps: Annotated[int, Field(ge=1)] = 200
    """Steps of a run where `epochs` would give fewer."""
    draw: Literal["random", "stratified"] = "random"
    """How labelled records are drawn: random, or with every class as often as in the whole file."""
    scratch: dict[str, Any] = {}
    """Settings of the runs from scratch that differ, for example scratch.optimizer.lr=1e-3."""
    frozen: dict[str, Any] = {}
    """Settings of the runs on frozen features that differ, for example frozen.optimizer.lr=1e-2."""


class CompareSettings(PretrainSettings):
    """Everything a comparison can be told: settings of all its pre-training runs, and of its fine-tuning runs."""

    finetune: dict[str, Any] = {}
    """Settings of every row's fine-tuning, for example finetune.epochs=2; those of `pretune settings finetune`."""


class CheckSettings(Settings):
    """Everything a check of labelled files can be told."""

    columns: dict[str, Any] = {}
    """Names of the columns in the files, for example columns.text=sentence."""
    task: dict[str, Any] = {}
    """Settings of the task, where one is named."""


class EvaluateSettings(Settings):
    """Everything an evaluation can be told."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Seeds the bootstrap."""
    max_length: Annotated[int, Field(ge=1)] | None = None
    """Longest sequence; none: as the model was fine-tuned. What is cut off is counted."""
    columns: dict[str, Any] = {}
    """Names of the columns in the file, for example columns.text=sentence."""
    task: dict[str, Any] = {}
    """Settings of the task to change, for example task.metric=matthews."""


class PerplexitySettings(Settings):
    """Everything a perplexity can be told."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Seeds the masks and the bootstrap."""
    objective: dict[str, Any] = {}
    """What is to be predicted, for example objective.masking_rate=0.15 or objective.name=token_stream+causal_lm; none:
    mlm, prefix_lm or causal_lm, by what the model sees."""
    max_length: Annotated[int, Field(ge=1)] = 128
    """Longest sequence, special tokens included; less where the model takes less."""
    samples: Annotated[int, Field(ge=1)] | None = 2000
    """At most so many samples, spread over the split; none: all."""
    max_tokens_per_batch: Annotated[int, Field(ge=1)] = 4096
    """Samples are scored in batches of at most so many tokens."""


class PairSettings(Settings):
    """Everything a suite of minimal pairs can be told; it trains nothing."""

    scoring: Literal["auto", "pll", "pll-word-l2r", "log-likelihood", "replaced-token"] = "auto"
    """How a sentence is scored. auto: log-likelihood of a causal model, else pll; pll-word-l2r also masks the later
    pieces of a word; see `evaluate/likelihood.py`."""
    max_tokens_per_batch: Annotated[int, Field(ge=1)] = 4096
    """Sentences, a masked copy for each piece, are scored in batches of at most this many tokens."""


def resolve_run(
    kind: type[F],
    defaults: Mapping[str, Any],
    saved: Mapping[str, Any] | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
) -> F:
    """The settings of a run. `saved` are those of a run.yaml (`read_run`), `settings` are `KEY=VALUE` texts or a nested
    dict; InputError for an unknown key.

    A budget (steps, tokens, epochs, seconds) in a later layer replaces those of earlier ones, and so does an objective
    of another name.
    """
    given = dict(settings) if isinstance(settings, Mapping) else parse_assignments(settings)
    layers = [dict(defaults), dict(saved or {}), given]
    for number, layer in enumerate(layers):
        if any(layer.get(budget) is not None for budget in BUDGETS):
            for earlier in layers[:number]:
                for budget in BUDGETS:
                    earlier.pop(budget, None)
        if (name := objective_name(layer)) is not None:
            for earlier in layers[:number]:
                if objective_name(earlier) != name:
                    earlier.pop("objective", None)
    return resolve(kind, *layers)


def objective_name(layer: Mapping[str, Any]) -> Any:
    """The name that settings give the objective, if they do."""
    objective = layer.get("objective")
    return objective.get("name") if isinstance(objective, Mapping) else None


def read_run(config: str | Path | None, verb: str) -> dict[str, Any]:
    """What a run.yaml says, with "settings"; a file that holds nothing but settings is taken as these. None: nothing.

    Raises InputError for a file that another verb wrote.
    """
    if config is None:
        return {"settings": {}}
    tree = load_yaml(config)
    if "settings" not in tree:
        return {"settings": tree}
    if tree.get("verb", verb) != verb:
        raise InputError(f"{config} is of pretune {tree['verb']}, not of pretune {verb}: give one that {verb} wrote")
    if not isinstance(tree["settings"], dict):
        raise InputError(f"{config}: settings is {tree['settings']!r:.80}: expected a mapping")
    return tree


SETTINGS: Mapping[str, type[Settings]] = {
    "pretrain": PretrainSettings,
    "finetune": FinetuneSettings,
    "curve": CurveSettings,
    "compare": CompareSettings,
    "evaluate": EvaluateSettings,
    "check": CheckSettings,
    "perplexity": PerplexitySettings,
    "suite-blimp": PairSettings,
    "generate": Generation,
}
"""Verb -> its settings, as `pretune settings VERB` lists them."""
