"""A suite of minimal pairs: a model as it is, without training, asked which of two sentences is likelier.

    out/suite.yaml                   the request: suite, model, scoring, limit, hashes of the files
    out/scores/SET.jsonl             a pair a line: scores of the good and the bad sentence, their numbers of pieces
    out/suite.json, out/report.html  accuracy by set, by phenomenon and overall, with intervals

The same call continues where it was interrupted, set by set; a finished one opens no model. Every file is read before
the model is opened, so what is wrong with one is said at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pretune.core.config import load_yaml, resolve
from pretune.core.errors import InputError
from pretune.core.lock import claimed
from pretune.evaluate.likelihood import Scoring, scoring_of, sentence_scores
from pretune.evaluate.report import Report, Section, write_report
from pretune.evaluate.suites.minimal_pairs import MinimalPairs, both, check_limit, files_of, read_pairs
from pretune.evaluate.suites.pair_scores import ScoredSet, as_rows, from_rows
from pretune.evaluate.suites.pair_tables import Verdict, against_table, table_of_sets
from pretune.evaluate.table import Cell, as_text
from pretune.text.records import Record
from pretune.verbs import records
from pretune.verbs.console import Counting
from pretune.verbs.pretrained import Pretrained, load
from pretune.verbs.settings import PairSettings

Pairs = Mapping[str, Sequence[Record]]


@dataclass(frozen=True)
class PairRequest:
    """What was asked of a suite of minimal pairs."""

    model: str
    data: Path
    out: Path
    limit: int | None = None
    settings: Sequence[str] | Mapping[str, Any] = ()
    threads: int | None = None
    allow_pickle: bool = False


def judge_pairs(chosen: MinimalPairs, request: PairRequest, against: Path | None = None) -> dict[str, Any]:
    """Scores a model on every set whose file is there. Raises InputError where none is, where `out` holds another
    request, and for a model that gives no token a probability."""
    given = request.settings if isinstance(request.settings, Mapping) else None
    assignments = () if given is not None else list(request.settings)
    asked = resolve(PairSettings, given or {}, assignments=assignments)
    check_limit(request.limit)
    if not request.data.is_dir():
        raise InputError(f"{request.data} is not a directory: name the one with the suite's files with --data")
    files, absent = files_of(chosen, request.data)
    if not files:
        raise InputError(str(absent))
    pairs = {name: read_pairs(path, request.limit) for name, path in files.items()}
    with claimed(request.out, f"pretune suite {chosen.name}"):
        run = _Run(chosen, request, asked, pairs)
        scoring = run.begin(files)
        verdict = Verdict(chosen, request.model, scoring, request.limit, run.scored(scoring), absent)
        result, tables = verdict.facts, [verdict.table]
        if against is not None:
            result["against"], table = against_table(verdict.sets, *_other(against, chosen, run.request_file))
            tables.append(table)
        records.write_json(request.out / "suite.json", result)
        figures: dict[str, Cell] = {"accuracy": verdict.overall.accuracy, "pairs": verdict.overall.num_pairs}
        sections: tuple[Section, ...] = (tables[0], *verdict.pictures, *tables[1:], table_of_sets(verdict.each))
        page = Report(f"pretune suite {chosen.name}", sections, request.model, figures)
        write_report(page, request.out / "report.html")
    return result | {"text": "\n\n".join(as_text(table) for table in tables)}


@dataclass
class _Run:
    """The scoring of one model, kept set by set."""

    chosen: MinimalPairs
    request: PairRequest
    asked: PairSettings
    pairs: Pairs
    opened: Pretrained | None = None

    @property
    def request_file(self) -> Path:
        return self.request.out / "suite.yaml"

    def model(self) -> Pretrained:
        if self.opened is None:
            device = records.choose_device(self.request.threads)
            self.opened = load(self.request.model, device=device, allow_pickle=self.request.allow_pickle)
        return self.opened

    def begin(self, files: Mapping[str, Path]) -> Scoring:
        """Writes suite.yaml; InputError where the directory holds other results. Sets may be added later."""
        origin = records.origin(self.request.model)["sha256"]
        facts = {"suite": self.chosen.name, "model": self.request.model, "model_sha256": origin}
        facts["limit"] = self.request.limit
        hashes = {name: records.file_sha256(path) for name, path in files.items()}
        before = load_yaml(self.request_file) if self.request_file.is_file() else {}
        if before and any(self.request.out.glob("scores/*.jsonl")):
            changed = [key for key in facts if before.get(key) != facts[key]]
            kept = before.get("files", {})
            changed += [name for name in hashes.keys() & kept.keys() if hashes[name] != kept[name]]
            if self.asked.scoring not in ("auto", before.get("scoring")):
                changed.append("scoring")
            if changed:
                told = ", ".join(changed)
                raise InputError(f"{self.request.out} holds another suite ({told} differ): give another --out")
            scoring: Scoring = before["scoring"]
            hashes = kept | hashes
        else:
            scoring = scoring_of(self.model().bundle, self.asked.scoring)
        records.write_yaml(self.request_file, {**facts, "scoring": scoring, "files": hashes})
        return scoring

    def scored(self, scoring: Scoring) -> list[ScoredSet]:
        """Every set's scores, those that are kept without scoring again."""
        found = []
        with Counting("scoring") as progress:
            for number, (name, pairs) in enumerate(self.pairs.items()):
                kept, phenomenon = self.request.out / "scores" / f"{name}.jsonl", self.chosen.sets[name]
                if not kept.is_file():
                    scored = self._score(name, phenomenon, pairs, scoring)
                    ids = [str(pair.get("pairID", place)) for place, pair in enumerate(pairs)]
                    records.write_text(kept, records.json_lines(as_rows(scored, ids)))
                found.append(read_scores(kept, name, phenomenon, len(pairs)))
                progress("sets", number + 1, len(self.pairs))
        return found

    def _score(self, name: str, phenomenon: str, pairs: Sequence[Record], scoring: Scoring) -> ScoredSet:
        model = self.model()
        scores = sentence_scores(
            model.bundle,
            both(pairs),
            scoring,
            device=model.device,
            tokens_per_batch=self.asked.max_tokens_per_batch,
        )
        score_N2 = scores.score_N.reshape(2, -1).T
        pieces_N2, unknown_N2 = scores.num_pieces_N.reshape(2, -1).T, scores.num_unknown_N.reshape(2, -1).T
        return ScoredSet(name, phenomenon, score_N2, pieces_N2, unknown_N2)


