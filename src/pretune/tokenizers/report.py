"""What a tokenizer does to text it was not trained on: fertility, unknown rate, bytes a piece."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tokenizers import pre_tokenizers

from pretune.tokenizers.pipelines import Algorithm
from pretune.tokenizers.tokenizer import Tokenizer


@dataclass(frozen=True)
class HeldOut:
    """Figures on text.

    fertility: pieces a word (Rust et al. 2021, section 3), where a word is a word or a punctuation mark as BERT's
    pre-tokeniser cuts the text, for every kind alike. unknown_rate: share of pieces that are the unknown token.
    bytes_per_piece: UTF-8 bytes of the text for each piece. num_words, num_pieces, num_bytes: what they are made of.
    """

    fertility: float
    unknown_rate: float
    bytes_per_piece: float
    num_words: int
    num_pieces: int
    num_bytes: int


@dataclass(frozen=True)
class TokenizerReport:
    """What `train_tokenizer` did.

    requested_size: None where the kind has none (byte). characters: distinct ones in the vocabulary (wordpiece, bpe,
    char; None for other kinds); characters_left_out and words_left_out: occurrences beyond the alphabet's maximum (bpe
    cuts words there, and leaves out those of which nothing stays).
    rare_words_left_out: occurrences of words of which there were too many different ones to hold in memory
    (`word_counts.py`).
    min_pair_count: of the last merge; None where there are no merges. held_out: None if no document was held out.
    warnings: sentences for the user; empty if all is as asked for.
    """

    algorithm: Algorithm
    requested_size: int | None
    vocab_size: int
    num_documents: int
    num_heldout_documents: int
    seconds: float
    held_out: HeldOut | None
    characters: int | None = None
    characters_left_out: int = 0
    words_left_out: int = 0
    rare_words_left_out: int = 0
    num_merges: int | None = None
    min_pair_count: int | None = None
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure(tokenizer: Tokenizer, texts: Sequence[str]) -> HeldOut | None:
    """The figures of a tokenizer on texts; None if there is no word in them."""
    pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    num_words = sum(len(pre_tokenizer.pre_tokenize_str(text)) for text in texts)
    unknown = tokenizer.special_ids.get("unk")
    num_pieces = num_unknown = 0
    for encoding in tokenizer.backend.encode_batch_fast(list(texts), add_special_tokens=False):
        num_pieces += len(encoding.ids)
        num_unknown += encoding.ids.count(unknown) if unknown is not None else 0
    num_bytes = sum(len(text.encode("utf-8")) for text in texts)
    if not num_words or not num_pieces:
        return None
    return HeldOut(
        fertility=num_pieces / num_words,
        unknown_rate=num_unknown / num_pieces,
        bytes_per_piece=num_bytes / num_pieces,
        num_words=num_words,
        num_pieces=num_pieces,
        num_bytes=num_bytes,
    )
