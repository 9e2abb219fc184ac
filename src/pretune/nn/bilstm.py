"""A BiLSTM over the rows of each sequence, which stands on top of a body for fine-tuning (Devlin et al. 2019).

Section 5.1, "+ BiLSTM": a model that reads from left to right gets a randomly initialised one on top, so that a token's
vector knows what comes after it. The paper gives no sizes: here one layer, half of the hidden size in each direction,
so that heads read vectors of the size they know; weights as torch draws them, biases zero.

Packed as everything is: rows are taken in order of time, and no step computes a padded one (`PackedSequence`).
Dimensions: T tokens, D hidden size, N sequences.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from pretune.core.stream import Stream


class LSTM(nn.LSTM):
    """torch's LSTM, empty until `initialise`."""

    def reset_parameters(self) -> None:
        """Leaves the weights as they are."""


class BiLSTM(nn.Module):
    """[T, D] to [T, D]: the states of both directions at each row, side by side. No row sees another sequence."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.lstm = LSTM(hidden_size, hidden_size // 2, bidirectional=True)

    def forward(self, x_TD: Tensor, stream: Stream) -> Tensor:
        if not stream.num_tokens:
            return x_TD
        if "by time" not in stream.cache:
            stream.cache["by time"] = _by_time(stream.lengths_N, x_TD.device)
        rows_T, back_T, num_sequences_at = stream.cache["by time"]
        states = self.lstm(PackedSequence(x_TD.index_select(0, rows_T), num_sequences_at))[0]
        return states.data.index_select(0, back_T)  # type: ignore[no-any-return]


def _by_time(lengths_N: NDArray[np.int64], device: torch.device) -> tuple[Tensor, ...]:
    """Rows by their place in their sequence, the longest sequence's first; the way back; how many have each place.

    >>> [found.tolist() for found in _by_time(np.array([1, 3, 0, 2]), torch.device("cpu"))]
    [[1, 4, 0, 2, 5, 3], [2, 0, 3, 5, 1, 4], [3, 2, 1]]
    """
    starts_N = np.cumsum(lengths_N) - lengths_N
    place_T = np.arange(int(lengths_N.sum())) - np.repeat(starts_N, lengths_N)
    rank_N = np.empty(len(lengths_N), np.int64)
    rank_N[np.argsort(-lengths_N, kind="stable")] = np.arange(len(lengths_N))
    rows_T = np.lexsort((np.repeat(rank_N, lengths_N), place_T))
    back_T = np.empty_like(rows_T)
    back_T[rows_T] = np.arange(len(rows_T))
    return (
        torch.from_numpy(rows_T).to(device),
        torch.from_numpy(back_T).to(device),
        torch.from_numpy(np.bincount(place_T)),  # PackedSequence wants it on the host
    )
