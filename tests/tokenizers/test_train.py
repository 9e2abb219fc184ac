"""Training: figures on held-out text, determinism, sizes, errors."""

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from pretune.core.errors import InputError
from pretune.tokenizers.pipelines import ALGORITHMS
from pretune.tokenizers.source import HoldingOut
from pretune.tokenizers.train import train_tokenizer

SIZES = {"char": None, "byte": None, "byte-bpe": 300, "word": 100}


def sized(kind, other=150):
    return SIZES.get(kind, other)


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_size_and_figures(prose, kind):
    tokenizer, report = train_tokenizer(prose, algorithm=kind, vocab_size=sized(kind), heldout_fraction=0.1)
    assert report.vocab_size == tokenizer.vocab.size == (sized(kind) or report.vocab_size)
    assert not report.warnings
    assert (report.num_documents, report.num_heldout_documents) == (len(prose) - len(prose) // 10, len(prose) // 10)
    assert (report.algorithm, report.requested_size) == (kind, sized(kind))
    held = prose[9::10]
    pieces = [tokenizer.encode(text).ids_P for text in held]
    number = sum(map(len, pieces))
    assert report.held_out.num_pieces == number
    assert report.held_out.bytes_per_piece == sum(len(text.encode()) for text in held) / number
    unknown = sum(int((ids == tokenizer.special_ids["unk"]).sum()) for ids in pieces)
    assert report.held_out.unknown_rate == unknown / number
    assert report.as_dict()["held_out"]["fertility"] == number / report.held_out.num_words
    assert report.seconds > 0


def test_fertility_counts_words_and_punctuation_marks():
    texts = ["it is"] * 9 + ["it, is it?"]
    _, report = train_tokenizer(texts, algorithm="char", heldout_fraction=0.1)
    assert report.held_out.num_words == 5
    assert report.held_out.num_pieces == 10
    assert report.held_out.fertility == 2.0
    assert report.held_out.unknown_rate == 0.2  # the comma and the question mark were never trained on


@pytest.mark.parametrize("kind", ["wordpiece", "word", "char", "bpe", "unigram"])
def test_held_out_documents_are_never_trained_on(kind):
    texts = ["it is a truth"] * 4 + ["zq zq zq zq zq zq"]
    tokenizer, report = train_tokenizer(texts * 30, algorithm=kind, vocab_size=25, heldout_fraction=0.2)
    assert report.num_heldout_documents == 30
    assert "q" not in "".join(tokenizer.backend.get_vocab())
    assert report.held_out.unknown_rate > 0.3


def test_held_out_text_is_bounded():
    split = HoldingOut(["ab"] * 100, 0.5, 10)
    assert len(list(split)) == 50
    assert (split.num_heldout, len(split.held_out)) == (50, 5)
    assert list(HoldingOut(["a", "b"], 0.0, 10)) == ["a", "b"]


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_the_same_in_another_process(prose, kind, tmp_path):
    """Hash seeds differ between processes; nothing may depend on them."""
    text = tmp_path / "prose.txt"
    rare = [" ".join(chr(0x430 + n) for n in range(32))] * 6  # characters that no other piece of unigram covers
    prose = [*prose, *rare, *(line.upper() for line in prose)]
    text.write_text("\n".join(prose), "utf-8")
    code = (
        "import sys; from pathlib import Path; from pretune.tokenizers.train import train_tokenizer;"
        "size = None if sys.argv[3] == 'None' else int(sys.argv[3]);"
        "print(train_tokenizer([Path(sys.argv[1])], algorithm=sys.argv[2], vocab_size=size)[0].fingerprint)"
    )
    command = [sys.executable, "-c", code, str(text), kind, str(sized(kind, 300))]
    runs = {subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() for _ in range(2)}
    runs.add(train_tokenizer(prose, algorithm=kind, vocab_size=sized(kind, 300))[0].fingerprint)
    assert len(runs) == 1


def test_files_are_read_as_documents(prose, tmp_path):
    path = tmp_path / "prose.txt.gz"
    path.write_bytes(gzip.compress("\n\n".join(prose).encode()))
    tokenizer, report = train_tokenizer([path], algorithm="wordpiece", vocab_size=150, documents="blank-line")
    assert report.num_documents + report.num_heldout_documents == len(prose)
    assert tokenizer.fingerprint == train_tokenizer(prose, algorithm="wordpiece", vocab_size=150)[0].fingerprint


def test_a_size_out_of_reach_is_said():
    tokenizer, report = train_tokenizer(["a truth"] * 200, algorithm="wordpiece", vocab_size=500)
    assert report.vocab_size == tokenizer.vocab.size < 500
    assert f"the vocabulary has {report.vocab_size} pieces, not 500" in report.warnings[0]


def test_without_held_out_text_there_are_no_figures():
    _, report = train_tokenizer(["a truth", "a man"], algorithm="char")
    assert report.held_out is None
    assert "no text was held out" in report.warnings[0]


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        ([], {}, "there is no text"),
        (["", " \n"], {}, "there is no text"),
        (["\u200b \x00"] * 3, {}, "there is no text"),
        (["a"], {"algorithm": "wordpeice"}, "did you mean wordpiece"),
        (["a"], {"vocab_size": None}, "needs a vocab_size"),
        (["a"], {"vocab_size": 5}, "needs at least 6"),
        (["a"], {"vocab_size": 260, "algorithm": "byte-bpe"}, "needs at least 261"),
        (["abcdefgh"], {"vocab_size": 12}, "ask for at least 21"),
        (["abcdefgh"], {"vocab_size": 12, "algorithm": "bpe"}, "alphabet alone take more"),
        (["a"], {"min_pair_count": 0}, "min_pair_count is 0"),
        (["a"], {"max_alphabet": 0}, "max_alphabet is 0"),
        (["a b"], {"min_word_count": 2}, "no word of the text occurs 2 times: lower min_word_count"),
        (["a b"], {"min_word_count": 2, "algorithm": "word"}, "no word of the text occurs 2 times"),
        (["a"], {"heldout_fraction": 0.9}, "heldout_fraction is 0.9"),
        (["a", 3], {}, "item 2 is 3, not a str"),
        ([Path("a"), "b"], {}, "item 2 is 'b', not a Path"),
        ("a.txt", {}, "give a list"),
        (["a", "b\udc00"], {}, "text 2 has half a surrogate pair"),
        (["a", "b\udc00"], {"algorithm": "bpe"}, "text 2 has half a surrogate pair"),
        ([Path("nowhere.txt")], {}, "nowhere.txt"),
    ],
)
def test_errors(source, settings, message):
    with pytest.raises(InputError, match=message):
        train_tokenizer(source, **{"algorithm": "wordpiece", "vocab_size": 100, **settings})


