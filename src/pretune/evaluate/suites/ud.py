"""Universal Dependencies (de Marneffe et al. 2021): parts of speech, from the CoNLL-U files of one treebank.

Accuracy over syntactic words on the test file; the best weights are chosen on the dev file. The files are those of a
treebank's folder, `en_ewt-ud-train.conllu` and so on (`text/conllu.py`). The tags are UPOS, the 17 universal ones;
`columns.tags=xpos` trains on the treebank's own, `columns.tags=feats` on its bundles of morphological features. Words
are given as the treebank cuts them: scores do not count tokenization, as those of the CoNLL 2018 shared task do.
"""

from pretune.evaluate.suites.layouts import Columns
from pretune.evaluate.suites.suite import Part, Suite

ud = Suite(
    "ud",
    "de Marneffe et al. 2021",
    (
        Part(
            "UD",
            "tag",
            ("accuracy",),
            Columns(format="conllu"),
            "https://universaldependencies.org/#download",
            train=("*-ud-train.conllu",),
            valid=("*-ud-dev.conllu",),
            scored={"test": ("*-ud-test.conllu",)},
            settings={"task": {"metric": "accuracy"}},
        ),
    ),
)
