"""SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016; Rajpurkar, Jia and Liang 2018): answers that are spans of a paragraph.

Exact match and F1 by the rules of the official scorers (`metrics/answers.py`), on the dev files, whose answers are
public; nothing is selected on them. So for 2.0 the threshold of no answer stays at 0: a question is left unanswered
where that scores higher than the best span. `submission/` holds the predictions as evaluate-v1.1.py and
evaluate-v2.0.py read them, and for 2.0 the probabilities of no answer, from which the latter finds the best threshold
in hindsight. The two are scored apart: their average means nothing.

384 pieces a window, 128 from one to the next, as Devlin et al. 2019's run_squad.py.
"""

from pretune.evaluate.suites.layouts import Squad
from pretune.evaluate.suites.submissions import no_answer_probabilities, squad_answers
from pretune.evaluate.suites.suite import Answers, Part, Suite, Writer


def _part(version: str, files: dict[str, Writer]) -> Part:
    dev = (f"dev-v{version}.json",)
    return Part(
        f"SQuAD-{version}",
        "answer",
        ("f1", "exact_match"),
        Squad(),
        f"https://rajpurkar.github.io/SQuAD-explorer/dataset/train-v{version}.json and dev-v{version}.json",
        train=(f"train-v{version}.json",),
        scored={"dev": dev},
        submitted={name: Answers(dev, write) for name, write in files.items()},
        settings={"max_length": 384},
    )


squad = Suite(
    "squad",
    "Rajpurkar et al. 2016; Rajpurkar, Jia and Liang 2018",
    (
        _part("1.1", {"predictions-v1.1.json": squad_answers}),
        _part("2.0", {"predictions-v2.0.json": squad_answers, "na_prob-v2.0.json": no_answer_probabilities}),
    ),
    has_average=False,
)
