"""Semantic textual similarity: STS-B (Cer et al. 2017) and the test sets of SemEval 2012 to 2016 (Agirre et al.).

How alike two sentences are, from 0 to 5. A model is trained on STS-B's training file, its best weights chosen on the
dev file, and scored on the test file and on the years' test sets. STS-B was made of the years' data (Cer et al.
2017), so many of their pairs are in its training file: a note counts them, and the average is STS-B's alone.
Pearson, the official metric of SemEval and of STS-B, and Spearman; a set a row, where SemEval gives a mean weighed by
size.

The files: stsbenchmark/sts-train.csv, sts-dev.csv and sts-test.csv; for the years the folders that unpack from the
archives (test-gold for 2012 and so on), or the names facebookresearch/SentEval gives them (STS12-en-test ...). Sets
that need a licence (2013's SMT) are not among them.
"""

from collections.abc import Iterator

from pretune.evaluate.suites.layouts import StsBenchmark, StsPairs
from pretune.evaluate.suites.suite import Names, Part, Suite

HOST = "http://ixa2.si.ehu.es/stswiki/images"
METRICS = ("pearson", "spearman")
YEARS = {
    "12": ("test-gold", "4/40/STS2012-en-test", "MSRpar MSRvid SMTeuroparl surprise.OnWN surprise.SMTnews"),
    "13": ("test-gs", "2/2f/STS2013-en-test", "FNWN headlines OnWN"),
    "14": ("sts-en-test-gs-2014", "8/8c/STS2014-en-test", "deft-forum deft-news headlines images OnWN tweet-news"),
    "15": (
        "test_evaluation_task2a",
        "d/da/STS2015-en-test",
        "answers-forums answers-students belief headlines images",
    ),
    "16": (
        "sts2016-english-with-gs-v1.0",
        "9/98/STS2016-en-test",
        "answer-answer headlines plagiarism postediting question-question",
    ),
}


def _benchmark(part: str) -> Names:
    return tuple(f"{folder}sts-{part}{ending}" for folder in ("stsbenchmark/", "") for ending in (".csv", ".tsv"))


def _years() -> Iterator[Part]:
    for year, (folder, archive, sets) in YEARS.items():
        begins = (f"{folder}/STS2016" if year == "16" else f"{folder}/STS", f"STS{year}-en-test/STS")
        yield Part(
            f"STS{year}",
            "regress",
            METRICS,
            StsPairs(),
            f"{HOST}/{archive}.zip",
            scored={name: tuple(f"{begin}.input.{name}.txt" for begin in begins) for name in sets.split()},
            trained_on="STS-B",
            is_counted=False,
        )


sts = Suite(
    "sts",
    "Cer et al. 2017; Agirre et al. 2012, 2013, 2014, 2015, 2016",
    (
        Part(
            "STS-B",
            "regress",
            METRICS,
            StsBenchmark(),
            f"{HOST}/4/48/Stsbenchmark.tar.gz",
            train=_benchmark("train"),
            valid=_benchmark("dev"),
            scored={"test": _benchmark("test")},
        ),
        *_years(),
    ),
)
