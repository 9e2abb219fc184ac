"""SWAG (Zellers et al. 2018): which of four endings goes on with a situation.

Accuracy on val.csv; nothing is selected on it. The files are train.csv, val.csv and test.csv of rowanz/swagaf, its
regular format (`train_full.csv` is another). The labels of test.csv are not public; `submission/` holds the answers as
its csv_predict.py writes them. Each ending is a pair: first sentence | beginning of the second + ending (Devlin et al.
2019, section 4.4; `text/choices.py`).
"""

from collections.abc import Sequence

from pretune.evaluate.suites.layouts import Csv
from pretune.evaluate.suites.suite import Answers, Part, Suite
from pretune.tasks.task import Prediction
from pretune.text.records import Record

COLUMNS = ("video-id", "sent1", "sent2", "ending0", "ending1", "ending2", "ending3")


def numbered_choices(predictions: Sequence[Prediction], records: Sequence[Record]) -> str:
    """Number of the row and of the ending."""
    return "\n".join([",pred", *(f"{number},{one['choice']}" for number, one in enumerate(predictions))]) + "\n"


swag = Suite(
    "swag",
    "Zellers et al. 2018",
    (
        Part(
            "SWAG",
            "choose",
            ("accuracy",),
            Csv(COLUMNS),
            "https://github.com/rowanz/swagaf/tree/master/data",
            train=("train.csv", "data/train.csv"),
            scored={"val": ("val.csv", "data/val.csv")},
            submitted={"SWAG.csv": Answers(("test.csv", "data/test.csv"), numbered_choices)},
        ),
    ),
)
