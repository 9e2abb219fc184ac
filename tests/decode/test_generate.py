"""Batches, draws, forced beginnings, choices, stop strings and streams, on random models."""

import dataclasses

import pytest
import tokenizers
import torch

from lively import lively
from pretune.core.continuation import opening
from pretune.core.errors import InputError
from pretune.core.pack import pack
from pretune.decode import generate
from pretune.decode.scores import forbid_repeated_ngrams
from pretune.decode.settings import Generation
from pretune.decode.texts import as_it_comes, closed, cut_at, text_after
from pretune.families.family import open_family
from pretune.nn.model import Model
from pretune.tokenizers.tokenizer import Tokenizer

ENDS = (2, *range(40, 300, 13))


def texts(found):
    return [[text.text for text in each] for each in found]


def ids(found):
    return [[text.ids for text in each] for each in found]


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}, {"do_sample": True, "num_return_sequences": 2}])
def test_a_text_is_the_same_whatever_else_is_in_the_batch(decoder, lab, settings, monkeypatch):
    given = {"max_new_tokens": 16, "borders": lab.Borders(ENDS), **settings}
    together = ids(lab.ours(decoder, **given))
    assert len({len(text) for each in together for text in each}) > 2  # some end early
    alone = [ids(lab.ours(decoder, [prompt], **given))[0] for prompt in lab.PROMPTS]
    assert together == alone
    assert ids(lab.ours(decoder, lab.PROMPTS[::-1], **given)) == together[::-1]
    monkeypatch.setattr(generate, "TOKENS_AT_ONCE", 60)
    assert ids(lab.ours(decoder, **given)) == together


@pytest.mark.parametrize("first", range(40, 52, 3))
def test_prompts_may_be_over_in_any_order(decoder, lab, first):
    """Beams of long prompts and of short ones leave the cache early; the others go on as if alone."""
    given = {"max_new_tokens": 16, "num_beams": 3, "early_stopping": True}
    given["borders"] = lab.Borders(tuple(range(first, 300, 13)))
    prompts = [" ".join(lab.PROMPTS)[:size] for size in (9, 25, 50, 70)]
    together = ids(lab.ours(decoder, prompts, **given))
    assert together == [ids(lab.ours(decoder, [prompt], **given))[0] for prompt in prompts]


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}, {"do_sample": True, "num_return_sequences": 2}])
def test_a_text_beside_an_encoder_is_the_same_whatever_else_is_in_the_batch(two_stacks, lab, settings):
    given = {"max_new_tokens": 10, "no_repeat_ngram_size": 1, "borders": lab.Borders(ENDS), **settings}
    together = ids(lab.ours(two_stacks, **given))
    assert together == [ids(lab.ours(two_stacks, [prompt], **given))[0] for prompt in lab.PROMPTS]
    assert len({each[0] for each in together}) > 2


def test_a_forced_beginning_and_choices_beside_an_encoder_follow_what_stands_before_answers(two_stacks, lab):
    read = []
    prefill = type(two_stacks.model.body).prefill

    def told(body, batch, room):
        read.append(batch.target.ids_T.tolist())
        return prefill(body, batch, room)

    start, pieces = two_stacks.template.start_id, two_stacks.pieces
    before = [start, *([pieces.special_ids["cls"]] if two_stacks.writer.lead else [])]
    borders = lab.Borders((pieces.special_ids["eos"],), first_id=44)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(two_stacks.model.body), "prefill", told)
        (beginning,) = lab.ours(two_stacks, ["she"], prefix="it was", max_new_tokens=4, borders=borders)
        (chosen,) = lab.ours(two_stacks, ["she"], choices=("good", "night"), borders=borders)
        lab.ours(two_stacks, ["she"], max_new_tokens=4, borders=borders)
    assert read == [[*before, *pieces.encode("it was").ids_P.tolist()], before, [start]]
    assert beginning[0].text.startswith("it was") and beginning[0].ids[0] != 44
    assert chosen[0].text in ("good", "night") and chosen[0].ended_by == "end"