def test_minimum_word_count(prose):
    rare = train_tokenizer([*prose, "zyx"], algorithm="word", vocab_size=1000)[0]
    frequent, report = train_tokenizer([*prose, "zyx"], algorithm="word", vocab_size=1000, min_word_count=2)
    assert rare.id("zyx") is not None
    assert frequent.id("zyx") is None
    assert report.words_left_out >= 1


@pytest.mark.parametrize("sentinels", [0, 100])
def test_unigram_names_the_smallest_size(sentinels):
    """Five special tokens, eight letters and ▁, and one piece more: the library stops at no fewer."""
    settings = {"algorithm": "unigram", "heldout_fraction": 0, "sentinels": sentinels}
    for size in range(6, 15):
        with pytest.raises(InputError, match=rf"ask for at least {15 + sentinels}$"):
            train_tokenizer(["abcdefgh ab abc ab"], vocab_size=size + sentinels, **settings)
    assert (
        train_tokenizer(["abcdefgh ab abc ab"], vocab_size=15 + sentinels, **settings)[1].vocab_size == 15 + sentinels
    )


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "byte"])
def test_progress_is_told(prose, kind):
    seen = []
    train_tokenizer(prose * 5, algorithm=kind, vocab_size=sized(kind, 400), progress=lambda *what: seen.append(what))
    assert ("documents", 1000, None) in seen
    assert (kind != "wordpiece") or any(what == "pieces" and total == 395 for what, _, total in seen)


@pytest.mark.parametrize("algorithm", ["wordpiece", "bpe", "char"])
def test_characters_at_the_limit_are_chosen_alike_in_every_process(algorithm):
    """The library's BPE trainer leaves ties at the alphabet's limit to its hash table and reports none of them."""
    texts = ["".join(chr(0x4E00 + place + step) for step in range(20)) + " " for place in range(0, 400, 20)] * 3
    code = (
        "import sys, json; from pretune.tokenizers.train import train_tokenizer;"
        "tokenizer, report = train_tokenizer(json.loads(sys.argv[1]), algorithm=sys.argv[2], vocab_size=900,"
        " max_alphabet=150, heldout_fraction=0); print(tokenizer.fingerprint, report.characters_left_out)"
    )
    given = [sys.executable, "-c", code, json.dumps(texts), algorithm]
    found = {subprocess.run(given, capture_output=True, text=True, check=True).stdout for _ in range(2)}
    # 3 x 400 - 150; for bpe one of the 150 is ▁, for char one is the space and one the line break
    left_out = {"wordpiece": "750", "bpe": "753", "char": "756"}[algorithm]
    assert len(found) == 1 and found.pop().split()[1] == left_out


def test_byte_pairs_know_every_character_they_report():
    """Without spaces between words nearly every word has a character beyond the limit: it is cut there."""
    rng = random.Random(0)
    texts = ["".join(chr(0x4E00 + int(600 * rng.random() ** 3)) for _ in range(30)) for _ in range(200)]
    limits = {"vocab_size": 500, "heldout_fraction": 0}
    tokenizer, report = train_tokenizer(texts, algorithm="bpe", max_alphabet=300, **limits)
    characters = [piece for piece in tokenizer.backend.get_vocab() if len(piece) == 1]
    assert report.characters == len(characters) == 300 and tokenizer.vocab.size == 500
    unknown = sum(tokenizer.id(character) is None for text in texts for character in text)
    assert report.characters_left_out == unknown > 0 and report.words_left_out == 0
    tokenizer, report = train_tokenizer(["abxab", "ab", "x"], algorithm="bpe", max_alphabet=3, **limits)
    assert (report.characters, report.characters_left_out, report.words_left_out) == (3, 2, 1)
    assert {"▁ab", "ab"} <= tokenizer.backend.get_vocab().keys()


def test_characters_include_the_breaks_between_lines():
    """A tokenizer is trained on lines, and a corpus has whole documents: every character of them is known."""
    tokenizer, _ = train_tokenizer(["a truth", "", "a man"], algorithm="char", heldout_fraction=0)
    text = "a man\n\na truth"
    ids = tokenizer.encode(text).span().ids_P.tolist()
    assert tokenizer.vocab.unk_id not in ids
    assert tokenizer.decode(ids) == text
