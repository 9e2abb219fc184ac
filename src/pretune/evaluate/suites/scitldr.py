"""SciTLDR-A (Cachola et al. 2020): a paper's abstract to a summary of one sentence, and to its title.

ROUGE-1, -2 and -L on the test file, whose papers have several summaries, of which the best counts; the best weights are
chosen on the dev file. The score is that of the summaries. Titles are the paper's second, easier task; there they help
to train, here they are scored by themselves. Abstracts have 159 words on average: a short max_length leaves out their
ends, counted.

The files are SciTLDR-Data/SciTLDR-A/train.jsonl, dev.jsonl and test.jsonl of allenai/scitldr.
"""

from pretune.evaluate.suites.suite import Names, Part, Suite
from pretune.evaluate.suites.texts_layouts import Papers

PUBLISHED = "https://github.com/allenai/scitldr/tree/master/SciTLDR-Data/SciTLDR-A"


def _names(part: str) -> Names:
    return tuple(f"{folder}{part}.jsonl" for folder in ("SciTLDR-Data/SciTLDR-A/", "SciTLDR-A/", ""))


def _part(name: str, target: str, is_counted: bool) -> Part:
    return Part(
        name,
        "summarise",
        ("rouge1", "rouge2", "rougeL"),
        Papers(target),
        PUBLISHED,
        train=_names("train"),
        valid=_names("dev"),
        scored={"test": _names("test")},
        is_counted=is_counted,
    )


scitldr = Suite(
    "scitldr",
    "Cachola et al. 2020",
    (_part("SciTLDR", "target", True), _part("SciTLDR-titles", "title", False)),
)
