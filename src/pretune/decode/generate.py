"""Prompts to texts: batches of them, a forced beginning, beams or draws, and what was written as text.

A batch holds as many prompts as their tokens and what may follow them allow, longest first; texts come back in the
order of the prompts. Nothing is cut: a prompt that leaves no room for max_new_tokens is an error.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pretune.core.assemble import Template
from pretune.core.continuation import end_id
from pretune.core.errors import InputError
from pretune.core.pack import cut_by_tokens, pack
from pretune.core.stream import Example
from pretune.core.vocab import Vocab
from pretune.decode.choices import Choices
from pretune.decode.draws import generators
from pretune.decode.prompts import decoder_ids, forced
from pretune.decode.searching import search
from pretune.decode.settings import Borders, Generation
from pretune.decode.stops import Stops, Written
from pretune.decode.texts import as_it_comes, closed, cut_at, text_after
from pretune.decode.writing import Draft, write
from pretune.nn.model import Model
from pretune.tokenizers.tokenizer import Tokenizer

TOKENS_AT_ONCE = 16_384
"""Tokens that the cache of a batch may hold: about 1.2 GB of a model of 12 layers of 768 in fp32."""


class PromptError(InputError):
    """A prompt among several that the model cannot go on from. number: from 0; what: what is wrong with it."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"text {number} {what}")
        self.number, self.what = number, what


def borders_of(template: Template, vocab: Vocab, kept: Mapping[str, Any], num_rows: int) -> Borders:
    """The end token as the family puts it, and those that a model's config.json names or forces.

    kept: keys of config.json. num_rows: of the model's output. A tokenizer without an end token gives none: texts are
    as long as they may be. An end that no row has (GPT-2's 50256 in a small model: transformers' default) is none.
    Raises InputError for what is no id, and for a forced one that no row has.
    """
    told = {key: _ids(kept, key, num_rows) for key in ("forced_bos_token_id", "forced_eos_token_id")}
    ends = [number for number in _ids(kept, "eos_token_id", None) if number < num_rows]
    with suppress(InputError):
        ends.insert(0, end_id(template, vocab))
    first, last = (next(iter(told[key]), None) for key in ("forced_bos_token_id", "forced_eos_token_id"))
    return Borders(tuple(dict.fromkeys(ends)), first, last, _never(kept, ends, num_rows))


def _never(kept: Mapping[str, Any], ends: Sequence[int], num_rows: int) -> tuple[tuple[int, ...], ...]:
    """bad_words_ids of a model's files; an end token alone among them counts for nothing, as in transformers."""
    told = kept.get("bad_words_ids") or []
    if not isinstance(told, list) or not all(
        isinstance(each, list) and each and all(type(one) is int and one >= 0 for one in each) for each in told
    ):
        raise InputError(f"config.json: bad_words_ids is {told!r:.60}: expected lists of ids")
    alone = [[end] for end in ends]
    return tuple(tuple(each) for each in told if each not in alone and max(each) < num_rows)


def _ids(kept: Mapping[str, Any], key: str, below: int | None) -> list[int]:
    """The id, or the list of ids, that a key of config.json holds."""
    told = kept.get(key)
    ids = told if isinstance(told, list) else [] if told is None else [told]
    if not all(type(one) is int and one >= 0 and (below is None or one < below) for one in ids):
        raise InputError(
            f"config.json: {key} is {told!r:.60}: expected ids{'' if below is None else f' below {below}'}"
        )
    return ids


