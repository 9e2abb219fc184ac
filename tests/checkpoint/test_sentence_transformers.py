"""Directories of sentence-transformers: every release's layout is read, what pretune does not compute is named."""

import json

import numpy as np
import pytest

import pretune
from lively import END, byte_level
from pretune.checkpoint.bundle import Bundle
from pretune.checkpoint.sentence_transformers import Vectors, read_vectors, vectors_files
from pretune.core.errors import InputError
from pretune.families.family import HeadSpec
from pretune.tokenizers.tokenizer import Tokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "on", "mat", "dog", "##s", "."]
TINY = {"num_layers": 1, "hidden_size": 32, "attention.num_heads": 2, "feed_forward.intermediate_size": 48}
OLD, NEW = "sentence_transformers.models", "sentence_transformers.sentence_transformer.modules.pooling"


@pytest.fixture
def folder(tmp_path):
    """A model of 512 positions with mean pooling and length 1, as release 2 wrote them."""
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    Bundle.fresh("bert", TINY, Tokenizer.load(tmp_path), seed=1).save(tmp_path / "model")
    (tmp_path / "model" / "pretune.json").unlink()  # nothing of pretune's is left but the weights
    write(tmp_path / "model", vectors_files(Vectors("mean", True), 32, 128))
    return tmp_path / "model"


def write(folder, files):
    for path, value in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(json.dumps(value))


@pytest.mark.parametrize("pooling", ["mean", "row", "max"])
@pytest.mark.parametrize("normalize", [True, False])
def test_what_is_written_is_read(folder, pooling, normalize):
    write(folder, vectors_files(Vectors(pooling, normalize), 32, 128))
    assert read_vectors(folder) == Vectors(pooling, normalize)
    head = Bundle.load(folder).vector_head
    assert (head.pooling, head.normalize) == (pooling, normalize)


@pytest.mark.parametrize(("named", "pooling"), [("cls", "row"), ("mean", "mean"), ("max", "max")])
def test_release_six_is_read(folder, named, pooling):
    write(folder, {"1_Pooling/config.json": {"embedding_dimension": 32, "pooling_mode": named, "include_prompt": True}})
    types = ["sentence_transformers.base.modules.transformer.Transformer", f"{NEW}.Pooling"]
    modules = [{"idx": n, "name": str(n), "path": path, "type": types[n]} for n, path in enumerate(("", "1_Pooling"))]
    write(folder, {"modules.json": modules})
    assert read_vectors(folder) == Vectors(pooling, normalize=False)


LEFT_OUT = {
    "a Dense module": (
        {
            "modules.json": [
                {"path": "", "type": f"{OLD}.Transformer"},
                {"path": "1_Pooling", "type": f"{OLD}.Pooling"},
            ]
            + [{"path": "2_Dense", "type": f"{OLD}.Dense"}]
        },
        "Dense",
    ),
    "two poolings": (
        {"1_Pooling/config.json": {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}},
        "1_Pooling",
    ),
    "another pooling": ({"1_Pooling/config.json": {"pooling_mode": "lasttoken"}}, "1_Pooling"),
    "several named": ({"1_Pooling/config.json": {"pooling_mode": ["mean", "max"]}}, "1_Pooling"),
    "a prompt": (
        {"config_sentence_transformers.json": {"prompts": {"q": "query: "}, "default_prompt_name": "q"}},
        "prompt 'q'",
    ),
    "lower case": ({"sentence_bert_config.json": {"max_seq_length": 128, "do_lower_case": True}}, "lower case"),
    "an encoder elsewhere": (
        {
            "modules.json": [
                {"path": "0_BERT", "type": f"{OLD}.Transformer"},
                {"path": "1_Pooling", "type": f"{OLD}.Pooling"},
            ]
        },
        "0_BERT",
    ),
}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_what_is_not_computed_is_named_and_never_passed_over(folder, tmp_path, what):
    files, named = LEFT_OUT[what]
    write(folder, files)
    loaded = pretune.load(folder)
    assert "embedding" not in loaded.model.heads
    with pytest.raises(InputError, match=named):
        loaded.embed(["the cat"])
    assert loaded.embed(["the cat"], "mean").shape == (1, 32)
    with pytest.raises(InputError, match=named):
        pretune.export(model=folder, format="sentence-transformers", out=tmp_path / "out")
    loaded.save(tmp_path / "saved")
    with pytest.raises(InputError, match=named):
        pretune.load(tmp_path / "saved").embed(["the cat"])
    tuned = Bundle.load(folder, heads=[HeadSpec("embedding")])  # to be trained: its vectors are its own from then on
    assert tuned.vector_head.pooling == "mean" and tuned.no_vector is None


