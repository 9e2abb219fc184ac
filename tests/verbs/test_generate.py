"""Texts from directories: Pretrained.generate and stream, and `pretune generate` over files and standard input."""

import json

import pytest
import torch
import transformers

import pretune
from lively import END, byte_level, lively
from pretune.core.errors import InputError

PROMPTS = ["the old man", "she", "a good day and the night"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A GPT-2 as a hub serves it."""
    folder = tmp_path_factory.mktemp("gpt2")
    backend = byte_level()
    roles = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END)
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **roles).save_pretrained(folder)
    ids = dict.fromkeys(("bos_token_id", "eos_token_id"), backend.token_to_id(END))
    shape = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
    config = transformers.GPT2Config(vocab_size=backend.get_vocab_size(), **ids, **shape)
    lively(transformers.GPT2LMHeadModel(config)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3, "length_penalty": 0.5}])
def test_texts_are_those_of_transformers(folder, settings):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    wanted = []
    for prompt in PROMPTS:
        inputs = tokenizer(prompt, return_tensors="pt")
        with torch.no_grad():
            out = model.generate(**inputs, max_new_tokens=12, do_sample=False, pad_token_id=0, **settings)
        wanted.append(tokenizer.decode(out[0], skip_special_tokens=True).removeprefix(prompt))
    ours = pretune.load(folder)
    assert ours.generate(PROMPTS, max_new_tokens=12, **settings) == wanted
    assert len(set(wanted)) == 3


def test_generate_and_stream(folder):
    ours = pretune.load(folder)
    (text,) = ours.generate(["she"], max_new_tokens=9)
    assert "".join(ours.stream("she", max_new_tokens=9)) == text
    assert ours.generate([]) == []
    several = ours.generate(PROMPTS, do_sample=True, num_return_sequences=2, max_new_tokens=5)
    assert [len(texts) for texts in several] == [2, 2, 2]
    assert ours.generate(["she"], choices=[" good", " wind"])[0] in (" good", " wind")


@pytest.mark.parametrize(
    ("prompts", "settings", "told"),
    [
        ("she", {}, "give a list of prompts"),
        (["a", ""], {}, "text 1 is empty"),
        (["a", 3], {}, "text 1 is no text: 3"),
        (["a", " man" * 65], {}, "text 1 has 65 pieces and the model takes 64"),
        (["a", " man" * 65000], {}, "text 1 has 65000 pieces and the model takes 64"),
        (["a", " man" * 60], {}, "text 1 has 60 pieces, and the model takes 64 with the 40 of max_new_tokens"),
        (["a"], {"top_k": 3}, "without effect unless do_sample=true"),
        (["a"], {"max_tokens": 3}, "unknown setting 'max_tokens'; did you mean max_new_tokens"),
    ],
)
def test_what_cannot_be_is_refused(folder, prompts, settings, told):
    with pytest.raises(InputError) as error:
        pretune.load(folder).generate(prompts, **settings)
    assert told in str(error.value)


def test_an_encoder_writes_no_text(world):
    result = world.command("generate", "--model", world.bert / "model", stdin="the")
    assert result.status == 2 and "this model writes no text" in result.err


def test_the_command_reads_lines_jsonl_and_files(folder, world, tmp_path):
    ours = pretune.load(folder).generate(PROMPTS, max_new_tokens=4)
    wanted = [
        {"prompt": prompt, "text": text, "ended_by": "length"} for prompt, text in zip(PROMPTS, ours, strict=True)
    ]
    words = ["generate", "--model", folder]
    lines = "".join(f"{prompt}\n" for prompt in PROMPTS)
    assert world.command(*words, "max_new_tokens=4", stdin=lines).lines == wanted
    rows = "".join(json.dumps({"question": prompt, "id": 3}) + "\n" for prompt in PROMPTS)
    named = ["max_new_tokens=4", "columns.text=question"]
    assert world.command(*words, "-", *named, stdin=rows).lines == wanted
    (tmp_path / "prompts.jsonl").write_text(rows)
    out = tmp_path / "texts.jsonl"
    assert world.command(*words, tmp_path / "prompts.jsonl", *named, "--out", out).status == 0
    assert [json.loads(line) for line in out.read_text().splitlines()] == wanted
    streamed = world.command(*words, "--stream", "-", "max_new_tokens=4", stdin=lines)
    assert streamed.out == "".join(f"{text}\n" for text in ours)


def test_beams_and_several_texts_are_told(folder, world):
    words = ["generate", "--model", folder, "-", "max_new_tokens=4", "num_beams=3"]
    (row,) = world.command(*words, stdin="she").lines
    assert row.keys() == {"prompt", "text", "ended_by", "score"}
    (several,) = world.command(*words, "num_return_sequences=2", stdin="she").lines
    assert several.keys() == {"prompt", "texts"} and several["texts"][0] | {"prompt": "she"} == row
    assert several["texts"][0]["score"] > several["texts"][1]["score"]


def test_a_bad_line_is_named_and_those_before_it_are_written(folder, world):
    words = ["generate", "--model", folder, "-", "max_new_tokens=4"]
    long = "she " * 70
    for bad, told in (
        (long, "<stdin>:3: the text has"),
        ("man " * 62, "with the 4 of max_new_tokens"),
        ("", "<stdin>:3: the text is empty"),
    ):
        result = world.command(*words, stdin=f"she\nthe\n{bad}\nshe\n")
        assert result.status == 2 and told in result.err and "(2 results before it were written)" in result.err
        assert len(result.out.splitlines()) == 2
    rows = '{"text": "she"}\n{"words": 3}\n'
    result = world.command(*words, stdin=rows)
    assert result.status == 2 and "<stdin>:2: no 'text'" in result.err and len(result.out.splitlines()) == 1
    streamed = world.command(*words, "--stream", stdin=f"she\n{long}\n")
    assert streamed.status == 2 and "<stdin>:2: the text has" in streamed.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["num_beams=0"], "num_beams: it should be greater than or equal to 1"),
        (["columns.source=a"], "a prompt has one column"),
        (["--stream", "num_beams=2"], "leave num_beams out"),
        (["--stream", "--out", "x"], "leave --out out"),
    ],
)
def test_the_command_refuses_what_cannot_be(folder, world, words, told):
    result = world.command("generate", "--model", folder, "-", *words, stdin="she")
    assert result.status == 2 and told in result.err


def test_settings_are_listed(world):
    found = world.command("settings", "generate", "--json").json()
    assert found["max_new_tokens"]["default"] == 40 and found["stop_strings"]["description"]
