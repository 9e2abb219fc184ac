"""Multi30k, task 1 (Elliott et al. 2016, 2017; Barrault et al. 2018): captions from German to English.

BLEU and chrF of sacrebleu on texts as they are, on the test sets of 2016, 2017 and 2018; the best weights are chosen on
the validation file. The files are those of multi30k/dataset, data/task1/raw, a language each, or a table with a column
a language. English to German: `pretune finetune translate` with columns.source=en columns.target=de.
"""

from pretune.evaluate.suites.suite import Names, Part, Suite
from pretune.evaluate.suites.texts_layouts import Parallel

TESTS = ("test_2016_flickr", "test_2017_flickr", "test_2017_mscoco", "test_2018_flickr")


def _names(*stems: str) -> Names:
    return tuple(name for stem in stems for name in (f"data/task1/raw/{stem}.de", f"{stem}.de", f"{stem}.tsv"))


multi30k = Suite(
    "multi30k",
    "Elliott et al. 2016, 2017; Barrault et al. 2018",
    (
        Part(
            "Multi30k-de-en",
            "translate",
            ("bleu", "chrf"),
            Parallel("de", "en"),
            "https://github.com/multi30k/dataset/tree/master/data/task1/raw",
            train=_names("train"),
            valid=_names("val"),
            scored={name: _names(name) for name in TESTS},
        ),
    ),
    has_average=False,
)
