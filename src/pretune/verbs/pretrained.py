"""Pretrained: a model with its tokenizer, and what one does with it: states, logits, vectors, blanks, texts, labels.

Texts are packed without padding, batches are cut by tokens, and results come in the order given. A text longer than the
model's maximum is refused, not cut, unless `truncate=True` asks for it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize as normal

from pretune.checkpoint.bundle import GENERATOR, Bundle
from pretune.core.assemble import assemble
from pretune.core.errors import InputError, unknown
from pretune.core.pack import cut_by_tokens, pack
from pretune.core.stream import Batch, Example, Segments, Span, Stream, Targets
from pretune.nn.kernels.packed import keep_packed
from pretune.tasks.texts import cut_lengths
from pretune.verbs.generate import generate, stream
from pretune.verbs.nearest import TopK
from pretune.verbs.predictions import predict

Text = str | tuple[str, str]
Floats = NDArray[np.float32]

TOKENS_PER_BATCH = 4096
POOLINGS = ("mean", "cls", "max")
WHOLE_TEXT_HEADS = ("sequence", "choice", "next_sentence", "sentence_order")

ROWLESS_HEADS = ("crf", "siamese")


class TextError(InputError):
    """A text among several that the model cannot take. number: from 0; what: what is wrong with it."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"text {number} {what}")
        self.number, self.what = number, what


def load(
    model: str | Path,
    *,
    tokenizer: str | Path | None = None,
    device: str | None = None,
    allow_pickle: bool = False,
) -> "Pretrained":
    """A model from a directory pretune or Hugging Face wrote, a hub name, or a preset (`bert-mini`: fresh weights).

    tokenizer: a directory; needed for presets only. device: cpu, cuda ...; None: cuda where there is one.
    allow_pickle: read tensors from `pytorch_model.bin` where a model has no safetensors. Code is never run.
    Raises InputError for what is not a model, or holds something pretune cannot reproduce exactly, and for a device
    that is not there.
    """
    return Pretrained(Bundle.load(model, tokenizer=tokenizer, allow_pickle=allow_pickle), device)