def test_draws_of_a_prompt_differ_and_depend_on_the_seed(decoder, lab):
    given = {"max_new_tokens": 12, "do_sample": True, "num_return_sequences": 4}
    first, again, other = (ids(lab.ours(decoder, seed=seed, **given)) for seed in (1, 1, 2))
    assert first == again != other
    assert all(len(set(each)) == 4 for each in first)
    fewer = ids(lab.ours(decoder, seed=1, **{**given, "num_return_sequences": 2}))
    assert fewer == [each[:2] for each in first]


def test_rows_of_ended_texts_leave_the_cache(decoder, lab, monkeypatch):
    sizes = []
    step = type(decoder.model.body).step

    def counted(body, ids_N, cache):
        sizes.append(len(ids_N))
        return step(body, ids_N, cache)

    monkeypatch.setattr(type(decoder.model.body), "step", counted)
    warm = {"do_sample": True, "temperature": 3.0, "num_return_sequences": 4}
    lab.ours(decoder, max_new_tokens=20, borders=lab.Borders(ENDS), **warm)
    assert sizes[0] >= 15 and sizes[-1] <= 10 and sizes == sorted(sizes, reverse=True)


def test_how_a_text_ended_is_told(decoder, lab):
    (one,) = lab.ours(decoder, ["the old man"], max_new_tokens=8, borders=lab.Borders())
    assert one[0].ended_by == "length" and len(one[0].ids) == 8
    end = one[0].ids[3]
    for more in ({}, {"num_beams": 2, "length_penalty": -9.0}):
        (found,) = lab.ours(decoder, ["the old man"], max_new_tokens=8, borders=lab.Borders((end,)), **more)
        assert found[0].ended_by == "end" and end not in found[0].ids
    assert one[0].ids.index(end) == len(lab.ours(decoder, ["the old man"], borders=lab.Borders((end,)))[0][0].ids)
    assert lab.ours(decoder, ["she"], max_new_tokens=1)[0][0].ended_by == "length"


def test_forced_tokens_of_a_models_files(decoder, lab):
    borders = lab.Borders(end_ids=(9,), first_id=44, last_id=9)
    for more in ({}, {"num_beams": 3}, {"do_sample": True}):
        for text, *_ in lab.ours(decoder, max_new_tokens=6, borders=borders, **more):
            assert text.ids[0] == 44 and 9 not in text.ids and text.ended_by == "end"


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}, {"do_sample": True}])
def test_a_forced_beginning_is_what_a_longer_prompt_gives(decoder, lab, settings):
    prefix = " and the"
    found = lab.ours(decoder, max_new_tokens=6, prefix=prefix, **settings)
    longer = lab.ours(decoder, [prompt + prefix for prompt in lab.PROMPTS], max_new_tokens=6, **settings)
    assert ids(found) == ids(longer)
    assert texts(found) == [[prefix + text for text in each] for each in texts(longer)]


@pytest.mark.parametrize("settings", [{}, {"num_beams": 2}, {"num_beams": 6, "num_return_sequences": 3}])
@pytest.mark.parametrize("ends", [(0,), ()])
def test_only_choices_are_written(decoder, lab, settings, ends):
    choices = (" good", " good day", " night") if ends else (" good day", " old", " night")
    found = lab.ours(decoder, choices=choices, borders=lab.Borders(ends), **settings)
    for each in texts(found):
        assert len(each) == settings.get("num_return_sequences", 1) and len(set(each)) == len(each)
        assert set(each) <= set(choices)
    assert all(text.ended_by == "end" for each in found for text in each)
    drawn = lab.ours(decoder, choices=choices, borders=lab.Borders(ends), do_sample=True, num_return_sequences=40)
    assert all(set(each) <= set(choices) for each in texts(drawn))
    assert len({text for each in texts(drawn) for text in each}) > 1


