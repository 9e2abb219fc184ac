"""GLUE (Wang et al. 2018): nine tasks of sentence understanding, from the files of gluebenchmark.com.

Metrics as the benchmark's: Matthews for CoLA; F1 and accuracy for MRPC and QQP; Pearson and Spearman for STS-B;
accuracy elsewhere, for MNLI on matched and mismatched. A task's score is the mean of its metrics, GLUE's the mean over
the nine tasks. The labels of the test files are not public, so the dev files are scored, and nothing is selected on
them; `submission/` holds what the server wants (numbers for CoLA, SST-2, MRPC, QQP and WNLI, names elsewhere).
Not here: the diagnostic set AX, which has no training data of its own.
"""

from collections.abc import Mapping
from typing import Any

from pretune.evaluate.suites.suite import Part, Suite

HOST = "https://dl.fbaipublicfiles.com/glue/data"
TWO_SENTENCES = {"text": "sentence1", "text_b": "sentence2", "label": "label"}
ENTAILMENT = {"0": "not_entailment", "1": "entailment"}


def _part(name: str, task: str, metrics: tuple[str, ...], columns: Mapping[str, str], **more: Any) -> Part:
    """A part in the folder of its name with train.tsv, dev.tsv and test.tsv."""
    files: dict[str, Any] = {
        "train": (f"{name}/train.tsv",),
        "scored": {"dev": (f"{name}/dev.tsv",)},
        "submitted": {f"{name}.tsv": (f"{name}/test.tsv",)},
        "published": f"{HOST}/{name}.zip",
        "settings": {} if metrics[0] in ("accuracy", "pearson") else {"task": {"metric": metrics[0]}},
    }
    return Part(name, task, metrics, columns=columns, **files | more)


glue = Suite(
    "glue",
    "Wang et al. 2018",
    (
        _part(
            "CoLA",
            "classify",
            ("matthews",),
            {"label": "2", "text": "4"},
            header=False,
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
            published="https://www.microsoft.com/en-us/download/details.aspx?id=52398 (dev: GLUE's mrpc_dev_ids.tsv)",
        ),
        _part(
            "QQP",
            "pair",
            ("f1", "accuracy"),
            {"text": "question1", "text_b": "question2", "label": "is_duplicate"},
            labels={"0": "not_duplicate", "1": "duplicate"},
            published=f"{HOST}/QQP-clean.zip",
        ),
        _part(
            "STS-B",
            "regress",
            ("pearson", "spearman"),
            {"text": "sentence1", "text_b": "sentence2", "label": "score"},
        ),
        _part(
            "MNLI",
            "pair",
            ("accuracy",),
            {"text": "sentence1", "text_b": "sentence2", "label": "gold_label"},
            scored={name: (f"MNLI/dev_{name}.tsv",) for name in ("matched", "mismatched")},
            submitted={"MNLI-m.tsv": ("MNLI/test_matched.tsv",), "MNLI-mm.tsv": ("MNLI/test_mismatched.tsv",)},
        ),
        _part(
            "QNLI",
            "pair",
            ("accuracy",),
            {"text": "question", "text_b": "sentence", "label": "label"},
            published=f"{HOST}/QNLIv2.zip",
        ),
        _part("RTE", "pair", ("accuracy",), TWO_SENTENCES),
        _part("WNLI", "pair", ("accuracy",), TWO_SENTENCES, labels=ENTAILMENT),
    ),
)
