"""Words of a sentence as rows of pieces: which rows a tagger reads, and from rows back to words.

A sentence that is too long becomes several sequences of whole words in one Example; only the tail of a single word
longer than a sequence is left out, counted.

Dimensions: P pieces, W words, M rows read, C classes.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pretune.core.assemble import Template, assemble
from pretune.core.pack import pack
from pretune.core.stream import Example, Segments, Targets
from pretune.nn.pooling import group_mean
from pretune.tasks.sentences import windows
from pretune.tasks.texts import on_host, room_for
from pretune.tokenizers.pieces import Pieces
from pretune.tokenizers.tokenizer import Tokenizer


def featurize_words(
    words: Sequence[str], head: str, tokenizer: Tokenizer, template: Template, max_length: int, every_piece: bool
) -> Example:
    """An Example that reads the first piece of each word, or every piece; rows are grouped by word, from 0."""
    pieces = tokenizer.encode_words(words)
    _, first_W = np.unique(pieces.words_P, return_index=True)
    cut = windows(first_W, len(pieces), room_for(template, 1, max_length))
    parts = [_sequence(pieces, int(first_W[word]), kept, template, head, every_piece) for word, _, kept in cut]
    example = parts[0] if len(parts) == 1 else pack(parts)
    return replace(example, num_cut=len(pieces) - sum(kept for _, _, kept in cut))


def _sequence(pieces: Pieces, start: int, kept: int, template: Template, head: str, every_piece: bool) -> Example:
    """Pieces [start, start + kept) as one sequence; predictions are grouped by word, from 0."""
    words_P = pieces.words_P[start : start + kept].astype(np.int64)
    group_P = words_P - words_P[0]
    is_read_P = np.ones(kept, np.bool_)
    if not every_piece:
        is_read_P[1:] = np.diff(words_P) > 0
    row = template.offset(0, [kept])
    targets = Targets(
        at_MK=(row + np.flatnonzero(is_read_P))[:, None],
        weight_M=np.ones(int(is_read_P.sum()), np.float32),
        group_M=group_P[is_read_P],
    )
    example = assemble(Segments([pieces.span(start, start + kept)]), template)
    return replace(example, predict={head: targets})


def mean_of_words(rows_MC: Tensor, targets: Targets) -> Tensor:
    """The mean of each word's rows [W, C]; where every word is one row, just these."""
    group_M = torch.as_tensor(targets.group_M, device=rows_MC.device)
    is_one_row = len(group_M) == int(group_M[-1]) + 1
    return rows_MC if is_one_row else group_mean(rows_MC, group_M)


def first_of_words(rows_MC: Tensor, targets: Targets) -> Tensor:
    """Each word's first row [W, C]."""
    _, first_W = np.unique(on_host(targets.group_M), return_index=True)
    return rows_MC[torch.from_numpy(first_W)]