def test_beams_as_many_as_choices_find_the_most_probable_one(decoder, lab):
    """Scored one by one, by the logits of each choice read as a whole."""
    choices = (" good", " good day", " night", " wind of")
    end = decoder.pieces.special_ids["eos"]
    given = {"choices": choices, "num_beams": 4, "length_penalty": 0.0, "num_return_sequences": 4}
    found = lab.ours(decoder, borders=lab.Borders((end,)), **given)
    for prompt, ranked in zip(lab.PROMPTS, found, strict=True):
        scores = {}
        for choice in choices:
            both = [*decoder.pieces.encode(prompt).ids_P.tolist(), *decoder.pieces.encode(choice).ids_P.tolist(), end]
            (whole,) = lab.examples(decoder, [prompt])
            start = whole.num_tokens
            batch = pack([generate.forced(whole, both[start:-1])]).to("cpu")
            with torch.inference_mode():
                hidden_TD = decoder.model.body(batch)
                log_probs_TV = decoder.model.heads["lm"](hidden_TD.unsqueeze(1), None).log_softmax(-1)
            scores[choice] = sum(float(log_probs_TV[at - 1, both[at]]) for at in range(start, len(both)))
        assert [text.text for text in ranked] == sorted(choices, key=lambda choice: -scores[choice])
        assert [text.score for text in ranked] == pytest.approx(sorted(scores.values(), reverse=True), abs=1e-4)


@pytest.mark.parametrize("settings", [{}, {"num_beams": 2}, {"do_sample": True}])
def test_a_stop_string_ends_a_text_and_is_no_part_of_it(decoder, lab, settings):
    whole = lab.ours(decoder, max_new_tokens=20, borders=lab.Borders(), **({} if "num_beams" in settings else settings))
    for prompt, (text,) in zip(lab.PROMPTS, whole, strict=True):
        stop = text.text[5:7]
        (found,) = lab.ours(
            decoder, [prompt], max_new_tokens=20, borders=lab.Borders(), stop_strings=("#never#", stop), **settings
        )
        if "num_beams" in settings:
            assert stop not in found[0].text
            continue
        assert found[0].text == text.text[: text.text.index(stop)] and found[0].ended_by == "stop_string"
        assert len(found[0].ids) < 20 and found[0].ids == text.ids[: len(found[0].ids)]


@pytest.mark.parametrize("settings", [{}, {"do_sample": True, "seed": 5}, {"prefix": " it was"}])
def test_a_stream_is_the_text_in_parts(decoder, lab, settings):
    for prompt, (text,) in zip(lab.PROMPTS, lab.ours(decoder, max_new_tokens=25, **settings), strict=True):
        for stops in ((), (text.text[6:9],)):
            wanted = lab.ours(decoder, [prompt], max_new_tokens=25, stop_strings=stops, **settings)[0][0].text
            (example,) = lab.examples(decoder, [prompt])
            parts = list(decoder.writer.stream(example, Generation(max_new_tokens=25, stop_strings=stops, **settings)))
            assert "".join(parts) == wanted and (len(parts) > 3 or len(wanted) < 12) and "" not in parts


def test_a_stream_comes_as_it_is_written(decoder, lab, monkeypatch):
    steps = []
    step = type(decoder.model.body).step
    monkeypatch.setattr(type(decoder.model.body), "step", lambda *given: steps.append(1) or step(*given))
    (example,) = lab.examples(decoder, ["the old man"])
    stream = decoder.writer.stream(example, Generation(max_new_tokens=30))
    next(stream)
    assert len(steps) < 8
    stream.close()
    with pytest.raises(InputError, match="leave num_beams out"):
        next(decoder.writer.stream(example, Generation(num_beams=2)))


def test_parts_hold_back_what_is_not_whole():
    bytes_of = ["a", "a�", "aé", "aé �"]
    assert list(as_it_comes(iter(bytes_of))) == ["a", "é", " ", "�"]
    assert list(as_it_comes(iter(["a", "a\n", "a\nQ"]), ["\nQ:"])) == ["a", "\nQ"]
    assert list(as_it_comes(iter(["a", "a\n", "a\nQ", "a\nQ: b", "never"]), ["\nQ:"])) == ["a"]
    assert list(as_it_comes(iter(["ab", "abab", "ababc"]), ["abc"])) == ["ab"]
    assert cut_at("ab", ["c", "b", "ab"]) == ""


