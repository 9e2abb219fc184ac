"""Whatever is wrong with a request is said in one line on standard error, with what to do, and the exit status is 2."""

import pytest

TEXTS = {
    "empty.txt": b"",
    "blank.txt": b"\n\n",
    "nul.txt": b"some\nwith \x00 byte\n",
    "latin.txt": "caf\xe9\n".encode("latin-1"),
    "one.csv": b"text,label\na good day,pos\n",
    "columns.csv": b"sentence,gold\na,pos\nb,neg\n",
    "mixed.jsonl": b'{"text":"a","label":1}\n{"text":"b","label":"x"}\n{"text":"c","label":2}\n',
    "unseen.csv": b"text,label\na,good\nb,other\n",
    "ragged.csv": b"text,label\na,b,c\n",
    "json.jsonl": b'{"text":"a","label":1}\n{oops\n',
    "nan.csv": b"text,label\na,nan\nb,2\n",
    "ragged.conll": b"a\tO\nb\n\n",
    "bad.yaml": b"settings: [1,2\n",
}


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    for name, content in TEXTS.items():
        (folder / name).write_bytes(content)
    (folder / "folder").mkdir()
    (folder / "garbage").mkdir()
    (folder / "garbage" / "config.json").write_text("{")
    (folder / "onedoc.txt").write_text("This is a sentence. " * 500)
    return folder


def refused(result, *parts):
    assert result.status == 2, result.err
    assert result.out == ""
    (line,) = [line for line in result.err.splitlines() if line.startswith("pretune: ")]
    assert result.err.strip().endswith(line.strip())
    assert "Traceback" not in result.err
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    "file, part",
    [
        ("empty.txt", "empty"),
        ("blank.txt", "empty"),
        ("nul.txt", ":2: NUL byte"),
        ("latin.txt", ":1: invalid UTF-8"),
        ("folder", "folder"),
        ("nothere.txt", "no such file"),
    ],
)
def test_text(world, bad, tmp_path, file, part):
    size = ["--algorithm", "bpe", "--vocab-size", 100]
    refused(world.command("tokenizer", "train", bad / file, *size, "--out", tmp_path / "t"), file)
    build = world.command("corpus", "build", bad / file, "--tokenizer", world.tokenizer, "--out", tmp_path / "c")
    refused(build, file, part if file != "folder" else "not a file")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words, part",
    [
        (["modern-huge"], "unknown size of modern, 'huge'"),
        (["brt"], "did you mean bert or bart or albert?"),
        (["optimizer.lrr=3"], "did you mean optimizer.lr"),
        (["optimizer.lr=-1"], "optimizer.lr: it should be greater than 0 (got -1)"),
        (["steps=0"], "steps: "),
        (["steps=1", "epochs=1"], "pretune: steps and epochs are both given: give one of them"),
        (["steps"], "unknown recipe 'steps'"),
        (["max_length=3", "steps=1"], "max_length is 3"),
        (["bert-tiny", "max_length=1000", "steps=1"], "more than the model's 512"),
        (["bert-tiny", "max_length=64"], "short_length 128 is not below max_length 64"),
        (["objective.masking_rate=2"], "objective.*: masking_rate is 2"),
        (["objective.masking_rate=foo"], "objective.*: masking_rate: "),
        (["objective.mask_rate=1"], "did you mean masking_rate"),
        (["model.num_layer=3"], "did you mean num_layers"),
        (["--threads", "0"], "threads"),
        (["--init", "./nothere"], "nothere"),
        (["--init", "{bad}/garbage"], "config.json"),
        (["--config", "{bad}/bad.yaml"], "bad.yaml:2: not plain YAML"),
        (["--config", "{bad}/nothere.yaml"], "nothere.yaml: "),
    ],
)
def test_pretraining(world, bad, tmp_path, words, part):
    words = [word.format(bad=bad) for word in words]
    result = world.command("pretrain", *words, "--corpus", world.corpus, "--out", tmp_path / "run")
    refused(result, part)
    assert not (tmp_path / "run" / "run.yaml").exists()


def test_corpora_that_do_not_do(world, bad, tmp_path):
    def build(file, fraction):
        out = tmp_path / f"corpus{fraction}"
        words = ["--tokenizer", world.tokenizer, "--out", out, "--valid-fraction", fraction]
        assert world.command("corpus", "build", file, *words).status == 0
        return ["--corpus", out, "--out", tmp_path / "run", "steps=1", "max_length=32"]

    refused(
        world.command("pretrain", "bert-tiny", *build(bad / "onedoc.txt", 0.1), "short_length=null"), "two documents"
    )
    refused(world.command("pretrain", "modern-tiny", *build(bad / "onedoc.txt", 0)), "no split 'valid'")
    refused(world.command("pretrain", "modern-tiny", "--corpus", world.tokenizer, "--out", tmp_path / "x"), "no corpus")