@dataclass(frozen=True)
class Writer:
    """What writes texts: a model with its tokenizer, in evaluation mode.

    borders: `borders_of`. max_length: tokens that its decoder can read; None: any number. lead: ids that stand before
    every answer the model learned from (BART's <s>), which a forced beginning follows.
    """

    model: Model
    tokenizer: Tokenizer
    borders: Borders
    max_length: int | None = None
    lead: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, model: Model, tokenizer: Tokenizer, template: Template, kept: Mapping[str, Any], max_length: int | None
    ) -> "Writer":
        """Raises InputError for a model that writes no text."""
        if not model.body.config.generates or "lm" not in model.heads:
            raise InputError(
                "this model writes no text: generate needs a language model that reads from left to right, such as gpt2"
            )
        first = template.single[0]
        lead = (template.special_ids[first],) if template.start_id is not None and isinstance(first, str) else ()
        borders = borders_of(template, tokenizer.vocab, kept, model.body.config.vocab_size)
        return cls(model, tokenizer, borders, max_length, lead)

    def write(self, examples: Sequence[Example], settings: Generation) -> list[list[Written]]:
        """num_return_sequences texts for each example (`core.continuation`), best first where beams are searched; beam
        search gives fewer where fewer were found. Raises PromptError, and InputError for choices that cannot be."""
        beginning, stops = self._ruled(settings)
        ready = self._ready(examples, beginning, settings)
        out: list[list[Written]] = [[] for _ in examples]
        each = settings.num_beams if settings.num_beams > 1 else settings.num_return_sequences
        sizes = [each * (example.num_tokens + settings.max_new_tokens) for example in ready]
        for numbers in cut_by_tokens(sizes, TOKENS_AT_ONCE):
            found = self._batch([ready[number] for number in numbers], stops)
            for number, drafts in zip(numbers, found, strict=True):
                opened = decoder_ids(examples[number])
                out[number] = [self._written(opened, beginning, draft, score, stops) for draft, score in drafts]
        return out

    def stream(self, example: Example, settings: Generation) -> Iterator[str]:
        """One text in parts, as they are written; joined they are what `write` gives. InputError for several texts."""
        if settings.num_beams > 1 or settings.num_return_sequences > 1:
            raise InputError("a text that is shown as it comes is one, and no beams: leave num_beams out")
        beginning, stops = self._ruled(settings)
        (ready,) = self._ready([example], beginning, settings)
        lead = text_after(self.tokenizer, decoder_ids(example), beginning)
        if lead:
            yield lead
        yield from as_it_comes(self._growing(ready, stops), settings.stop_strings)

    def _growing(self, ready: Example, stops: Stops) -> Iterator[str]:
        (draft,) = drafts = _drafts([ready], stops)
        for _ in write(self.model, pack([ready]).to(self.model.body.device), drafts, stops):
            ids = _without_end(draft.written, stops)
            whole = len(ids) if draft.ended_by is not None else closed(self.tokenizer, ids)
            yield text_after(self.tokenizer, draft.before, ids[:whole])

    def _ruled(self, settings: Generation) -> tuple[tuple[int, ...], Stops]:
        """The ids of a forced beginning, and what says when a text has ended."""
        beginning = tuple(self.tokenizer.encode(settings.prefix).ids_P.tolist()) if settings.prefix else ()
        if settings.prefix and not beginning:
            raise InputError(f"prefix: {settings.prefix!r} has no pieces")
        borders = self.borders
        if beginning or settings.choices:
            beginning, borders = (*self.lead, *beginning), replace(borders, first_id=None)
        if settings.choices:  # they say what is written
            borders = replace(borders, never=())
        choices = None
        if settings.choices:
            pieces = {text: self.tokenizer.encode(text).ids_P.tolist() for text in settings.choices}
            choices = Choices(pieces, borders.end_ids)
            if choices.num_tokens > settings.max_new_tokens:
                raise InputError(
                    f"max_new_tokens is {settings.max_new_tokens} and the longest of the choices needs "
                    f"{choices.num_tokens}: raise it"
                )
        return beginning, Stops(settings, borders, self.tokenizer, choices)

    def _ready(self, examples: Sequence[Example], beginning: Sequence[int], settings: Generation) -> list[Example]:
        """The examples with the forced beginning. PromptError for one that leaves too little room."""
        if self.model.training:
            raise ValueError("the model is in training mode: call model.eval() first")
        ready = [forced(example, beginning) for example in examples]
        for number, example in enumerate(ready):
            length, new = example.read.num_tokens, settings.max_new_tokens
            if self.max_length is not None and length + new - 1 > self.max_length:
                raise PromptError(
                    number,
                    f"has {length} pieces, and the model takes {self.max_length} with the {new} of max_new_tokens: "
                    "shorten one of them",
                )
        return ready

    def _batch(self, ready: Sequence[Example], stops: Stops) -> list[list[tuple[Draft, float | None]]]:
        """The finished drafts of each example, and their scores."""
        batch = pack(ready).to(self.model.body.device)
        if stops.settings.num_beams > 1:
            prompts = [decoder_ids(example) for example in ready]
            found = search(self.model, batch, prompts, stops)
            return [
                [(Draft(before, None, list(text.ids), stops.ended_by(before, text.ids)), text.score) for text in texts]
                for before, texts in zip(prompts, found, strict=True)
            ]
        drafts = _drafts(ready, stops)
        for _ in write(self.model, batch, drafts, stops):
            pass
        each = stops.settings.num_return_sequences
        return [[(draft, None) for draft in drafts[at : at + each]] for at in range(0, len(drafts), each)]

    def _written(
        self, opened: Sequence[int], beginning: Sequence[int], draft: Draft, score: float | None, stops: Stops
    ) -> Written:
        ids = _without_end(draft.written, stops)
        lead = text_after(self.tokenizer, opened, beginning) if beginning else ""
        text = cut_at(text_after(self.tokenizer, draft.before, ids), stops.settings.stop_strings)
        return Written(ids, lead + text, draft.ended_by or "length", score)


def _drafts(ready: Sequence[Example], stops: Stops) -> list[Draft]:
    """As many of each example as texts are wanted, each with its own generator where tokens are drawn."""
    settings, drafts = stops.settings, []
    for example in ready:
        before, each = decoder_ids(example), settings.num_return_sequences
        key = before if example.target is None else (*example.source.ids_T.tolist(), -1, *before)
        rngs = generators(settings.seed, key, each) if settings.do_sample else [None] * each
        drafts += [Draft(before, rng) for rng in rngs]
    return drafts


def _without_end(written: Sequence[int], stops: Stops) -> tuple[int, ...]:
    return tuple(written[:-1] if written[-1] in stops.borders.end_ids else written)