class Pretrained:
    """A Bundle and its uses. `tokenizer`, `model`, `manifest` are the parts; `model` is in evaluation mode.

    Weights may be changed between calls (an optimizer's step, `load_state_dict`, `parameter.mul_` under no_grad). Only
    what is written into `parameter.data` in place (`parameter.data.mul_`) torch does not tell: call `weights_changed`
    after it, else short texts on a CPU are computed with the old weights.
    """

    def __init__(self, bundle: Bundle, device: str | None = None) -> None:
        self.bundle = bundle
        self.device = _usable(device) if device else "cuda" if torch.cuda.is_available() else "cpu"
        self.model = bundle.model.to(self.device).eval()
        keep_packed(self.model)
        self.tokenizer = bundle.tokenizer
        self.manifest = bundle.manifest

    def hidden(
        self,
        texts: Sequence[Text],
        layer: int | None = None,
        *,
        stack: Literal["encoder", "decoder"] = "decoder",
        truncate: bool = False,
    ) -> list[Floats]:
        """Hidden states [tokens, hidden_size] of each text, special tokens included.

        layer: None for the body's output; 0 for the embeddings' output, up to the number of layers. stack: of an
        encoder-decoder, whose decoder reads the text one place later, as its heads see it; other bodies have one stack.
        """
        body: Any = self.model.body  # of one stream, or of two
        is_encoder = stack == "encoder" and body.config.decoder is not None
        num_layers = (
            body.config.num_layers if body.config.decoder is None or is_encoder else body.decoder.config.num_layers
        )
        if layer is not None and not 0 <= layer <= num_layers:
            raise InputError(f"layer {layer} does not exist: there are 0 (embeddings) to {num_layers}")

        def compute(batch: Batch) -> list[Tensor]:
            read = body.encode if is_encoder else body
            hidden_TD = read(batch) if layer is None else read(batch, layers="all")[layer]
            return _as_given(hidden_TD, batch.source if is_encoder else batch.read)

        return self._map(self._examples(texts, truncate), compute)

    def logits(self, texts: Sequence[Text], head: str, *, truncate: bool = False) -> list[Floats]:
        """What a head gives: [tokens, vocabulary] for "lm", [tokens, classes] for "token", [classes] for heads that
        read the text as a whole ("sequence", "choice", "next_sentence"), its vector for "embedding". Raises InputError
        for a head that the model does not have, or that reads no rows."""
        if head not in self.model.heads:
            raise unknown("head", head, self.model.heads)
        if head == "embedding":
            return list(self.embed(texts, truncate=truncate))
        if head in ROWLESS_HEADS:
            raise InputError(f"the {head} head has no logits of a text: predict uses it")
        if head == "span_boundary":
            raise InputError("span_boundary reads the rows beside a masked span: it has no logits of a text")
        whole = head in WHOLE_TEXT_HEADS
        every_row = not whole or getattr(self.model.heads[head], "pooling", "row") != "row"

        def compute(batch: Batch) -> list[Tensor]:
            sizes = np.empty(len(batch.read.lengths_N), np.int64)
            sizes[batch.read.order_N] = batch.read.lengths_N if every_row else 1
            parts = torch.split(self.model(batch, heads=[head])[head], sizes.tolist())
            return [part[0] for part in parts] if whole else list(parts)

        at_end = self.model.body.config.reads_to_the_right
        examples = [_reading(example, head, every_row, whole, at_end) for example in self._examples(texts, truncate)]
        return self._map(examples, compute)

    def embed(
        self,
        texts: Sequence[Text],
        pooling: str | None = None,
        *,
        normalize: bool | None = None,
        truncate: bool = False,
    ) -> Floats:
        """[n, hidden_size]: mean, maximum or first row ([CLS]) of the last layer, special tokens included; of an
        encoder-decoder, of its encoder's.

        pooling, normalize (to length 1): None for what the model was trained with, by `similar` or as its files for
        sentence-transformers say; else mean, and vectors as they are. With a pooling that is named, vectors are as
        they are unless `normalize` says otherwise. InputError where the files ask for more than pretune computes, and
        for the first row of a body that reads from left to right: it has seen nothing but itself.
        """
        pooled_by, to_unit = self._pooling(pooling)
        to_unit = to_unit if normalize is None else normalize

        body: Any = self.model.body  # of one stream, or of two
        if pooled_by == "cls" and body.config.decoder is None and body.config.attention.causal:
            raise InputError(
                "pooling is cls, and the first token of a model that reads from left to right sees no other: take "
                "mean or max"
            )
        read = body if body.config.decoder is None else body.encode

        def compute(batch: Batch) -> list[Tensor]:
            pooled = [_pool(hidden_PD, pooled_by) for hidden_PD in _as_given(read(batch), batch.source)]
            return [normal(x_D, dim=-1) for x_D in pooled] if to_unit else pooled

        pooled = self._map(self._examples(texts, truncate), compute)
        return np.stack(pooled) if pooled else np.zeros((0, self.model.body.config.hidden_size), np.float32)

    def _pooling(self, asked: str | None) -> tuple[str, bool]:
        """What makes a text's vector, and whether it has length 1."""
        if asked is not None:
            if asked not in POOLINGS:
                raise unknown("pooling", asked, POOLINGS)
            return asked, False
        if (head := self.bundle.vector_head) is not None:
            return "cls" if head.pooling == "row" else head.pooling, head.normalize
        if left_out := self.bundle.no_vector:
            raise InputError(
                f"{self.bundle.folder}: its vectors in sentence-transformers come from what pretune does not compute: "
                f"{left_out}. For vectors without it, name the pooling: mean, cls or max"
            )
        return "mean", False

    def search(
        self, queries: Sequence[Text], texts: Sequence[Text], k: int = 10, *, truncate: bool = False
    ) -> list[list[dict[str, Any]]]:
        """For each query the k texts whose vectors have the highest cosine with its own, best first.

        [{"number": of the text from 0, "text", "score": the cosine}, ...]. All texts are compared.
        """
        found = TopK(self.embed(queries, truncate=truncate), k)
        found.add(self.embed(texts, truncate=truncate))
        return [
            [{"number": number, "text": texts[number], "score": score} for number, score in row] for row in found.rows()
        ]

    def fill(self, text: str | Sequence[str], top_k: int = 5) -> list[Any]:
        """The most probable pieces for each [MASK]: [{"token", "score", "sequence"}, ...], best first.

        A list of texts gives a list of such lists; a text with several blanks gives a list for each blank.
        Raises InputError for a text without a blank and for a model without a masked-LM head.
        """
        if not isinstance(text, str):
            return [self.fill(one, top_k) for one in text]
        if self.model.body.config.attention.causal:
            raise InputError("this model reads from left to right: fill needs a masked language model")
        if "lm" not in self.model.heads:
            has = ", ".join(self.model.heads) or "none"
            raise InputError(f"this model predicts no words (its heads: {has}): {self._other_to_fill()}")
        mask_id = self.tokenizer.vocab.mask_id
        if mask_id is None:
            raise InputError("this tokenizer has no mask token: fill needs a masked language model")
        if not 1 <= top_k <= self.tokenizer.vocab.size:
            raise InputError(f"top_k is {top_k}: it must be between 1 and the vocabulary's {self.tokenizer.vocab.size}")
        (example,) = self._examples([text], truncate=False)
        blanks = np.flatnonzero(example.source.ids_T == mask_id)
        if not len(blanks):
            raise InputError(f"{text!r} has no {self.tokenizer.token(mask_id)} to fill")
        (logits_TV,) = self.logits([text], "lm")
        ids_P = example.source.ids_T
        filled = [self._candidates(logits_TV[blank], ids_P, int(blank), top_k) for blank in blanks]
        return filled[0] if len(filled) == 1 else filled

    def _other_to_fill(self) -> str:
        generator = Path(self.bundle.folder) / GENERATOR
        if "replaced_token" in self.model.heads and generator.is_dir():
            return f"fill needs a masked language model, such as its generator, {generator}"
        return "fill needs a masked language model"

    def generate(self, prompts: Sequence[str], **settings: Any) -> list[Any]:
        """A text for each prompt; with num_return_sequences above 1 a list of texts for each.

        A body of one stream goes on from the prompt, which is no part of the text; an encoder-decoder reads it in the
        encoder. settings: of `decode.settings.Generation`, with transformers' names: max_new_tokens=40, num_beams=4,
        do_sample=True, stop_strings=["."], choices=["yes", "no"] ... Raises InputError for a model that writes no text,
        for settings that do not go together and for a prompt that leaves too little room.
        """
        found = [[written.text for written in texts] for texts in generate(self.bundle, prompts, settings)]
        return found if settings.get("num_return_sequences", 1) != 1 else [texts[0] for texts in found]

    def stream(self, prompt: str, **settings: Any) -> Iterator[str]:
        """The text that `generate` gives for one prompt, in parts as they are written; beams cannot be shown so."""
        return stream(self.bundle, prompt, settings)

    def predict(self, inputs: Sequence[Any], **settings: Any) -> list[Any]:
        """What the task this model was fine-tuned for says of each input: a text, a pair, a list of words, or a record.

        settings: of the task, in place of those it was trained with: output="entities" gives a tagger's spans.
        Raises InputError for a model without a task's head.
        """
        return predict(self.bundle, inputs, settings)

    def weights_changed(self) -> None:
        """Says that weights were written into `parameter.data`; other changes are found out (see above)."""
        keep_packed(self.model)

    def save(self, directory: str | Path) -> None:
        """Writes the Hugging Face layout: opens with `AutoModel*.from_pretrained`."""
        self.bundle.save(directory)

    def max_length(self) -> int:
        """The longest sequence the model takes, special tokens included."""
        return self.bundle.max_length

    def _candidates(self, logits_V: Floats, ids_P: NDArray[Any], blank: int, top_k: int) -> list[dict[str, Any]]:
        special = self.tokenizer.vocab.is_special_V  # a model may have more rows than there are pieces
        scores_V = torch.from_numpy(logits_V).softmax(-1).numpy()[: len(special)]
        best = np.argsort(-scores_V, kind="stable")[:top_k]
        found = []
        for piece in best:
            ids = ids_P.copy()
            ids[blank] = piece
            sequence = self.tokenizer.decode([int(i) for i in ids if not special[i] or i == piece])
            token = self.tokenizer.token(int(piece))
            found.append({"token": token, "score": float(scores_V[piece]), "sequence": sequence})
        return found

    def _examples(self, texts: Sequence[Text], truncate: bool) -> list[Example]:
        if isinstance(texts, str):
            raise InputError("give a list of texts, not one text")
        return [self._example(text, number, truncate) for number, text in enumerate(texts)]

    def _example(self, text: Text, number: int, truncate: bool) -> Example:
        parts: tuple[str, ...] = text if isinstance(text, tuple) else (text,)
        if len(parts) not in (1, 2) or not all(isinstance(part, str) for part in parts):
            raise InputError(f"text {number} is neither a text nor a pair of texts: {text!r:.80}")
        started = [self.tokenizer.encode_start(part, self.max_length()) for part in parts]
        spans, lengths = [pieces.span() for pieces, _ in started], [length for _, length in started]
        template = self.bundle.template
        room = self.max_length() - template.num_special(len(spans))
        length = sum(lengths)
        if length > room and not truncate:
            raise TextError(
                number, f"has {length} pieces and the model takes {room}: shorten it, or pass truncate=True"
            )
        if length > room:
            kept = cut_lengths(lengths, room)
            spans = [Span(span.ids_P[:keep], span.marks_P[:keep]) for span, keep in zip(spans, kept, strict=True)]
        return assemble(Segments(spans), template)

    def _map(self, examples: Sequence[Example], compute: Callable[[Batch], Sequence[Tensor]]) -> list[Floats]:
        """`compute` gives an array an example, in the order its batch was packed from; they come back as given."""
        out: list[Any] = [None] * len(examples)
        with torch.inference_mode():
            for numbers in cut_by_tokens([example.num_tokens for example in examples], TOKENS_PER_BATCH):
                batch = pack([examples[number] for number in numbers]).to(self.device)
                for number, value in zip(numbers, compute(batch), strict=True):
                    out[number] = value.float().cpu().numpy()
        return out