def test_of_a_decoder_beside_an_encoder_it_pools_other_rows(folder, tmp_path):
    """T5's encoder it opens alone."""
    for family, is_same in (("bart", False), ("transformer", False), ("t5", True)):
        model, out = tmp_path / family, tmp_path / f"{family}-out"
        Bundle.fresh(family, TINY, Tokenizer.load(tmp_path), seed=1).save(model)
        if is_same:
            pretune.export(model=model, format="sentence-transformers", out=out)
            assert pretune.load(out).embed(["the cat"]).shape == (1, 32)
            continue
        with pytest.raises(InputError, match="would pool rows of the decoder"):
            pretune.export(model=model, format="sentence-transformers", out=out)
        (model / "pretune.json").unlink()
        write(model, vectors_files(Vectors("mean", True), 32, 128))
        loaded = pretune.load(model)
        with pytest.raises(InputError, match="does not compute: rows of the decoder"):
            loaded.embed(["the cat"])
        assert loaded.embed(["the cat"], "mean").shape == (1, 32)


def test_a_tokenizer_without_padding_gets_its_end_for_it(tmp_path):
    library = pytest.importorskip("sentence_transformers")
    texts = ["the cat", "a good day and the night"]
    Bundle.fresh("gpt2", TINY, Tokenizer(byte_level(), special_tokens={"eos": END}), seed=1).save(tmp_path / "model")
    found = pretune.export(model=tmp_path / "model", format="sentence-transformers", out=tmp_path / "out")
    assert any(f"filled up with {END}" in note for note in found["notes"])
    theirs = library.SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(texts)
    assert np.allclose(theirs, pretune.load(tmp_path / "model").embed(texts), atol=1e-5)
    Bundle.fresh("gpt2", TINY, Tokenizer(byte_level(), special_tokens={}), seed=1).save(tmp_path / "endless")
    with pytest.raises(InputError, match="has no token for it"):
        pretune.export(model=tmp_path / "endless", format="sentence-transformers", out=tmp_path / "other")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not readable as JSON"),
        ("{}", "expected a JSON list"),
        ('["Transformer"]', "is no module"),
        ('[{"type": "a.Transformer"}]', "is no module"),
        ('[{"type": "a.Transformer", "path": "../elsewhere"}]', "not a folder of this directory"),
        ('[{"type": "a.Transformer", "path": ".."}]', "not a folder of this directory"),
    ],
)
def test_broken_modules_are_errors_that_name_the_file(folder, text, message):
    (folder / "modules.json").write_text(text)
    with pytest.raises(InputError, match=f"modules.json: .*{message}"):
        Bundle.load(folder)


def test_the_length_there_cuts_nothing_here(folder):
    """sentence-transformers reads 128 tokens of such a text and drops the rest without a word."""
    loaded = pretune.load(folder)
    text = "the cat sat . " * 60
    whole, start = loaded.embed([text]), loaded.embed([" ".join(text.split()[:126])])
    assert loaded.max_length() == 512 and not np.allclose(whole, start, atol=1e-4)
    assert len(loaded.hidden([text])[0]) == 242
    with pytest.raises(InputError, match="shorten it, or pass truncate=True"):
        loaded.embed([text * 3])


def test_its_files_count_and_not_what_an_earlier_save_says(folder):
    """sentence-transformers keeps unknown keys of config.json when it saves a model with another pooling."""
    config = json.loads((folder / "config.json").read_text())
    heads = {"embedding": {"labels": [], "problem": "single_label_classification", "pooling": "max", "dropout": None}}
    write(folder, {"config.json": config | {"pretune": {"heads": heads}}})
    assert Bundle.load(folder).vector_head.pooling == "mean"
    (folder / "modules.json").unlink()
    assert Bundle.load(folder).vector_head.pooling == "max"


def test_a_damaged_file_of_an_export_is_named(folder, tmp_path):
    pretune.export(model=folder, format="sentence-transformers", out=tmp_path / "out")
    text = (tmp_path / "out/modules.json").read_text()
    (tmp_path / "out/modules.json").write_text(text.replace("Normalize", "Nothing"))
    with pytest.raises(InputError, match="modules.json: damaged"):
        Bundle.load(tmp_path / "out")


def test_export_refuses_what_it_does_not_know(folder, tmp_path):
    with pytest.raises(InputError, match=r"unknown format 'onnx'.*huggingface"):
        pretune.export(model=folder, format="onnx", out=tmp_path / "out")
    result = pretune.export(model=folder, format="huggingface", out=tmp_path / "out")
    assert any("transformers opens this model as BertModel" in note for note in result["notes"])
    assert (tmp_path / "out/model.safetensors").is_file()
    (tmp_path / "out/mine.txt").write_text("keep me")
    with pytest.raises(InputError, match=r"mine.txt, which saving would delete"):
        pretune.export(model=folder, format="sentence-transformers", out=tmp_path / "out")