def read_scores(path: Path, name: str, phenomenon: str, number: int | None = None) -> ScoredSet:
    """A set's kept scores. InputError where there are not as many as there are pairs."""
    rows = records.read_json_lines(path)
    if number is not None and len(rows) != number:
        raise InputError(f"{path} has {len(rows)} scores for {number} pairs: remove it and run again")
    return from_rows(name, phenomenon, rows)


def read_run(out: Path, chosen: MinimalPairs) -> list[ScoredSet]:
    """The scores of a finished run, in the suite's order."""
    found = {path.stem: path for path in (out / "scores").glob("*.jsonl")}
    return [read_scores(found[name], name, of) for name, of in chosen.sets.items() if name in found]


def _other(directory: Path, chosen: MinimalPairs, ours: Path) -> tuple[dict[str, Any], list[ScoredSet]]:
    """What another model's run holds of the sets whose files are the same; and its request."""
    if not (directory / "suite.yaml").is_file():
        raise InputError(f"{directory} holds no suite: --against takes the --out directory of another `pretune suite`")
    theirs = load_yaml(directory / "suite.yaml")
    if theirs["suite"] != chosen.name:
        raise InputError(f"{directory} holds the suite {theirs['suite']}, not {chosen.name}")
    files = load_yaml(ours)["files"]
    sets = [one for one in read_run(directory, chosen) if theirs["files"].get(one.name) == files.get(one.name)]
    if not sets:
        raise InputError(f"{directory} has no set in common with this one: their files differ")
    return theirs, sets