def bytes_in_a_row():
    """Of Llama's kind: what has no piece is written byte by byte."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "▁a", "▁b"]
    model = tokenizers.models.BPE({piece: n for n, piece in enumerate(pieces)}, [("▁", "a"), ("▁", "b")],
                                  unk_token="<unk>", byte_fallback=True)  # fmt: skip
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = tokenizers.normalizers.Replace(" ", "▁")
    parts = [tokenizers.decoders.Replace("▁", " "), tokenizers.decoders.ByteFallback(), tokenizers.decoders.Fuse()]
    backend.decoder = tokenizers.decoders.Sequence(parts)
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    return Tokenizer(backend, special_tokens={"unk": "<unk>", "bos": "<s>", "eos": "</s>"})


def test_a_stream_waits_for_what_bytes_in_a_row_mean(lab):
    """One byte more may make another text of all that stand before it."""
    pieces = bytes_in_a_row()
    ids, space_a = [3 + byte for byte in "字".encode()], pieces.id("▁a")
    assert closed(pieces, [space_a, *ids]) == 1 and closed(pieces, [*ids, space_a]) == 4 and closed(pieces, ids) == 0
    assert closed(pieces, [space_a, *ids, 2]) == closed(pieces, [space_a, *ids, 999]) == 1  # they have no text
    pair = lab.random_decoder(pieces)
    (example,) = lab.examples(pair, ["a b"])
    for seed in range(30):
        given = {"max_new_tokens": 12, "do_sample": True, "seed": seed}
        stream = pair.writer.stream(example, Generation(**given))
        assert "".join(stream) == lab.ours(pair, ["a b"], **given)[0][0].text


def test_text_joins_what_stands_before_it(decoder):
    pieces = decoder.pieces
    whole = pieces.encode("the old man said é")
    for place in range(len(whole.ids_P)):
        before, after = whole.ids_P[:place].tolist(), whole.ids_P[place:].tolist()
        if "�" not in pieces.decode(before):
            assert pieces.decode(before) + text_after(pieces, before, after) == "the old man said é"


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_text_joins_pieces_that_mean_something_else_alone(kind):
    """A word goes on without a space, and a new one has a space."""
    if kind == "wordpiece":
        backend = tokenizers.Tokenizer(tokenizers.models.WordPiece({"[UNK]": 0, "day": 1, "##s": 2, "good": 3}))
        backend.decoder = tokenizers.decoders.WordPiece()
    else:
        pieces = [("<unk>", 0.0), ("▁day", -1.0), ("s", -1.0), ("▁good", -1.0)]
        backend = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=0))
        backend.decoder = tokenizers.decoders.Metaspace()
    tokenizer = Tokenizer(backend, special_tokens={})
    assert text_after(tokenizer, [3, 1], [2]) == "s"
    assert text_after(tokenizer, [3], [1, 2]) == " days"
    assert text_after(tokenizer, [], [1]) == "day"


def test_what_cannot_be_is_refused(decoder, small, lab):
    with pytest.raises(generate.PromptError, match="text 1 has 60 pieces, and the model takes 64 with the 6") as error:
        lab.ours(decoder, ["the", " man" * 60, "she"], max_new_tokens=6)
    assert error.value.number == 1
    assert len(lab.ours(decoder, [" man" * 60], max_new_tokens=5, borders=lab.Borders())[0][0].ids) == 5
    with pytest.raises(InputError, match="max_new_tokens is 1 and the longest of the choices needs"):
        lab.ours(decoder, choices=(" good day",), max_new_tokens=1)
    for more in ({}, {"num_beams": 2}, {"do_sample": True}):
        with pytest.raises(InputError, match="no token is left that may be written: no_repeat_ngram_size=1 forbids"):
            lab.ours(small, ["abc"], max_new_tokens=20, no_repeat_ngram_size=1, borders=lab.Borders(), **more)
    decoder.model.train()
    try:
        with pytest.raises(ValueError, match="training mode"):
            lab.ours(decoder)
    finally:
        decoder.model.eval()
    assert lab.ours(decoder, []) == []


def test_a_model_without_a_language_model_is_refused(decoder):
    headless = dataclasses.replace(decoder.writer).model.__class__(decoder.model.body, {})
    with pytest.raises(InputError, match="writes no text"):
        generate.Writer.of(headless, decoder.pieces, decoder.template, {}, 64)


def test_borders_come_from_the_family_and_the_files(decoder):
    template, vocab = decoder.template, decoder.pieces.vocab
    end, rows = decoder.pieces.special_ids["eos"], vocab.size + 4
    assert generate.borders_of(template, vocab, {}, rows).end_ids == (end,)
    kept = {"eos_token_id": [end, 7], "forced_bos_token_id": 3, "forced_eos_token_id": end}
    borders = generate.borders_of(template, vocab, kept, rows)
    assert (borders.end_ids, borders.first_id, borders.last_id) == ((end, 7), 3, end)
    endless = dataclasses.replace(vocab, eos_id=None, sep_id=None)
    assert generate.borders_of(template, endless, {}, rows).end_ids == ()
    for bad in (
        {"eos_token_id": "x"},
        {"forced_bos_token_id": rows},
        {"eos_token_id": [end, -1]},
        {"bad_words_ids": [7]},
    ):
        with pytest.raises(InputError, match=f"{min(bad)} is .*: expected (lists of )?ids"):
            generate.borders_of(template, vocab, bad, rows)


def test_an_end_that_no_row_has_is_none(decoder):
    """transformers' GPT2Config has 50256 by default, whatever its vocabulary."""
    template, vocab = decoder.template, dataclasses.replace(decoder.pieces.vocab, eos_id=None, sep_id=None)
    rows = vocab.size + 4
    assert generate.borders_of(template, vocab, {"eos_token_id": 50_256}, rows).end_ids == ()
    assert generate.borders_of(template, vocab, {"eos_token_id": [rows, rows - 1]}, rows).end_ids == (rows - 1,)


