"""Template and assemble: from Segments to an Example, where [CLS] and [SEP] go.

The template is the family's. BERT (Devlin et al. 2019, section 3): `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`, segment
0 up to the first [SEP], segment 1 after it.
"""

from dataclasses import dataclass

import numpy as np

from pretune.core.errors import InputError
from pretune.core.marks import SPECIAL
from pretune.core.stream import Array, Example, Segments, Stream, Targets, bidirectional, left_to_right

Part = int | str
"""The index of a span, or the text of a special token."""


@dataclass(frozen=True)
class Template:
    """How a family puts spans together.

    single, pair: parts in order, a span's index or a special token's name in `special_ids`.
    segments_single, segments_pair: the segment id of each part; all 0 for families without segments.
    summary: index of the part whose row stands for the whole ([CLS]); -1: the last row ([SEP], or a text's last token).
    first_position: the first token's. (RoBERTa's offset is its body's: `nn.config.Learned`.)
    start: of a family with a decoder beside its encoder, the special token that the decoder's input begins with.
    """

    special_ids: dict[str, int]
    single: tuple[Part, ...] = ("cls", 0, "sep")
    pair: tuple[Part, ...] = ("cls", 0, "sep", 1, "sep")
    segments_single: tuple[int, ...] = (0, 0, 0)
    segments_pair: tuple[int, ...] = (0, 0, 0, 1, 1)
    summary: int = 0
    first_position: int = 0
    start: str | None = None

    @property
    def start_id(self) -> int | None:
        """The id of `start`; None for a family of one stream."""
        return None if self.start is None else self.special_ids[self.start]

    def parts(self, num_spans: int) -> tuple[Part, ...]:
        if num_spans not in (1, 2):
            raise ValueError(f"a template holds one span or two, not {num_spans}")
        return self.single if num_spans == 1 else self.pair

    def num_special(self, num_spans: int) -> int:
        """How many special tokens the template adds: subtract it from `max_length` for the room the spans have."""
        return sum(isinstance(part, str) for part in self.parts(num_spans))

    def offset(self, span: int, lengths: list[int]) -> int:
        """The row of the first token of a span, given the spans' lengths."""
        row = 0
        for part in self.parts(len(lengths)):
            if part == span:
                return row
            row += 1 if isinstance(part, str) else lengths[part]
        raise ValueError(f"no span {span} among {len(lengths)}")


def assemble(segments: Segments, template: Template, origin: int | None = None) -> Example:
    """An Example with special tokens, segment ids and marks; each label becomes a target at the summary row.

    Special tokens are marked SPECIAL. Nothing is cut here: `arrange` and `featurize` cut. Where a decoder stands beside
    the encoder, both read the text, the decoder one place later behind the start token (Lewis et al. 2020, section
    3.1), and rows are the decoder's: they have the same numbers.
    Raises InputError for empty texts of a family without special tokens: there would be nothing to read.
    """
    num_spans = len(segments.spans)
    segment_of = template.segments_single if num_spans == 1 else template.segments_pair
    ids: list[Array] = []
    marks: list[Array] = []
    parts: list[Array] = []
    summary_row = -1
    for index, part in enumerate(template.parts(num_spans)):
        if index == template.summary:
            summary_row = sum(len(block) for block in ids)
        if isinstance(part, str):
            ids.append(np.array([template.special_ids[part]], np.int64))
            marks.append(np.array([SPECIAL], np.uint8))
        else:
            ids.append(np.asarray(segments.spans[part].ids_P, np.int64))
            marks.append(np.asarray(segments.spans[part].marks_P, np.uint8))
        parts.append(np.full(len(ids[-1]), segment_of[index], np.int64))
    ids_T = np.concatenate(ids)
    if not len(ids_T):
        raise InputError("a text has no piece, and this family puts no token around it: there is nothing to read")
    stream: Stream = bidirectional(
        ids_T,
        marks_T=np.concatenate(marks),
        segment_ids_T=np.concatenate(parts),
        first_position=template.first_position,
    )
    predict = {head: label_at(summary_row % len(ids_T), label) for head, label in segments.labels.items()}
    target = None if template.start_id is None else decoder_input(ids_T, template.start_id)
    return Example(stream, target, predict, None if origin is None else np.array([origin]))


def decoder_input(gold_P: Array, start_id: int) -> Stream:
    """What a decoder reads to write `gold_P`, one token after another: the start token and all but the last.

    >>> decoder_input(np.array([7, 8, 9]), start_id=2).ids_T
    array([2, 7, 8])
    """
    return left_to_right(bidirectional(np.concatenate([[start_id], gold_P[:-1]]).astype(np.int64)))


def label_at(row: int, label: int | float | None) -> Targets:
    """One prediction at one row. An int is a class, a float a value, None unknown."""
    gold = None if label is None else np.array([label], np.int64 if isinstance(label, int) else np.float32)
    return Targets(at_MK=np.array([[row]], np.int64), gold_M=gold, weight_M=np.ones(1, np.float32))
