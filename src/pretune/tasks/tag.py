"""A tag for each word: parts of speech, named entities. Trained on pieces, decoded and scored at word level.

The family's token head reads word pieces (Devlin et al. 2019, section 5.3). A word's gold tag stands at its first
piece, or at all of its pieces, the same tag at each (BIO tags too: the pieces share the tag of their word). Its
predicted tag comes from its first piece, or from the mean of its pieces' distributions. A sentence that is too long
becomes several sequences of whole words in one Example (`sentences.py`), so every word is scored; only the tail of a
single word longer than a sequence is left out, counted.

Tags of spans are scored by F1 of spans, equal to seqeval's, others by accuracy over words and macro F1.

Schemes (`metrics/schemes.py`): the file's is detected in the training tags unless `scheme` says it; predictions come
back in it. `train_scheme` is what the head learns, converted there and back: BIOES helps some (Ratinov and Roth 2009).
A tag that is of no scheme is an error that names its line. Tags that stand where their scheme forbids it are read as
`conlleval` reads them, and counted in `remarks`; where sequences must be legal to be learned (another `train_scheme`,
`decoding=constrained`), they are learned as the spans that were read.

Decoding: `free` takes each word's best tag; `constrained` the best of the legal sequences (Viterbi over the words'
log-probabilities). With `crf` the head's logits and learned transitions score whole sentences (`nn/crf.py`), in
training too; `constrained` then keeps illegal sequences out of both. A word is one row there, its first piece or the
mean of its pieces, and the windows of a long sentence are one chain. The loss is summed over sentences and divided by
words, so that with transitions of zero it is exactly that of the tagger without a CRF, whatever the lengths. Scores
are marginal probabilities under what was decoded with: the tag's share of the legal sequences, all tags of others.

transformers has no CRF: it opens such a model as a plain token classifier, without the transitions, which pretune.json
and `finetune` say.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor, nn

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.core.loss import Loss, cross_entropy
from pretune.core.stream import Batch, Example
from pretune.families.family import HeadSpec
from pretune.metrics.classification import accuracy, macro_f1
from pretune.metrics.schemes import (
    LETTERS,
    SCHEMES,
    Scheme,
    detect,
    legal_transitions,
    rewritten,
    scheme_of_labels,
    strict_spans,
)
from pretune.metrics.spans import Reader, span_scores, spans
from pretune.nn.crf import marginals, negative_log_likelihood, restricted, viterbi
from pretune.tasks.baselines import frequent_tags, most_frequent
from pretune.tasks.entities import entities_of
from pretune.tasks.evidence import Evidence
from pretune.tasks.items import Items, span_f1_items, word_accuracy_items
from pretune.tasks.label_names import at_least_two, label_number, refuse_unseen
from pretune.tasks.sentences import Place, places_of, tags_of, text_of_words, words_of
from pretune.tasks.tag_schemes import check_tags, scheme_remarks
from pretune.tasks.task import Prediction, Scores, Task, chosen
from pretune.tasks.texts import on_host
from pretune.tasks.word_rows import featurize_words, first_of_words, mean_of_words
from pretune.text.contents import Gold
from pretune.text.labels import check_labels
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Tokenizer

LabelPieces = Literal["first", "all"]
DecodePieces = Literal["first", "mean"]


@dataclass(frozen=True)
class tag(Task):
    """words -> tags.

    labels: names of the head's tags, sorted, bound by `fit_labels`. metric: the main one; auto is f1 (of spans) for
    tags of spans and accuracy (of words) for others. scheme: the files', bound by `fit_labels`; train_scheme: the
    head's, auto is the same. span_mode: what f1 counts as a span, as seqeval's modes: default, or strict, where a span
    that breaks the scheme is none. output: what `predict` shows, words or entities. For the rest see the file's top.

    >>> from pretune.core.assemble import Template
    >>> from pretune.tokenizers.tokenizer import Backend
    >>> from tokenizers import models, pre_tokenizers
    >>> pieces = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "she": 3, "walk": 4, "##ed": 5}
    >>> backend = Backend(models.WordPiece(pieces, unk_token="[UNK]"))
    >>> backend.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = Tokenizer(backend)
    >>> record = Record({"words": ["she", "walked"], "tags": ["PRON", "VERB"]})
    >>> task = tag(label_pieces="all", decode_pieces="mean").fit_labels([record])
    >>> example = task.featurize(record, tokenizer, Template(tokenizer.special_ids), max_length=8)
    >>> example.source.ids_T.tolist(), example.predict["token"].at_MK.tolist(), example.predict["token"].gold_M.tolist()
    ([1, 3, 4, 5, 2], [[1], [2], [3]], [0, 1, 1])
    >>> logits = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]).log()      # the pieces of "walked" disagree
    >>> [word["entity"] for word in task.decode({"token": logits}, example, [record])[0]]
    ['PRON', 'VERB']
    """

    labels: tuple[str, ...] = ()
    metric: str = "auto"
    label_pieces: LabelPieces = "first"
    decode_pieces: DecodePieces = "first"
    scheme: str = "auto"
    train_scheme: str = "auto"
    decoding: str = "free"
    crf: bool = False
    span_mode: str = "default"
    output: str = "words"

    head: ClassVar[str] = "token"
    unit: ClassVar[str] = "sentences"
    gold: ClassVar[Gold] = "classes"

    def __post_init__(self) -> None:
        chosen("metric", self.metric, ("auto", "f1", "accuracy"))
        chosen("label_pieces", self.label_pieces, get_args(LabelPieces))
        chosen("decode_pieces", self.decode_pieces, get_args(DecodePieces))
        chosen("scheme", self.scheme, ("auto", *SCHEMES))
        chosen("train_scheme", self.train_scheme, ("auto", *LETTERS))
        chosen("decoding", self.decoding, ("free", "constrained"))
        chosen("span_mode", self.span_mode, ("default", "strict"))
        chosen("output", self.output, ("words", "entities"))
        if self.crf and (self.label_pieces == "all") != (self.decode_pieces == "mean"):
            raise InputError(
                "a CRF must read words alike in training and prediction: give label_pieces=first decode_pieces=first, "
                "or label_pieces=all decode_pieces=mean"
            )
        if self.labels:
            self._check_spans()

    def _check_spans(self) -> None:
        """InputError where something of spans is asked of tags that mark none, or no sequence of them is legal."""
        asked = {
            "f1 is of spans, give metric=accuracy": self.metric == "f1",
            "train_scheme is of spans, leave it out": self.train_scheme != "auto",
            "constrained decoding is of spans, give decoding=free": self.decoding != "free",
            "span_mode is of spans, leave it out": self.span_mode != "default",
            "entities are spans, give output=words": self.output != "words",
        }
        if self.file_scheme == "plain" and (wrong := [what for what, is_asked in asked.items() if is_asked]):
            raise InputError(f"these tags mark no spans ({', '.join(self.labels[:10])}): {wrong[0]}")
        if self.decoding == "constrained":
            _legal(self.labels, self.head_scheme)

    @property
    def file_scheme(self) -> Scheme:
        """The scheme of the files; of a model that does not say it, what its labels suggest."""
        return next((name for name in SCHEMES if name == self.scheme), scheme_of_labels(self.labels))

    @property
    def head_scheme(self) -> Scheme:
        """The scheme of the head's labels; names alone do not tell iob1 from bio, there it is the files'."""
        if self.train_scheme != "auto":
            return next(name for name in SCHEMES if name == self.train_scheme)
        suggested = scheme_of_labels(self.labels)
        open_ones = {"plain", "iob1", "bio"}
        return self.file_scheme if suggested == "plain" or {suggested, self.file_scheme} < open_ones else suggested

    @property
    def main_metric(self) -> str:
        if self.metric != "auto":
            return self.metric
        return "accuracy" if self.file_scheme == "plain" else "f1"

    @property
    def head_spec(self) -> HeadSpec:
        return HeadSpec("token", self.labels)

    @property
    def head_specs(self) -> tuple[HeadSpec, ...]:
        return (self.head_spec, HeadSpec("crf", self.labels)) if self.crf else (self.head_spec,)

    @property
    def label_settings(self) -> dict[str, Any]:
        return {"labels": self.labels, "scheme": self.scheme, "train_scheme": self.train_scheme}

    def heads(self, body: Any) -> dict[str, nn.Module]:
        heads = super().heads(body)
        return heads | {"crf": body.family_head("crf", len(self.labels))} if self.crf else heads

    def outputs(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        outputs = super().outputs(model, batch)
        if self.crf and "crf" not in model.heads:
            raise ValueError("the task has a CRF and the model has none: make its heads from task.head_specs")
        return outputs | {"crf": model.heads["crf"].transitions} if self.crf else outputs

    @property
    def notes(self) -> tuple[str, ...]:
        mode = " in strict mode" if self.span_mode == "strict" else ""
        found = [f"f1, precision and recall are of whole spans of all types together, as seqeval's{mode}"]
        if self.head_scheme != self.file_scheme:
            found.append(f"the model's own labels are {self.head_scheme}, predictions are given in {self.file_scheme}")
        if self.file_scheme == "plain":
            bare = self.scheme == "plain" and set(self.labels) <= set("BIOESLU")
            found = ["tags without types are taken as names: task.scheme=bio makes spans of them"] if bare else []
        return tuple(found)

    def fit_labels(self, records: Sequence[Record]) -> Self:
        if self.labels:
            self.check(records)
            return self
        try:
            scheme = detect(map(tags_of, records)) if self.scheme == "auto" else self.scheme
        except InputError as error:
            raise InputError(str(error) if not records else f"{records[0].path}: {error}") from error
        learned = scheme if self.train_scheme == "auto" and scheme != "plain" else self.train_scheme
        bound = replace(self, scheme=scheme, train_scheme=learned)
        first = {name: record for record in reversed(records) for name in bound.gold_tags(record)}
        names = check_labels([Record({"label": name}, record.path, record.line) for name, record in first.items()])
        return replace(bound, labels=at_least_two(names, records))

    def gold_tags(self, record: Record) -> list[str]:
        """The record's tags as the head learns them. InputError for a tag that its scheme does not know."""
        tags = tags_of(record)
        if self.file_scheme == "plain":
            return tags
        check_tags(tags, self.scheme, record)
        converts = self.head_scheme != self.file_scheme or self.decoding == "constrained"
        return rewritten(tags, self.head_scheme) if converts else tags

    def check(self, records: Sequence[Record]) -> None:
        """InputError where tags are missing, or none of them is known. Single unknown ones are `remarks`: a small
        training sample lacks rare tags."""
        named = [(name, record) for record in records for name in self.gold_tags(record)]
        if not {name for name, _ in named} & set(self.labels):
            refuse_unseen(named, self.labels)

    def remarks(self, records: Sequence[Record]) -> tuple[str, ...]:
        """Says which tags were never seen in training (their words count as wrong), and which break their scheme."""
        found: list[str] = []
        if unseen := Counter(name for record in records for name in self.gold_tags(record) if name not in self.labels):
            listed = ", ".join(f"{name} ({number:,})" for name, number in unseen.most_common(20))
            found.append(f"{unseen.total():,} words have tags never seen in training, which count as wrong: {listed}.")
        found += scheme_remarks(records, self.file_scheme)
        return tuple(found)

    def featurize(
        self, record: Record, tokenizer: Tokenizer, template: Template, max_length: int, *, labelled: bool = True
    ) -> Example:
        every_piece = (self.label_pieces == "all") if labelled else (self.decode_pieces == "mean")
        example = featurize_words(words_of(record), self.head, tokenizer, template, max_length, every_piece)
        if not labelled:
            return example
        gold_W = np.array([label_number(record, name, self.labels) for name in self.gold_tags(record)], np.int64)
        targets = example.predict[self.head]
        targets = replace(targets, gold_M=gold_W[targets.group_M])
        if self.crf:  # words of the sentence at its first row, so that the loss knows where sentences end
            targets = replace(targets, given_M=np.where(np.arange(len(targets)), 0, len(gold_W)))
        return replace(example, predict={self.head: targets})

    def counts(self, batch: Batch) -> dict[str, float]:
        """Rows; with a CRF words."""
        if not self.crf:
            return super().counts(batch)
        return {self.head: float(on_host(batch.predict[self.head].group_M).max() + 1)}

    def loss_of(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Loss]:
        """Cross-entropy over the labelled pieces, each alike; with a CRF -log p(tags) of sentences, over words."""
        targets = batch.predict[self.head]
        if not self.crf:
            return {self.head: cross_entropy(outputs[self.head], targets)}
        scores_WC = mean_of_words(outputs[self.head].float(), targets)
        gold_W = torch.zeros_like(targets.gold_M[: len(scores_WC)]).index_copy(0, targets.group_M, targets.gold_M)
        lengths = targets.given_M[targets.given_M > 0].tolist()
        nll_N = negative_log_likelihood(scores_WC, gold_W, lengths, self._transitions(outputs["crf"].float()))
        return {self.head: Loss(nll_N.sum(), float(len(scores_WC)))}

    def _transitions(self, transitions_KK: Tensor) -> Tensor:
        if self.decoding == "free":
            return transitions_KK
        legal_KK = torch.from_numpy(_legal(self.labels, self.head_scheme)).to(transitions_KK.device)
        return restricted(transitions_KK, legal_KK)

    def decode(self, outputs: Mapping[str, Tensor], batch: Batch, records: Sequence[Record]) -> list[Prediction]:
        """A list of {"word", "entity", "score", "start", "end"} for each record: characters as `places_of` counts."""
        if not self.crf:
            return self.conclude(self.evidence(outputs, batch, records), records)
        scores_WC, lengths = self._of_words(outputs, batch, records)
        transitions_KK = self._transitions(outputs["crf"].cpu().double())
        best_W = viterbi(scores_WC, lengths, transitions_KK)
        return self._tagged(best_W, marginals(scores_WC, lengths, transitions_KK), records)

    def evidence(self, outputs: Mapping[str, Tensor], batch: Batch, records: Sequence[Record]) -> list[Evidence]:
        """The probability of each tag at each word; with a CRF the marginal one."""
        p_WC, lengths = self._of_words(outputs, batch, records)
        if self.crf:
            p_WC = marginals(p_WC, lengths, self._transitions(outputs["crf"].cpu().double()))
        return [Evidence(p.numpy(), self.labels) for p in torch.split(p_WC, lengths)]

    def conclude(self, evidence: Sequence[Evidence], records: Sequence[Record]) -> list[Prediction]:
        """Each word's best tag, or the best legal sequence. Marginal probabilities of CRFs are decided on like any
        others: the transitions of several models are no chain together."""
        p_WC = torch.from_numpy(np.concatenate([one.values for one in evidence]))
        if self.decoding == "free":
            return self._tagged(p_WC.argmax(-1), p_WC, records)
        chain = (p_WC.clamp_min(1e-300).log(), [len(one.values) for one in evidence])
        transitions_KK = self._transitions(p_WC.new_zeros(len(self.labels) + 1, len(self.labels) + 1))
        return self._tagged(viterbi(*chain, transitions_KK), marginals(*chain, transitions_KK), records)

    def _of_words(
        self, outputs: Mapping[str, Tensor], batch: Batch, records: Sequence[Record]
    ) -> tuple[Tensor, list[int]]:
        """Each word's probabilities [W, C], with a CRF its scores, in fp64 on the host; and words a record."""
        lengths = [len(places_of(record)) for record in records]
        scores_MC, targets = outputs[self.head].cpu().double(), batch.predict[self.head]
        if not self.crf:
            scores_MC = scores_MC.softmax(-1)
        of_words = mean_of_words if self.decode_pieces == "mean" else first_of_words
        scores_WC = of_words(scores_MC, targets)
        assert len(scores_WC) == sum(lengths)
        return scores_WC, lengths

    def _tagged(self, best_W: Tensor, p_WC: Tensor, records: Sequence[Record]) -> list[Prediction]:
        places = [places_of(record) for record in records]
        score_W = p_WC.gather(1, best_W[:, None])[:, 0].numpy()
        ends = np.cumsum([len(sentence) for sentence in places])[:-1]
        columns = zip(places, np.split(best_W.numpy(), ends), np.split(score_W, ends), strict=True)
        return [self._words(*sentence) for sentence in columns]

    def _words(self, places: Sequence[Place], best_W: Any, score_W: Any) -> list[dict[str, str | float | int]]:
        names = [self.labels[best] for best in best_W]
        if self.head_scheme != self.file_scheme:
            names = rewritten(names, self.file_scheme)
        return [
            {"word": word, "entity": name, "score": float(score), "start": start, "end": end}
            for (word, start, end), name, score in zip(places, names, score_W, strict=True)
        ]

    def shown(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> list[Prediction]:
        """Words as `decode` has them; with output=entities the spans they mark (`entities.py`)."""
        if self.output == "words":
            return list(predictions)
        return [entities_of(words, text_of_words(record)) for words, record in zip(predictions, records, strict=True)]

    @property
    def _reader(self) -> Reader:
        return spans if self.span_mode == "default" else partial(strict_spans, scheme=self.file_scheme)

    def score(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Scores:
        """For tags of spans f1, precision, recall and accuracy of words; for others accuracy and macro_f1."""
        gold, predicted = _tags(predictions, records)
        flat = [[name for sentence in part for name in sentence] for part in (gold, predicted)]
        if self.file_scheme == "plain":
            return {"accuracy": accuracy(*flat), "macro_f1": macro_f1(*flat)}
        found = span_scores(gold, predicted, self._reader)
        return {"f1": found.f1, "precision": found.precision, "recall": found.recall, "accuracy": accuracy(*flat)}

    def items(self, predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
        """The items are sentences."""
        if self.main_metric != "f1":
            return word_accuracy_items(*_tags(predictions, records))
        return span_f1_items(*_tags(predictions, records), self._reader)

    def baseline_predictions(self, train: Sequence[Record], test: Sequence[Record]) -> dict[str, list[Prediction]]:
        """majority: the most frequent tag; most-frequent-tag: of each word, and of all for words not seen."""
        words, tags, test_words = [words_of(r) for r in train], [tags_of(r) for r in train], [words_of(r) for r in test]
        majority = most_frequent(Counter(name for sentence in tags for name in sentence))
        guesses = {
            "majority": [[majority] * len(sentence) for sentence in test_words],
            "most-frequent-tag": frequent_tags(words, tags, test_words),
        }
        return {name: [[{"entity": each} for each in sentence] for sentence in part] for name, part in guesses.items()}


def _tags(predictions: Sequence[Prediction], records: Sequence[Record]) -> tuple[list[list[str]], list[list[str]]]:
    return [tags_of(r) for r in records], [[word["entity"] for word in sentence] for sentence in predictions]


@cache
def _legal(labels: tuple[str, ...], scheme: Scheme) -> Any:
    return legal_transitions(labels, scheme)