CAUSAL, PREFIX = {"attention.causal": True}, {"attention.prefix": True}


@pytest.mark.parametrize(("name", "changes"), [("bert", CAUSAL), ("bert", PREFIX), ("modern", PREFIX), ("llama", {})])
def test_any_body_that_writes_goes_on_as_if_it_read_all_anew(name, changes, lab):
    """Greedily, each token from the whole read again: prompts seen from both sides (prefix LM) among them."""
    pieces = lab.pieces_with_specials()
    family = open_family(name)
    body = lively(family.build(family.config("tiny", len(pieces), **changes), seed=1))
    model = Model(body, {"lm": family.head("lm", body)}).eval()
    writer = generate.Writer.of(model, pieces, family.template(pieces.special_ids), {}, 64)
    spans = [pieces.encode(prompt).span() for prompt in lab.PROMPTS]
    examples = [opening(span, family.template(pieces.special_ids)) for span in spans]
    found = writer.write(examples, Generation(max_new_tokens=8, no_repeat_ngram_size=1))
    assert len({texts[0].ids for texts in found}) > 1
    for example, (text,) in zip(examples, found, strict=True):
        written = []
        for _ in text.ids:
            whole = generate.forced(example, written)
            with torch.inference_mode():
                hidden_TD = body(pack([whole]).to("cpu"))
                scores_1V = model.heads["lm"](hidden_TD[-1:].unsqueeze(1), None)
            scores_1V = forbid_repeated_ngrams(scores_1V, [whole.source.ids_T.tolist()], 1)
            written.append(int(scores_1V.argmax()))
        assert tuple(written) == text.ids
