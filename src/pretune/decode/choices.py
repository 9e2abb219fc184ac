"""A tree of the texts that may be written, as ids, and the tokens that may come next (De Cao et al. 2021, section 3.2).

With beam search, as many beams as texts and length_penalty=0 the first text is the most probable one of all; with
fewer beams, or greedily, a text whose first tokens are improbable may be lost.
"""

from collections.abc import Sequence

from pretune.core.errors import InputError


class Choices:
    """Which tokens may follow which beginning. A text that is whole is followed by an end token, if there is one.

    texts: each one's ids, by the text. num_tokens: the longest one's, its end token among them.
    Raises InputError for a text without pieces, for two with the same pieces, and where no end token says whether a
    text that another one begins with is whole.

    >>> choices = Choices({"a b": [1, 2], "a c": [1, 3]}, end_ids=(0,))
    >>> choices.after([1]), choices.after([1, 3]), choices.are_over([1, 3])
    ([2, 3], [0], False)
    """

    def __init__(self, texts: dict[str, Sequence[int]], end_ids: Sequence[int]) -> None:
        self._after: dict[tuple[int, ...], list[int]] = {}
        self._whole: dict[tuple[int, ...], str] = {}
        for text, ids in texts.items():
            self._add(text, tuple(ids))
        self.num_tokens = max(map(len, self._whole)) + bool(end_ids)
        self._ends_itself = not end_ids
        for whole, text in self._whole.items():
            if not end_ids and whole in self._after:
                raise InputError(f"choices: another one begins with {text!r}, and this model has no end token to tell")
            if end_ids:
                self._after.setdefault(whole, []).extend(end_ids)

    def _add(self, text: str, ids: tuple[int, ...]) -> None:
        if not ids:
            raise InputError(f"choices: {text!r} has no pieces")
        if (other := self._whole.setdefault(ids, text)) != text:
            raise InputError(f"choices: {other!r} and {text!r} have the same pieces")
        for place, token in enumerate(ids):
            after = self._after.setdefault(ids[:place], [])
            if token not in after:
                after.append(token)

    def after(self, written: Sequence[int]) -> list[int]:
        """The tokens that may come next; none where no text begins so."""
        return self._after.get(tuple(written), [])

    def are_over(self, written: Sequence[int]) -> bool:
        """Whether a text is whole and has no end token to say so."""
        return self._ends_itself and tuple(written) in self._whole
