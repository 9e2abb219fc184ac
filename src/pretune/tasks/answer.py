"""Extractive question answering: the span of a context that answers a question, or that there is none.

Devlin et al. 2019, sections 4.2 and 4.3: a start and an end vector score the pieces of the context in `[CLS] question
[SEP] context [SEP]`; where a question may have no answer, [CLS] is its place. What google-research/bert, run_squad.py
does and the paper leaves out is followed: windows over a long context, each a sequence of one Example; a window without
the answer is trained to point at [CLS]; answers of at most 30 pieces; no answer where its score exceeds that of the
best span by more than a threshold. `contexts.py` and `candidates.py` say where we deviate. Two more deviations:
training takes its softmax over [CLS] and the pieces of the context, which are all that may be chosen (there: over all
rows, the question's too); and answers are whole words unless `whole_words=False`.

Answers are cut out of the context as it is written, by character. A question longer than `max_question` pieces, or than
half of the room, loses its tail, counted; of the context nothing is lost. Scored by exact match and F1 in words, as
SQuAD's scorers do. Not here: several answers to a question, answers that are not in the text, yes and no.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.core.loss import Loss, weight_sum
from pretune.core.stream import Batch, Example, Targets
from pretune.families.family import HeadSpec
from pretune.metrics.answers import Rules, answer_scores, answer_values, best_threshold
from pretune.metrics.checks import FloatArray, IntArray
from pretune.metrics.intervals import ratio_of_sums
from pretune.tasks.candidates import Candidate, Found, find_answers
from pretune.tasks.contexts import Context, featurize_context, read_context
from pretune.tasks.evidence import Evidence
from pretune.tasks.items import Items, of_sums
from pretune.tasks.sliding_window import best_spans, first_sentence
from pretune.tasks.task import Featurized, Prediction, Scores, Task, chosen
from pretune.tasks.texts import on_host, room_for, text_of
from pretune.text.answers import answers_of, named, place_of
from pretune.text.offsets import Answer, places_of
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Tokenizer

METRICS = ("f1", "exact_match")


@dataclass(frozen=True)
class answer(Task):
    """question, context -> a span of the context.

    no_answer: a question may have none; bound by `fit_labels` where the training records have such questions.
    null_threshold: no answer is given where its score exceeds that of the best span by more than this; chosen on the
    validation records (None: not chosen, 0 is taken). metric: the main one. stride: pieces from one window's beginning
    to the next one's. max_question, max_answer: pieces. whole_words: answers begin and end where words do.
    num_best: above 1, predictions list so many candidates.

    >>> from pretune.tokenizers.tokenizer import Backend
    >>> from tokenizers import models, pre_tokenizers
    >>> pieces = ["[UNK]", "[CLS]", "[SEP]", "who", "ran", "she", "walk", "##ed", "he"]
    >>> backend = Backend(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    >>> backend.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = Tokenizer(backend)
    >>> gold = [{"text": "he", "start": 12}]
    >>> record = Record({"question": "who ran", "context": "she walked  he ran", "answers": gold})
    >>> task = answer().fit_labels([record])
    >>> example = task.featurize(record, tokenizer, Template(tokenizer.special_ids), max_length=16)
    >>> example.source.ids_T.tolist()
    [1, 3, 4, 2, 5, 6, 7, 8, 4, 2]
    >>> example.predict["answer"].at_MK[:, 0].tolist()                     # [CLS] and the context, not the question
    [0, 4, 5, 6, 7, 8]
    >>> example.predict["answer"].gold_M.argmax(0).tolist()                # it starts and ends at the fifth of them
    [4, 4]
    >>> logits = torch.zeros(6, 2)
    >>> logits[2, 0] = logits[3, 1] = 9.0                                  # "walk" starts it, "##ed" ends it
    >>> task.decode({"answer": logits}, example, [record])[0]["answer"]
    'walked'
    >>> task.score([{"answer": "He."}], [record])
    {'exact_match': 1.0, 'f1': 1.0}
    """

    no_answer: bool = False
    null_threshold: float | None = None
    metric: str = "f1"
    stride: int = 128
    max_question: int = 64
    max_answer: int = 30
    whole_words: bool = True
    num_best: int = 1

    head: ClassVar[str] = "answer"
    unit: ClassVar[str] = "questions"
    columns: ClassVar[tuple[str, ...]] = ("question", "context")
    gold: ClassVar[str] = "texts"

    def __post_init__(self) -> None:
        chosen("metric", self.metric, METRICS)
        for name in ("stride", "max_question", "max_answer", "num_best"):
            if type(value := getattr(self, name)) is not int or value < 1:
                raise InputError(f"{name}={value!r}: give a whole number of at least 1")

    @property
    def main_metric(self) -> str:
        return self.metric

    @property
    def head_spec(self) -> HeadSpec:
        return HeadSpec("answer")

    @property
    def label_settings(self) -> dict[str, Any]:
        return {"no_answer": self.no_answer}

    @property
    def notes(self) -> tuple[str, ...]:
        """By which rules answers are scored, and when none is given."""
        if not self.no_answer:
            return ("exact_match and f1 are SQuAD's: articles, punctuation and case do not count",)
        told = (
            "0, not chosen: give a validation file to choose it"
            if self.null_threshold is None
            else f"{self.null_threshold:.4g}, chosen on the validation file"
        )
        return (
            "exact_match and f1 are SQuAD 2.0's: where there is no answer, only none is right",
            f"no answer is given where its score is higher than the best span's by more than {told}",
        )

    def fit_labels(self, records: Sequence[Record]) -> Self:
        """Learns whether questions may have no answer."""
        self.check(records)
        if not any(map(answers_of, records)):
            where = records[0].path if records else "the training data"
            raise InputError(f"{where}: no question of {len(records)} has an answer: there is nothing to learn")
        return replace(self, no_answer=self.no_answer or not all(map(answers_of, records)))

    def check(self, records: Sequence[Record]) -> None:
        """InputError where a question or a context is missing, answers are, or one is not where it is said to be."""
        for record in records:
            for column in self.columns:
                text_of(record, column)
            answers_of(record)

    def remarks(self, records: Sequence[Record]) -> tuple[str, ...]:
        """Says when questions have no answer and the model always gives one."""
        number = 0 if self.no_answer else sum(not answers_of(record) for record in records)
        if not number:
            return ()
        return (f"{number:,} questions have no answer, and this model always gives one: they count as wrong.",)

    def remarks_on(self, source: Featurized) -> tuple[str, ...]:
        """Also says how many answers cannot be given exactly, as they begin or end inside a unit."""
        pairs = list(zip(source.records, source.examples, strict=True))
        asked = [(record, answers, example) for record, example in pairs if (answers := answers_of(record))]
        number = sum(not _can_be_given(*one, self.head) for one in asked)
        found = self.remarks(source.records)
        if not number:
            return found
        units = "words" if self.whole_words else "pieces"
        told = (
            f"{number:,} of {len(asked):,} questions have no answer that begins and ends where the context's {units} do"
        )
        todo = ": task.whole_words=false lets answers begin and end at any piece" if self.whole_words else ""
        return (*found, f"{told}{todo}.")

    def featurize(
        self, record: Record, tokenizer: Tokenizer, template: Template, max_length: int, *, labelled: bool = True
    ) -> Example:
        """See `featurize_context`. The first answer is the gold one, as in run_squad.py."""
        context = read_context(text_of(record, "context"), tokenizer, self.whole_words)
        return self._example(record, context, tokenizer, template, max_length, labelled)

    def featurize_all(
        self,
        records: Sequence[Record],
        tokenizer: Tokenizer,
        template: Template,
        max_length: int,
        *,
        labelled: bool = True,
    ) -> Iterator[Example]:
        """Reads a context once, however many questions are about it."""
        read: dict[str, Context] = {}
        for record in records:
            text = text_of(record, "context")
            if text not in read:
                read[text] = read_context(text, tokenizer, self.whole_words)
            yield self._example(record, read[text], tokenizer, template, max_length, labelled)

    def _example(
        self,
        record: Record,
        context: Context,
        tokenizer: Tokenizer,
        template: Template,
        max_length: int,
        labelled: bool,
    ) -> Example:
        question = tokenizer.encode(text_of(record, "question"))
        room = room_for(template, 2, max_length)
        if not len(context.first_U):
            raise record.error(f"{named(record)}the context is empty", "fill it in, or leave the record out")
        place = self._gold_pieces(record, context) if labelled else None
        kept = min(len(question), self.max_question, room // 2)
        example = featurize_context(
            question.span(0, kept), context, place, self.head, template, room, self.stride, labelled=labelled
        )
        return replace(example, num_cut=len(question) - kept)

    def _gold_pieces(self, record: Record, context: Context) -> tuple[int, int] | None:
        """First and last piece of the gold answer; None where there is none."""
        answers = answers_of(record)
        if not answers:
            return None
        found = context.pieces_of(*place_of(record, answers[0]))
        if found is None:
            what = f"{named(record)}the tokenizer leaves nothing of the answer {answers[0].text!r:.60}"
            raise record.error(what, "correct it, or leave the record out")
        return found

    def loss_of(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Loss]:
        """Mean of the cross-entropies of start and end, summed over windows, each alike; the count is the windows
        (run_squad.py: a window is an example)."""
        targets = batch.predict[self.head]
        logits_M2 = outputs[self.head].float()
        normalizers_W2 = _log_sum_exp(logits_M2, targets)
        gold = (logits_M2 * targets.gold_M).sum()
        return {self.head: Loss((normalizers_W2.sum() - gold) / 2, weight_sum(targets))}

    def decode(self, outputs: Mapping[str, Tensor], batch: Batch, records: Sequence[Record]) -> list[Prediction]:
        """{"answer", "start", "end", "score"} for each record: characters of the context, and the probability among
        all candidates; with an "id" where the record has one. No answer is "", 0, 0; where it is possible,
        "null_odds" says by how much its score exceeds the best span's. num_best: also "candidates", best first."""
        targets = batch.predict[self.head]
        logits_M2 = outputs[self.head].double().cpu().numpy()
        return self._decided(logits_M2, on_host(targets.group_M), on_host(targets.given_M), records)

    def evidence(self, outputs: Mapping[str, Tensor], batch: Batch, records: Sequence[Record]) -> list[Evidence]:
        """Log-probabilities that the answer starts, ends at each row, over all windows of the question; rows are
        windows and characters, as `featurize_context` has them."""
        targets = batch.predict[self.head]
        logits_M2 = outputs[self.head].double().cpu()
        rows_M4 = np.column_stack([on_host(targets.group_M), on_host(targets.given_M)])
        borders = np.flatnonzero(rows_M4[:, -1])[1:]
        found = []
        for rows, logits in zip(np.split(rows_M4, borders), np.split(logits_M2.numpy(), borders), strict=True):
            rows = rows - np.array([rows[0, 0], 0, 0, 0])
            found.append(Evidence(logits - np.logaddexp.reduce(logits), ("start", "end"), rows, is_log=True))
        return found

    def conclude(self, evidence: Sequence[Evidence], records: Sequence[Record]) -> list[Prediction]:
        rows: list[IntArray] = []
        first = 0
        for one in evidence:
            assert one.rows is not None
            rows.append(one.rows + np.array([first, 0, 0, 0]))
            first = int(rows[-1][-1, 0]) + 1
        rows_M4 = np.concatenate(rows)
        return self._decided(np.concatenate([one.values for one in evidence]), rows_M4[:, 0], rows_M4[:, 1:], records)

    def _decided(
        self, logits_M2: FloatArray, group_M: IntArray, given_M: IntArray, records: Sequence[Record]
    ) -> list[Prediction]:
        most = {"max_pieces": self.max_answer, "num_best": self.num_best}
        found = find_answers(logits_M2, group_M, given_M, with_null=self.no_answer, **most)
        return [self._prediction(one, record) for one, record in zip(found, records, strict=True)]

    def _prediction(self, found: Found, record: Record) -> Prediction:
        context = record["context"]
        is_null = self.no_answer and found.null_odds > (self.null_threshold or 0.0)
        best = found.null if is_null or not found.best else found.best[0]
        prediction = {"id": record["id"]} if record.get("id") is not None else {}
        prediction |= _shown(best, context)
        if self.no_answer:
            prediction["null_odds"] = found.null_odds
        if self.num_best > 1:
            several = [*found.best, found.null] if self.no_answer else found.best
            several = sorted(several, key=lambda each: -each.probability)[: self.num_best]
            prediction["candidates"] = [_shown(each, context) for each in several]
        return prediction

    def choose_on(self, records: Sequence[Record], predict: Callable[[Self], list[Prediction]]) -> Self:
        """The threshold that is best for the main metric on these records, exactly (`best_threshold`)."""
        if not self.no_answer:
            return self
        guesses = predict(replace(self, null_threshold=float("inf"), num_best=1))  # always a span
        golds = _golds(records)
        column = METRICS[::-1].index(self.metric)
        value_N = answer_values(golds, [guess["answer"] for guess in guesses], "2.0")[:, column]
        null_value_N = answer_values(golds, [""] * len(golds), "2.0")[:, column]
        odds_N = np.array([guess["null_odds"] for guess in guesses], np.float64)
        return replace(self, null_threshold=best_threshold(odds_N, value_N, null_value_N)[0])

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """exact_match and f1; where some questions have no answer, also of either kind."""
        return answer_scores(*_answers(predictions, records), self._rules(records))

    def items(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        """The items are questions."""
        values_N2 = answer_values(*_answers(predictions, records), self._rules(records))
        value_N = values_N2[:, METRICS[::-1].index(self.metric)]
        return of_sums(np.stack([value_N, np.ones_like(value_N)], -1), ratio_of_sums)

    def _rules(self, records: Sequence[Record]) -> Rules:
        return "1.1" if not self.no_answer and all(map(answers_of, records)) else "2.0"

    def baseline_predictions(self, train: Sequence[Record], test: Sequence[Record]) -> dict[str, list[Prediction]]:
        """first-sentence of the context, or no-answer where that is possible; sliding-window: the run of words whose
        surroundings share most with the question (`sliding_window.py`)."""
        pairs = [(text_of(record, "question"), text_of(record, "context")) for record in test]
        if self.no_answer:
            found = {"no-answer": [""] * len(pairs)}
        else:
            found = {"first-sentence": [context[slice(*first_sentence(context))] for _, context in pairs]}
        found["sliding-window"] = best_spans(pairs)
        return {name: [{"answer": text} for text in texts] for name, texts in found.items()}


def _can_be_given(record: Record, answers: Sequence[Answer], example: Example, head: str) -> bool:
    """Whether an answer may start and end where one of the gold ones does."""
    given_M3 = on_host(example.predict[head].given_M)
    starts, ends = set(given_M3[:, 0].tolist()), set(given_M3[:, 1].tolist())
    for text, start in answers:
        left, bare = len(text) - len(text.lstrip()), text.strip()
        for place in [start] if start is not None else places_of(record["context"], text):
            if place + left in starts and place + left + len(bare) in ends:
                return True
    return False


def _shown(candidate: Candidate, context: str) -> dict[str, str | int | float]:
    start, end = candidate.start, candidate.end
    return {"answer": context[start:end], "start": start, "end": end, "score": candidate.probability}


def _log_sum_exp(logits_M2: Tensor, targets: Targets) -> Tensor:
    """The logarithm of the softmax's denominator of each window [W, 2]. Rows of a window lie together, so they fit in
    one padded matrix; unlike scattered sums, that gives the same numbers each time on every device."""
    group_M = targets.group_M
    sizes_W = group_M.bincount()
    place_M = torch.arange(len(group_M), device=group_M.device) - (sizes_W.cumsum(0) - sizes_W)[group_M]
    padded = logits_M2.new_full((len(sizes_W), int(sizes_W.max()), 2), -torch.inf)
    return padded.index_put((group_M, place_M), logits_M2).logsumexp(1)


def _golds(records: Sequence[Record]) -> list[list[str]]:
    return [[one.text for one in answers_of(record)] for record in records]


def _answers(predictions: Sequence[Prediction], records: Sequence[Record]) -> tuple[list[list[str]], list[str]]:
    return _golds(records), [prediction["answer"] for prediction in predictions]
