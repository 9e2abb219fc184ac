"""SuperGLUE (Wang et al. 2019): eight tasks of language understanding and two diagnostic sets.

The files are those of super.gluebenchmark.com, version 2, unpacked: BoolQ/train.jsonl, val.jsonl, test.jsonl and so on,
AX-b/AX-b.jsonl, AX-g/AX-g.jsonl (or in RTE/diagnostics, where jiant's script puts these two). How each set becomes a
task of ours: `superglue_records.py`.

Metrics as the benchmark's: accuracy and macro F1 for CB, F1a and exact match for MultiRC (`grouped.py`), F1 and exact
match for ReCoRD, accuracy elsewhere. A task's score is the mean of its metrics, SuperGLUE's the mean over the eight
tasks. The diagnostic sets are scored with the model of RTE and not counted: AX-b by Matthews correlation, AX-g by
accuracy and gender parity. The labels of the test files are not public, so val.jsonl is scored, and nothing is selected
on it; `submission/` holds what the server wants.

Our choices, not the benchmark's: 256 pieces for sets with passages, and 10 epochs for the three with fewer than 600
items, where 3 are some 50 steps. ReCoRD is the largest by far: a query reads its passage once for each entity, and all
of it is held in memory (some 42 bytes a token); leave its folder away where that is too much.
"""

from collections.abc import Mapping
from typing import Any

from pretune.evaluate.suites import grouped, submissions
from pretune.evaluate.suites import superglue_records as records
from pretune.evaluate.suites.layouts import Objects
from pretune.evaluate.suites.suite import Answers, Metric, Part, Suite, Writer

HOST = "https://dl.fbaipublicfiles.com/glue/superglue/data/v2"
ENTAILMENT = ("entailment", "not_entailment")
LONG = {"max_length": 256}
SMALL = {"epochs": 10}

names = submissions.superglue_lines(lambda one: one["label"])
capitals = submissions.superglue_lines(lambda one: one["label"].capitalize())
choices = submissions.superglue_lines(lambda one: one["choice"])


def _part(
    name: str,
    task: str,
    convert: records.Convert,
    write: Writer = names,
    metrics: tuple[str, ...] = ("accuracy",),
    settings: Mapping[str, Any] | None = None,
    own: Mapping[str, Metric] | None = None,
) -> Part:
    return Part(
        name,
        task,
        metrics,
        Objects(convert),
        f"{HOST}/{name}.zip",
        train=(f"{name}/train.jsonl",),
        scored={"val": (f"{name}/val.jsonl",)},
        submitted={f"{name}.jsonl": Answers((f"{name}/test.jsonl",), write)},
        own=own or {},
        settings=settings or {},
    )


def _diagnostic(name: str, metrics: tuple[str, ...], layout: Objects, own: Mapping[str, Metric] | None = None) -> Part:
    file = (f"{name}/{name}.jsonl", f"RTE/diagnostics/{name}.jsonl")
    return Part(
        name,
        "pair",
        metrics,
        layout,
        f"{HOST}/{name}.zip",
        scored={"test": file},
        submitted={f"{name}.jsonl": Answers(file, names)},
        own=own or {},
        trained_on="RTE",
        is_counted=False,
    )


superglue = Suite(
    "superglue",
    "Wang et al. 2019",
    (
        _part("BoolQ", "pair", records.pairs("passage", "question", ("false", "true")), settings=LONG),
        _part(
            "CB",
            "pair",
            records.pairs("premise", "hypothesis", ("contradiction", "entailment", "neutral")),
            metrics=("accuracy", "macro_f1"),
            settings=LONG | SMALL,
        ),
        _part("COPA", "choose", records.copa, choices, settings=SMALL),
        _part(
            "MultiRC",
            "pair",
            records.multirc,
            submissions.multirc_lines,
            ("f1a", "exact_match"),
            LONG,
            {"f1a": grouped.f1a, "exact_match": grouped.exact_questions},
        ),
        _part(
            "ReCoRD",
            "choose",
            records.record_queries,
            submissions.record_lines,
            ("f1", "exact_match"),
            LONG,
            {"f1": grouped.entity_f1, "exact_match": grouped.entity_exact_match},
        ),
        _part("RTE", "pair", records.pairs("premise", "hypothesis", ENTAILMENT), settings=LONG),
        _part("WiC", "pair", records.wic),
        _part("WSC", "pair", records.wsc, capitals, settings=SMALL),
        _diagnostic("AX-b", ("matthews",), Objects(records.pairs("sentence1", "sentence2", ENTAILMENT))),
        _diagnostic(
            "AX-g",
            ("accuracy", "gender_parity"),
            Objects(records.pairs("premise", "hypothesis", ENTAILMENT), records.check_minimal_pairs),
            {"gender_parity": grouped.gender_parity},
        ),
    ),
)
