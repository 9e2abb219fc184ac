"""How to generate: every choice a field, with the names and meanings of transformers' GenerationConfig.

Where we deviate: nothing is set from a model's files but its end tokens, forced tokens and those it never writes;
`top_k` is off unless it is asked for (transformers: 50 with do_sample); a choice that would have no effect is refused,
not ignored; a stop string ends the text and is no part of it. Not here: sampling inside beam search, diverse and
assisted decoding, contrastive search. Imports no torch.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pretune.core.config import Settings

NonNegative = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]

SAMPLING = ("temperature", "top_k", "top_p", "min_p", "seed")
SEARCHING = ("length_penalty", "early_stopping")


class Generation(Settings):
    """Everything `generate` can be told."""

    max_new_tokens: Positive = 40
    """A text ends with so many tokens if nothing else has ended it, the end token among them."""
    min_new_tokens: NonNegative = 0
    """The model may not end a text before it has so many tokens."""
    num_beams: Positive = 1
    """Beam search keeps so many beginnings of a text; 1: the most probable token each time."""
    length_penalty: Annotated[float, Field(ge=-10, le=10)] = 1.0
    """Of beam search: a text's log-probability is divided by its length to this power; above 0 favours long texts."""
    early_stopping: bool | Literal["never"] = False
    """Of beam search. true: ends with num_beams finished texts; false: when no better one is likely; never: when no
    better one can come."""
    num_return_sequences: Positive = 1
    """So many texts for each prompt: the best beams, or as many draws."""
    do_sample: bool = False
    """Draw each token from the model's distribution."""
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Of sampling: logits are divided by it; below 1 sharpens the distribution."""
    top_k: NonNegative = 0
    """Of sampling: draw from the k most probable tokens; 0: from all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of sampling: draw from the fewest tokens that have this probability together (Holtzman et al. 2020)."""
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Of sampling: leave out tokens with less than this share of the best one's probability (Nguyen et al. 2025)."""
    seed: NonNegative = 0
    """Of sampling: draws depend on it, on the prompt and on the number of the draw, not on what else is generated."""
    repetition_penalty: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Scores of tokens that were read or written are divided by it (negative ones multiplied); Keskar et al. 2019."""
    no_repeat_ngram_size: NonNegative = 0
    """No sequence of so many tokens comes twice, the prompt counted where the model goes on writing it; 0: any may."""
    stop_strings: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """A text ends before the first of these."""
    prefix: str = ""
    """Every text begins with this."""
    choices: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Every text is one of these."""

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        self._refuse_without_effect()
        if self.do_sample and self.num_beams > 1:
            raise ValueError("do_sample draws one token a time: leave num_beams out, or do_sample")
        if self.num_return_sequences > 1 and not self.do_sample and self.num_return_sequences > self.num_beams:
            raise ValueError(
                f"num_return_sequences is {self.num_return_sequences}: it needs do_sample=true or as many num_beams"
            )
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError(f"min_new_tokens is above max_new_tokens, {self.max_new_tokens}")
        self._check_choices()
        return self

    def _refuse_without_effect(self) -> None:
        given = self.model_fields_set
        for names, works, wanted in (
            (SAMPLING, self.do_sample, "do_sample=true"),
            (SEARCHING, self.num_beams > 1, "num_beams above 1"),
        ):
            idle = [name for name in names if name in given and getattr(self, name) != _default(name)]
            if idle and not works:
                raise ValueError(f"{', '.join(idle)}: without effect unless {wanted}")

    def _check_choices(self) -> None:
        if not self.choices:
            return
        if len(set(self.choices)) != len(self.choices):
            raise ValueError("choices: a text stands there twice")
        if not self.do_sample and self.num_return_sequences > len(self.choices):
            raise ValueError(f"num_return_sequences is above the {len(self.choices)} choices there are")
        also = [
            name
            for name in ("min_new_tokens", "no_repeat_ngram_size", "stop_strings")
            if getattr(self, name) != _default(name)
        ]
        if also:
            raise ValueError(f"choices say what is written: leave {', '.join(also)} out")


def _default(name: str) -> object:
    return Generation.model_fields[name].default


@dataclass(frozen=True)
class Borders:
    """The tokens a text begins and ends with, and those it never has, as the model's files say.

    end_ids: each of them ends a text; a model without any writes max_new_tokens. first_id: what every text begins with
    (transformers' forced_bos_token_id). last_id: what stands at max_new_tokens if nothing has ended the text before
    (forced_eos_token_id). never: sequences of ids that are not written (bad_words_ids; of Marian, the padding token).
    """

    end_ids: tuple[int, ...] = ()
    first_id: int | None = None
    last_id: int | None = None
    never: tuple[tuple[int, ...], ...] = ()
