"""When a sequence has ended: an end token, a stop string, a whole choice, or all the tokens it may have."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pretune.decode.choices import Choices
from pretune.decode.settings import Borders, Generation
from pretune.decode.texts import text_after
from pretune.tokenizers.tokenizer import Tokenizer

EndedBy = Literal["end", "stop_string", "length"]


@dataclass(frozen=True)
class Written:
    """What was written behind a prompt. ids: what the model chose, without the end token. text: a forced beginning and
    what follows up to a stop string. ended_by: "end": an end token, or a choice that is whole; "stop_string"; "length":
    max_new_tokens. score: of beam search, the log-probability by length, as transformers' sequences_scores."""

    ids: tuple[int, ...]
    text: str
    ended_by: EndedBy
    score: float | None = None


@dataclass(frozen=True)
class Stops:
    """Says of a sequence whether it has ended. `before` is what its decoder had read when it began to write."""

    settings: Generation
    borders: Borders
    tokenizer: Tokenizer
    choices: Choices | None = None

    @property
    def reads_history(self) -> bool:
        """Whether scores depend on what was read and written."""
        longer = any(len(sequence) > 1 for sequence in self.borders.never)
        return self.settings.repetition_penalty != 1 or self.settings.no_repeat_ngram_size > 0 or longer

    @property
    def reads_text(self) -> bool:
        """Whether more than an end token ends a sequence before it is as long as it may be."""
        return bool(self.settings.stop_strings) or self.choices is not None

    def ended_by(self, before: Sequence[int], written: Sequence[int]) -> EndedBy | None:
        """What ended it with its last token; None where it goes on."""
        if written[-1] in self.borders.end_ids:
            return "end"
        if self.choices is not None and self.choices.are_over(written):
            return "end"
        if self.settings.stop_strings:
            text = text_after(self.tokenizer, before, written)
            if any(stop in text for stop in self.settings.stop_strings):
                return "stop_string"
        return "length" if len(written) == self.settings.max_new_tokens else None
