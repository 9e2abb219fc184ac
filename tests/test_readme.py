"""The README's tour is run as it stands there, on small files; only names and sizes are replaced."""

import gzip
import io
import re
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
DATA = ROOT / "src/pretune/verbs/quickstart_data"
SMALLER = {
    "--model bert-base-uncased": "--model hf",
    "--vocab-size 8000": "--vocab-size 400",
    "modern-mini": "modern-tiny",
    "gpt2-mini": "gpt2-tiny",
    "t5-mini": "t5-tiny",
    "batch_size=32 max_length=128": "batch_size=4 max_length=64",
    "--sentinels 100": "--sentinels 10",
    "--out summaries": "--out summaries epochs=1",
    "new.txt num_beams=4": "new.txt num_beams=2 max_new_tokens=3",
    "seconds=600": "steps=3",
    "epochs=10": "epochs=1",
    "--seeds 5": "--seeds 1 steps=2",
    "--sizes 16,64,256,all": "--sizes 4,all --seeds 1 min_steps=2",
    "bert-no-nsp spanbert electra --corpus": "electra --seeds 1 --body modern-tiny --corpus",
    "--tokens 8000000": "--tokens 4000",
}

WRITTEN = ("glue-scores/report.html", "curve/report.html", "for-others/modules.json", "compared/report.html")


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in fenced if name == language]


def commands() -> list[str]:
    """Every command of the tour that calls pretune, in order."""
    return [line for block in blocks("") for line in block.splitlines() if re.search(r"(^|\| )pretune ", line)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files the tour names."""
    folder = tmp_path_factory.mktemp("tour")
    text = gzip.decompress((DATA / "novels_valid.txt.gz").read_bytes()).decode()
    (folder / "books.txt").write_text("\n\n".join(text.split("\n\n")[:12])[:60_000])
    rows = [f'"a {word} film, really",{label}' for word, label in [("fine", "good"), ("dull", "bad")] * 8]
    for name in ("reviews", "dev", "test"):
        (folder / f"{name}.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    sentences = gzip.decompress((DATA / "ewt_train.conll.gz").read_bytes()).decode().split("\n\n")
    (folder / "train.conll").write_text("\n\n".join(sentences[:20]) + "\n")
    (folder / "test.conll").write_text("\n\n".join(sentences[:10]) + "\n")
    talks = '{"source": "the cat sat down by the door", "target": "a cat sat"}\n'
    for name in ("articles", "articles-test"):
        (folder / f"{name}.jsonl").write_text(talks * 4)
    (folder / "new.txt").write_text("what a film\nso dull\n")
    (folder / "sentences.txt").write_text("one\nand another\n")
    (folder / "queries.txt").write_text("another one\n")
    pairs = [
        f"a {word} film\tthe film was {other}\t{label}"
        for word, other, label in [("fine", "good", 5), ("dull", "big", 1)] * 4
    ]
    for name in ("pairs", "pairs-test"):
        (folder / f"{name}.tsv").write_text("text\ttext_b\tlabel\n" + "\n".join(pairs) + "\n")
    (folder / "blimp").mkdir()
    pair = '{"sentence_good": "the cats sleep .", "sentence_bad": "the cats sleeps .", "UID": "adjunct_island"}\n'
    (folder / "blimp/adjunct_island.jsonl").write_text(pair)
    (folder / "glue/SST-2").mkdir(parents=True)
    for name in ("train", "dev"):
        rows = [f"a {word} film of {name} {number}\t{number % 2}" for number, word in enumerate(["dull", "fine"] * 4)]
        (folder / f"glue/SST-2/{name}.tsv").write_text("sentence\tlabel\n" + "\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> None:
    """Stands for the checkpoint from the hub: a small one that transformers wrote."""
    import transformers
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer()
    tokenizer.train([str(folder / "books.txt")], vocab_size=300, show_progress=False)
    (folder / "hf").mkdir()
    tokenizer.save(str(folder / "hf" / "tokenizer.json"))
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    config = transformers.BertConfig(vocab_size=tokenizer.get_vocab_size(), **sizes)
    transformers.BertForMaskedLM(config).save_pretrained(folder / "hf")


def test_the_tour(
    folder: Path, checkpoint: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pretune.cli.main import app

    monkeypatch.chdir(folder)
    found = commands()
    assert len(found) >= 9
    for original, small in SMALLER.items():
        assert any(original in line for line in found), f"{original} no longer occurs: mend SMALLER"
        found = [line.replace(original, small) for line in found]
    for line in found:
        said, _, command = line.rpartition(" | ")
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(shlex.split(said)[1:]) + "\n"))
        app(shlex.split(command)[1:], standalone_mode=False)
        assert "vectors.npy" in command or capsys.readouterr().out.strip(), line
    for path in (
        "classifier/report.html",
        "run/model/config.json",
        "tagger/card.md",
        "vectors.npy",
        "summaries/card.md",
        *WRITTEN,
    ):
        assert (folder / path).is_file(), path
    (block,) = blocks("python")
    exec(
        compile(block.replace('"classifier"', '"classifier2"').replace("classifier/", "classifier2/"), "README", "exec")
    )


def test_the_two_commands_are_there() -> None:
    targets = re.findall(r"^make (\w+)", "\n".join(blocks("")), re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert targets == ["quickstart", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_tree_is_the_tree() -> None:
    folders = {path.name for path in (ROOT / "src/pretune").iterdir() if (path / "__init__.py").is_file()}
    (tree,) = [block for block in blocks("") if block.startswith("src/pretune/")]
    assert set(re.findall(r"^  (\w+)/ ", tree, re.MULTILINE)) == folders