def _usable(device: str) -> str:
    """InputError for a device that torch does not know or does not find here."""
    try:
        torch.empty(1, device=device)
    except (AssertionError, RuntimeError) as error:
        told = str(error).strip().partition("\n")[0]
        raise InputError(f"device is {device!r}: torch cannot compute on it here ({told:.200}): take cpu") from error
    return device


def _as_given(hidden_TD: Tensor, stream: Stream) -> list[Tensor]:
    """Each sequence's rows, from the packed order back to the order the examples were given in."""
    out: list[Any] = [None] * len(stream.lengths_N)
    for place, rows_PD in zip(stream.order_N, torch.split(hidden_TD, stream.lengths_N.tolist()), strict=True):
        out[place] = rows_PD
    return out


def _reading(example: Example, head: str, every_row: bool, whole: bool, at_end: bool) -> Example:
    """The example read at its first row, or at its last, the only one of a causal body that has seen the whole, or at
    every row; of a text read as a whole, its rows are one group."""
    length = example.read.num_tokens
    rows = np.arange(length) if every_row else np.array([length - 1 if at_end else 0])
    group_M = np.zeros_like(rows) if whole else None
    return replace(example, predict={head: Targets(at_MK=rows[:, None], group_M=group_M)})


def _pool(hidden_PD: Tensor, pooling: str) -> Tensor:
    if pooling == "cls":
        return hidden_PD[0]
    return hidden_PD.mean(0) if pooling == "mean" else hidden_PD.amax(0)
