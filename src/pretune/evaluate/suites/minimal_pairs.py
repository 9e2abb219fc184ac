"""Suites of minimal pairs: two sentences that differ in one point of grammar, and which of them a model finds likelier.

Nothing is trained. A set is one point of grammar in one file, a JSON object a line with `sentence_good` and
`sentence_bad`; sets belong to phenomena. A pair is right where the good sentence has the higher score; equal scores
are wrong, and are counted. The score of a phenomenon, and of the suite, is the mean over its sets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pretune.core.errors import InputError
from pretune.evaluate.suites.suite import find
from pretune.text.records import Record, iterate_records

GOOD, BAD = "sentence_good", "sentence_bad"
NAMED = 3
"""So many missing sets are named where many are."""


@dataclass(frozen=True)
class MinimalPairs:
    """source: who defined it. published: where its files are. phenomena: {phenomenon: its sets}, each the name of a
    file. folders: of the files under the data directory, tried in order. about: what a reader of the scores must
    know."""

    name: str
    source: str
    published: str
    phenomena: Mapping[str, tuple[str, ...]]
    folders: tuple[str, ...] = ("",)
    about: tuple[str, ...] = ()

    @property
    def sets(self) -> dict[str, str]:
        """{set: phenomenon}, in order."""
        return {name: phenomenon for phenomenon, names in self.phenomena.items() for name in names}


def files_of(suite: MinimalPairs, data: Path) -> tuple[dict[str, Path], str | None]:
    """({set: its file} of those that are there, plain or compressed; what is missing, in words, or None)."""
    found = {name: find(data, tuple(f"{folder}{name}.jsonl" for folder in suite.folders)) for name in suite.sets}
    present = {name: path for name, path in found.items() if path is not None}
    absent = [name for name in suite.sets if name not in present]
    if not absent:
        return present, None
    more = f" and {len(absent) - NAMED} more" if len(absent) > NAMED else ""
    named = ", ".join(f"{name}.jsonl" for name in absent[:NAMED])
    told = f"{len(absent)} of the {len(suite.sets)} sets of {suite.name} have no file in {data}: {named}{more}"
    return present, f"{told}; published at {suite.published}"


def read_pairs(path: Path, limit: int | None = None) -> list[Record]:
    """The pairs of a set, the first `limit` of them. InputError, with file and line, for what is no pair."""
    pairs: list[Record] = []
    for row in iterate_records(path, format="jsonl"):
        for name in (GOOD, BAD):
            if not isinstance(row.get(name), str) or not row[name].strip():
                raise row.error(
                    f"{name} is {row.get(name)!r:.40}", "expected a pair as it is published: fetch it again"
                )
        pairs.append(row)
        if len(pairs) == limit:
            break
    return pairs


def both(pairs: Sequence[Record]) -> list[str]:
    """The good sentences, then the bad ones."""
    return [pair[name] for name in (GOOD, BAD) for pair in pairs]


def check_limit(limit: int | None) -> None:
    """InputError for a limit that leaves nothing."""
    if limit is not None and limit < 1:
        raise InputError(f"limit is {limit}: give at least 1 pair a set")
