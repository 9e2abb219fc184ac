"""CoNLL-2003 (Tjong Kim Sang and De Meulder 2003): names of persons, places, organisations and others, in English.

Span F1, on the test file; the best weights are chosen on testa. The files are those of the shared task (`eng.train`,
`eng.testa`, `eng.testb`: word, part of speech, chunk, tag) or of its copies (`train.txt`, `valid.txt`, `test.txt`).
"""

from pretune.evaluate.suites.layouts import Columns
from pretune.evaluate.suites.suite import Part, Suite

conll = Suite(
    "conll",
    "Tjong Kim Sang and De Meulder 2003",
    (
        Part(
            "CoNLL-2003",
            "tag",
            ("f1",),
            Columns(),
            "https://www.clips.uantwerpen.be/conll2003/ner/ (the texts: trec.nist.gov/data/reuters)",
            train=("eng.train", "train.txt", "train.conll"),
            valid=("eng.testa", "valid.txt", "dev.txt", "dev.conll"),
            scored={"test": ("eng.testb", "test.txt", "test.conll")},
            settings={"task": {"metric": "f1"}},
        ),
    ),
)
