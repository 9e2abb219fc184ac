"""Sentinels from the command line: asked for when the tokenizer is trained, counted, and told by --help."""

from pretune.tokenizers.tokenizer import Tokenizer


def test_a_tokenizer_with_sentinels(world, tmp_path):
    (tmp_path / "text.txt").write_text("a good day , she said .\n" * 50, "utf-8")
    words = ["tokenizer", "train", tmp_path / "text.txt", "--algorithm", "byte", "--out", tmp_path / "tokenizer"]
    told = world.command(*words, "--sentinels", 7, "--json").json()
    vocab = Tokenizer.load(tmp_path / "tokenizer").vocab
    assert told["vocab_size"] == vocab.size == 5 + 256 + 7
    assert vocab.sentinel_ids == tuple(range(267, 260, -1))
    assert "--sentinels" in world.command("tokenizer", "train", "--help").out
    refused = world.command(*words, "--sentinels", -1)
    assert refused.status == 2 and "sentinels is -1: give 0 or more" in refused.err
