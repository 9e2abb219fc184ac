"""GLUE (Wang et al. 2018): nine tasks of sentence understanding, from the files of gluebenchmark.com.

Metrics as the benchmark's: Matthews for CoLA; F1 and accuracy for MRPC and QQP; Pearson and Spearman for STS-B;
accuracy elsewhere, for MNLI on matched and mismatched. A task's score is the mean of its metrics, GLUE's the mean over
the nine tasks. The labels of the test files are not public, so the dev files are scored, and nothing is selected on
them; `submission/` holds what the server wants (numbers for CoLA, SST-2, MRPC, QQP and WNLI, names elsewhere).

The diagnostic set AX is scored with the model of MNLI, by Matthews correlation of its three classes, and not counted:
`diagnostic-full.tsv` has its labels, `diagnostic.tsv` is what the server wants answered.
"""

from collections.abc import Mapping
from typing import Any

from pretune.evaluate.suites.layouts import Tsv
from pretune.evaluate.suites.submissions import glue_table
from pretune.evaluate.suites.suite import Answers, Part, Suite

HOST = "https://dl.fbaipublicfiles.com/glue/data"
TWO_SENTENCES = {"text": "sentence1", "text_b": "sentence2", "label": "label"}


def _part(
    name: str, task: str, metrics: tuple[str, ...], columns: Mapping[str, str], *, archive: str = "", **layout: Any
) -> Part:
    """A part in the folder of its name with train.tsv, dev.tsv and test.tsv. layout: as `Tsv` has it."""
    return Part(
        name,
        task,
        metrics,
        (tsv := Tsv(columns, **layout)),
        archive or f"{HOST}/{name}.zip",
        train=(f"{name}/train.tsv",),
        scored={"dev": (f"{name}/dev.tsv",)},
        submitted={f"{name}.tsv": Answers((f"{name}/test.tsv",), glue_table(tsv.labels))},
        settings={} if metrics[0] in ("accuracy", "pearson") else {"task": {"metric": metrics[0]}},
    )


def _mnli() -> Part:
    def answers(name: str) -> Answers:
        return Answers((f"MNLI/test_{name}.tsv",), glue_table({}))

    return Part(
        "MNLI",
        "pair",
        ("accuracy",),
        Tsv({"text": "sentence1", "text_b": "sentence2", "label": "gold_label"}),
        f"{HOST}/MNLI.zip",
        train=("MNLI/train.tsv",),
        scored={name: (f"MNLI/dev_{name}.tsv",) for name in ("matched", "mismatched")},
        submitted={"MNLI-m.tsv": answers("matched"), "MNLI-mm.tsv": answers("mismatched")},
    )


glue = Suite(
    "glue",
    "Wang et al. 2018",
    (
        _part(
            "CoLA",
            "classify",
            ("matthews",),
            {"label": "2", "text": "4"},
            has_header=False,
            unlabelled={"text": "sentence"},
            labels={"0": "unacceptable", "1": "acceptable"},
        ),
        _part(
            "SST-2",
            "classify",
            ("accuracy",),
            {"text": "sentence", "label": "label"},
            labels={"0": "negative", "1": "positive"},
        ),
        _part(
            "MRPC",
            "pair",
            ("f1", "accuracy"),
            {"text": "#1 String", "text_b": "#2 String", "label": "Quality"},
            labels={"0": "not_equivalent", "1": "equivalent"},
            archive="https://www.microsoft.com/en-us/download/details.aspx?id=52398 (dev: GLUE's mrpc_dev_ids.tsv)",
        ),
        _part(
            "QQP",
            "pair",
            ("f1", "accuracy"),
            {"text": "question1", "text_b": "question2", "label": "is_duplicate"},
            labels={"0": "not_duplicate", "1": "duplicate"},
            archive=f"{HOST}/QQP-clean.zip",
        ),
        _part(
            "STS-B",
            "regress",
            ("pearson", "spearman"),
            {"text": "sentence1", "text_b": "sentence2", "label": "score"},
        ),
        _mnli(),
        _part(
            "QNLI",
            "pair",
            ("accuracy",),
            {"text": "question", "text_b": "sentence", "label": "label"},
            archive=f"{HOST}/QNLIv2.zip",
        ),
        _part("RTE", "pair", ("accuracy",), TWO_SENTENCES),
        _part("WNLI", "pair", ("accuracy",), TWO_SENTENCES, labels={"0": "not_entailment", "1": "entailment"}),
        Part(
            "AX",
            "pair",
            ("matthews",),
            Tsv(
                {"text": "Premise", "text_b": "Hypothesis", "label": "Label"},
                unlabelled={"text": "sentence1", "text_b": "sentence2"},
            ),
            "https://gluebenchmark.com/diagnostics (diagnostic-full.tsv; without labels: diagnostic.tsv)",
            scored={
                "diagnostic": ("diagnostic/diagnostic-full.tsv", "MNLI/diagnostic-full.tsv", "diagnostic-full.tsv")
            },
            submitted={
                "AX.tsv": Answers(
                    ("diagnostic/diagnostic.tsv", "AX/test.tsv", "diagnostic.tsv", "AX.tsv"), glue_table({})
                )
            },
            trained_on="MNLI",
            is_counted=False,
        ),
    ),
)
