"""What a check of labelled data found: each finding with how bad it is, how many rows it is about, and where they are.

error: the data cannot be used so, or would give a wrong score without anybody noticing. warning: it may be meant, and a
reader of the scores must know it. remark: worth knowing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Severity = Literal["error", "warning", "remark"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
MAX_PLACES = 5
"""So many lines are named of each finding; `count` says how many there are."""


@dataclass(frozen=True)
class Finding:
    """kind: a name for programs, such as "leakage". part: of which file it is. what: a sentence. count: rows (or lines,
    or labels) it is about. places: `file:line` of the first few, with what stands there."""

    severity: Severity
    kind: str
    part: str
    what: str
    count: int
    places: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"places": list(self.places)}


def place(path: str, line: int, shown: str = "") -> str:
    """`file:line`, and what stands there, shortened.

    >>> place("a.csv", 3, "so  many\\nwords " * 9)
    'a.csv:3: so many words so many words so many words so many words …'
    """
    words = " ".join(shown.split())
    if len(words) > 60:
        words = words[:55].rstrip() + " …"
    return f"{path}:{line}: {words}" if words else f"{path}:{line}"


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first, then warnings, then remarks; in each the order given."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def worst(findings: Sequence[Finding]) -> Severity | Literal["clean"]:
    """The worst severity there is."""
    return by_severity(findings)[0].severity if findings else "clean"


def share(count: int, total: int) -> str:
    """`count of total (percent)`.

    >>> share(1, 2000), share(0, 0)
    ('1 of 2,000 (0.05 %)', '0 of 0')
    """
    return f"{count:,} of {total:,}" + (f" ({100 * count / total:.2g} %)" if total and count < total else "")
