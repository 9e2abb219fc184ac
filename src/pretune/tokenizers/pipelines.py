"""The seven kinds of tokenizer: what stands around the model of each.

    kind       normaliser                        a word is                           pieces of "Hello, wörld"
    wordpiece  BERT's (clean, CJK apart, case)   letters and digits, or one mark     hello , w ##ör ##ld
    word       BERT's                            the same                            hello , wörld
    bpe        BERT's without CJK                letters and digits, or other marks  ▁He llo , ▁w ör ld
    unigram    BERT's without CJK                the same                            ▁He llo , ▁w ör ld
    byte-bpe   none, or case and accents only    GPT-2's pattern                     ĠHe llo , Ġw Ã¶ r ld
    byte       none, or case and accents only    GPT-2's pattern                     Ġ H e l l o , Ġ w Ã ¶ r l d
    char       none, or case and accents only    as bpe, with its space              H e l l o , " " w ö r l d

`bpe` and `unigram` put SentencePiece's ▁ (Kudo & Richardson 2018) in front of every word, `byte-bpe` and `byte` GPT-2's
Ġ, which is the space (Radford et al. 2019), also before the first word, so that a word has the same pieces anywhere.
All have [PAD] [UNK] [CLS] [SEP] [MASK] as ids 0 to 4 and BERT's template: [CLS] A [SEP], [CLS] A [SEP] B [SEP].
"""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

Algorithm = Literal["wordpiece", "bpe", "byte-bpe", "unigram", "word", "char", "byte"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)

SPECIAL_TOKENS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
"""Roles and names of the special tokens of what pretune trains, in the order of their ids."""

Parts = Sequence[tuple[int | str, int]]
"""What texts are joined with, in order: a text's number or a special token's role, and the type of its pieces."""
BERT_TEMPLATE: tuple[Parts, Parts] = (
    (("cls", 0), (0, 0), ("sep", 0)),
    (("cls", 0), (0, 0), ("sep", 0), (1, 1), ("sep", 1)),
)
"""Around one text and two (Devlin et al. 2019, section 3)."""

CHARACTER_WORDS = r" ?[\p{L}\p{M}\p{N}]+| ?[^\s\p{L}\p{M}\p{N}]+|\s"
"""A word for the kind `char`: letters and digits, or other signs, each with one space before; or one white space."""

MARKED_WORDS = r"▁?[\p{L}\p{M}\p{N}]+|▁?[^\s\p{L}\p{M}\p{N}▁]+"
"""The same for `bpe` and `unigram`, where ▁ stands for the space."""

LONGEST_WORD = 100
"""A word of more characters than this is one [UNK] for WordPiece, as in BERT's code."""


def byte_alphabet() -> list[str]:
    """The 256 characters that stand for bytes in byte-level kinds, in a fixed order."""
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def special_ids() -> dict[str, int]:
    """The vocabulary every trained tokenizer begins with."""
    return {token: number for number, token in enumerate(SPECIAL_TOKENS.values())}


def wordpiece_backend(
    ids: Mapping[str, int],
    roles: Mapping[str, str] = SPECIAL_TOKENS,
    *,
    lowercase: bool,
    strip_accents: bool | None = None,
    chinese: bool = True,
) -> Backend:
    """A WordPiece tokenizer (longest match first) of a given vocabulary, around it what BERT has."""
    model = models.WordPiece(dict(ids), unk_token=roles["unk"], max_input_chars_per_word=LONGEST_WORD)
    backend = Backend(model)
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=chinese, strip_accents=strip_accents, lowercase=lowercase
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    return with_special_tokens(backend, {role: token for role, token in roles.items() if token in ids})


def around(kind: Algorithm, model: models.Model, *, lowercase: bool, strip_accents: bool | None) -> Backend:
    """A backend of this kind around an untrained or hand-filled model; special tokens and template are not set yet."""
    backend = Backend(model)
    normalizer = _normalizer(kind, lowercase, strip_accents)
    if normalizer is not None:
        backend.normalizer = normalizer
    if kind in ("wordpiece", "word"):
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    elif kind in ("bpe", "unigram"):
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.WhitespaceSplit(),
                pre_tokenizers.Metaspace(prepend_scheme="always"),
                pre_tokenizers.Split(Regex(MARKED_WORDS), "isolated"),
            ]
        )
        backend.decoder = decoders.Metaspace(prepend_scheme="always")
    elif kind in ("byte-bpe", "byte"):
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        backend.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    else:
        backend.pre_tokenizer = pre_tokenizers.Split(Regex(CHARACTER_WORDS), "isolated")
        backend.decoder = decoders.Fuse()
    return backend


def _normalizer(kind: Algorithm, lowercase: bool, strip_accents: bool | None) -> normalizers.Normalizer | None:
    readable = kind in ("wordpiece", "word", "bpe", "unigram")
    if not readable and not lowercase and not strip_accents:
        return None
    return normalizers.BertNormalizer(
        clean_text=readable,
        handle_chinese_chars=kind in ("wordpiece", "word"),
        strip_accents=strip_accents,
        lowercase=lowercase,
    )


def with_special_tokens(backend: Backend, roles: Mapping[str, str] = SPECIAL_TOKENS) -> Backend:
    """Makes these tokens special and, where there are [CLS] and [SEP], sets BERT's template."""
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in roles.values()])
    if "cls" in roles and "sep" in roles:
        backend.post_processor = template_processor(*BERT_TEMPLATE, roles, backend)
    return backend


def template_processor(
    single: Parts, pair: Parts, roles: Mapping[str, str], backend: Backend
) -> processors.TemplateProcessing:
    """What puts special tokens around one text and two in the library."""

    def told(parts: Parts) -> list[str]:
        names = ["$" + "AB"[part] if isinstance(part, int) else roles[part] for part, _ in parts]
        return [f"{name}:{kind}" for name, (_, kind) in zip(names, parts, strict=True)]

    tokens = {roles[part] for part, _ in (*single, *pair) if isinstance(part, str)}
    return processors.TemplateProcessing(
        single=told(single),
        pair=told(pair),
        special_tokens=[(token, backend.token_to_id(token)) for token in sorted(tokens)],
    )
