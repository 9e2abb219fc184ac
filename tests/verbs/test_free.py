"""A body of our own choices from the command line: pre-trained, compared, fine-tuned, exported."""

import json

import pytest
import transformers

import pretune

STEPS = ["steps=3", "batch_size=4", "valid_samples=4", "max_length=32"]
CHOICES = ["model.position=learned", "model.norm.kind=rms", "model.placement=post", "model.final_norm=false"]


@pytest.fixture(scope="module")
def run(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("free") / "run"
    done = world.command("pretrain", "free-tiny", "--corpus", world.corpus, "--out", out, *STEPS, *CHOICES)
    assert done.status == 0, done.err
    return out


def test_choices_are_in_the_files_and_transformers_is_said_to_have_no_class(world, run, tmp_path):
    told = json.loads((run / "model/config.json").read_text())
    position = {"type": "learned", "max_positions": 1024, "first": 0}
    assert (told["position"], told["norm.kind"], told["placement"], told["final_norm"]) == (
        position,
        "rms",
        "post",
        False,
    )
    exported = world.command("export", "--model", run / "model", "--format", "huggingface", "--out", tmp_path / "for")
    assert "transformers cannot open this model" in exported.out
    refused = world.command(
        "export", "--model", run / "model", "--format", "sentence-transformers", "--out", tmp_path / "vectors"
    )
    assert refused.status == 2 and "cannot open this model" in refused.err and not (tmp_path / "vectors").exists()
    with pytest.raises(ValueError, match="pretune"):
        transformers.AutoConfig.from_pretrained(run / "model")
    assert pretune.load(run / "model").embed(["a text"]).shape == (1, 128)


def test_it_is_fine_tuned_and_its_result_predicts(world, run, tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"a day {n},a\na night {n},b\n" for n in range(8)))
    words = ["--model", run / "model", "--train", tmp_path / "train.csv", "--out", tmp_path / "fine", "epochs=1"]
    done = world.command("finetune", "classify", *words)
    assert done.status == 0, done.err
    (tmp_path / "new.txt").write_text("good day 3\n")
    said = world.command("predict", "classify", "--model", tmp_path / "fine/model", tmp_path / "new.txt")
    assert said.status == 0 and '"label"' in said.out


def test_compare_varies_a_choice_by_its_name(world, tmp_path):
    words = ["--vary", "model.position=rotary,none", "--body", "free-tiny", "--tokens", "3000", "--seeds", "1"]
    settings = ["batch_size=4", "valid_samples=4", "max_length=32"]
    done = world.command("compare", "bert-no-nsp", *words, "--corpus", world.corpus, "--out", tmp_path / "c", *settings)
    assert done.status == 0, done.err
    table = (tmp_path / "c/table.md").read_text()
    assert [word for word in ("rotary", "none") if f"model.position={word}" in table] == ["rotary", "none"]
    wrong = ["model.position=rotary,alibi", *words[2:]]
    refused = world.command(
        "compare", "bert-no-nsp", "--vary", *wrong, "--corpus", world.corpus, "--out", tmp_path / "d"
    )
    assert refused.status == 2 and "unknown model.position 'alibi'" in refused.err