@pytest.mark.parametrize(
    "task, file, words, part",
    [
        ("classify", "empty.txt", [], "empty"),
        ("classify", "folder", [], "folder"),
        ("classify", "one.csv", [], "nothing to learn"),
        ("classify", "columns.csv", [], "label is missing"),
        ("classify", "mixed.jsonl", [], ":2: mixed label types"),
        ("classify", "ragged.csv", [], ":2: wrong number of cells"),
        ("classify", "json.jsonl", [], ":2: invalid JSON"),
        ("regress", "nan.csv", [], "not a finite number"),
        ("tag", "ragged.conll", [], ":2: "),
        ("tag", None, [], "tags are missing"),
        ("pair", None, [], "text_b"),
        ("sort", None, [], "unknown task 'sort'"),
        ("classify", None, ["--test", "{bad}/unseen.csv"], "'other' (1 times"),
        ("classify", None, ["epochs=0"], "epochs: it should be greater than 0"),
        ("classify", None, ["task.metric=foo"], "unknown metric 'foo'"),
        ("classify", None, ["task.metrik=f1"], "did you mean metric"),
        ("classify", None, ["task.label_smoothing=x"], "label_smoothing: "),
        ("classify", None, ["adapt=foo"], "unknown adaptation"),
        ("classify", None, ["max_length=2"], "max_length=2"),
        ("classify", None, ["max_length=100000"], "more than the model's"),
        ("classify", None, ["patience=2"], "--valid"),
        ("classify", None, ["columns.text=foo"], "no column 'foo'"),
        ("classify", None, ["--config", "{run}"], "is of pretune pretrain"),
    ],
)
def test_finetuning(world, bad, tmp_path, task, file, words, part):
    words = [word.format(bad=bad, run=world.modern / "run.yaml") for word in words]
    train = world.file("classify") if file is None else bad / file
    model = ["--model", world.modern / "model", "--train", train, "--out", tmp_path / "run"]
    refused(world.command("finetune", task, *model, *words), part)
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize(
    "words, stdin, part",
    [
        (["fill"], b"no blank", "<stdin>:1: "),
        (["fill", "--top-k", "0"], b"a [MASK]", "top_k is 0"),
        (["embed"], b"with \x00\na\n", "<stdin>:1: NUL byte"),
        (["embed"], "caf\xe9".encode("latin-1"), "<stdin>:1: invalid UTF-8"),
        (["embed", "--pooling", "foo"], b"a", "unknown pooling"),
        (["embed", "nothere.txt"], b"", "no such file"),
        (["predict", "classify"], b"a", "no head for a task"),
    ],
)
def test_using_models(world, words, stdin, part):
    refused(world.command(*words, "--model", world.modern / "model", stdin=stdin), part)


def test_a_directory_that_holds_something_else_is_left_alone(world, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    (tmp_path / "file").write_text("precious")
    for out in (tmp_path / "mine", tmp_path / "file"):
        size = ["--algorithm", "bpe", "--vocab-size", 300, "--out", out]
        refused(world.command("tokenizer", "train", world.file("classify"), *size), str(out))
        refused(world.command("pretrain", "modern-tiny", "--corpus", world.corpus, "--out", out, "steps=1"), str(out))
        refused(world.finetune("classify", out), str(out))
    refused(world.finetune("classify", world.modern), "of pretune pretrain")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_another_request_leaves_a_run_as_it_was(world):
    before = (world.modern / "run.yaml").read_bytes()
    words = ["--corpus", world.corpus, "--out", world.modern, "steps=30"]
    refused(world.command("pretrain", "modern-tiny", *words), "steps was 20 and is now 30")
    assert (world.modern / "run.yaml").read_bytes() == before


def test_a_place_that_cannot_be_written_is_refused(world, tmp_path):
    words = ["--algorithm", "char", "--vocab-size", 300, "--out", "/proc/nothere"]
    result = world.command("tokenizer", "train", world.file("classify"), *words)
    assert result.status == 2 and "Traceback" not in result.err and "/proc" in result.err
    result = world.command("pretrain", "modern-tiny", "--corpus", world.corpus, "--out", "/proc/nothere", "steps=1")
    assert result.status == 2 and "Traceback" not in result.err and "/proc/nothere" in result.err


def test_divergence_is_a_failed_run(world, tmp_path):
    words = ["--corpus", world.corpus, "--out", tmp_path / "run", "steps=3", "batch_size=4", "optimizer.lr=1e30"]
    result = world.command("pretrain", "modern-tiny", *words, "valid_samples=2", "optimizer.name=adamw")
    assert result.status == 1 and "finite" in result.err and "Traceback" not in result.err


def test_torchrun_starts_only_what_shares_its_work(world, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for command in (["quickstart", "--out", str(tmp_path / "q")], ["corpus", "verify", str(tmp_path)]):
        refused(world.command(*command), "torchrun started 2 processes", f"`pretune {command[0]}`", "without torchrun")
    assert not list(tmp_path.iterdir())
