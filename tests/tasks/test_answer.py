"""Extractive question answering: offsets, windows, loss and candidates beside plain versions, and the threshold."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.core.pack import pack
from pretune.tasks.answer import answer
from pretune.tasks.contexts import owners, read_context, windows
from pretune.tasks.run import evaluate_task
from pretune.tasks.sliding_window import best_span, best_spans, words_of
from pretune.tasks.source import TaskSource
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Backend, Tokenizer

CHARS = "abcdefghijklmnopqrstuvwxyz日本ßø"


def make_tokenizer(normalizer=None, pre=None):
    """Pieces of one letter: a word of any letters has many."""
    pieces = ["[UNK]", "[CLS]", "[SEP]", *CHARS, *(f"##{char}" for char in CHARS), *".,-!?'"]
    backend = Backend(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer = normalizer or normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre or pre_tokenizers.BertPreTokenizer()
    return Tokenizer(backend)


LETTERS = make_tokenizer()
TEMPLATE = Template(LETTERS.special_ids)
HEAD = "answer"


def record_of(context, question, *answers, **more):
    found = [{"text": text, "start": context.index(text)} for text in answers]
    return Record({"context": context, "question": question, "answers": found} | more, "dev.json", 3)


def oracle(example):
    """Logits of a model that is sure of what it was taught; windows that point to [CLS] are below others."""
    targets = pack([example]).predict[HEAD]
    return {HEAD: torch.from_numpy(20.0 * targets.gold_M)}


words = st.lists(
    st.sampled_from([*"abcXYZßø", "é", "e\u0301", "n\u0303", "Å", "u\u0308\u0304", "ñ"]), min_size=1, max_size=6
).map("".join)
gaps = st.sampled_from([" ", "  ", " \t", "\n", "\u00a0", " - ", ", ", " 🙂 ", " 日", "! "])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_answers_come_back_character_by_character(data):
    """Accents stripped or composed, characters of several bytes, white space of any kind, windows of any size."""
    parts = data.draw(st.lists(st.tuples(words, gaps), min_size=2, max_size=9))
    first = data.draw(st.integers(0, len(parts) - 1))
    last = data.draw(st.integers(first, min(len(parts) - 1, first + 2)))
    context = "".join(word + gap for word, gap in parts)
    start = sum(len(word + gap) for word, gap in parts[:first])
    end = sum(len(word + gap) for word, gap in parts[:last]) + len(parts[last][0])
    gold = [{"text": context[start:end], "start": start}]
    record = Record({"context": context, "question": "ab", "answers": gold})
    length = data.draw(st.sampled_from([64, 128, 400]))
    task = answer(max_answer=60).fit_labels([record])
    example = task.featurize(record, LETTERS, TEMPLATE, length)
    if not example.predict[HEAD].gold_M.argmax(0).any():
        assert length == 64, "no window holds the answer whole"
        return
    found = task.decode(oracle(example), pack([example]), [record])[0]
    assert (found["answer"], found["start"], found["end"]) == (context[start:end], start, end)
    assert found["score"] > 0.9


@pytest.mark.parametrize(("num_pieces", "room", "stride"), [(1, 1, 1), (9, 4, 2), (9, 4, 100), (50, 7, 3), (23, 22, 5)])
def test_windows_cover_overlap_and_own(num_pieces, room, stride):
    parts = windows(num_pieces, room, stride)
    assert parts[0][0] == 0 and parts[-1][1] == num_pieces
    assert {end - start for start, end in parts} == {min(room, num_pieces)}
    for (start, end), (following, _) in zip(parts, parts[1:], strict=False):
        assert start < following <= start + min(stride, max(1, room // 2)) and following < end
    owned = owners(parts)
    assert [piece for start, end in owned for piece in range(start, end)] == list(range(num_pieces))
    for piece in range(num_pieces):
        contexts = [min(piece - start, end - 1 - piece) for start, end in parts]
        (owner,) = [window for window, (start, end) in enumerate(owned) if start <= piece < end]
        assert contexts[owner] == max(contexts)
        assert parts[owner][0] <= piece < parts[owner][1]


def long_record():
    return record_of("ab cde f gh. Ijk lm nop q rs tuv wx", "who ab", "lm nop")


def test_a_long_context_is_several_sequences_of_one_example():
    task = answer(stride=4).fit_labels([long_record()])
    example = task.featurize(long_record(), LETTERS, TEMPLATE, 18)
    question = LETTERS.encode("who ab").ids_P.tolist()
    context = LETTERS.encode(long_record()["context"]).ids_P.tolist()
    parts = windows(len(context), 18 - 3 - len(question), 4)
    assert len(parts) > 2 and len(example.source.lengths_N) == len(parts) and example.num_cut == 0
    cls, sep = LETTERS.special_ids["cls"], LETTERS.special_ids["sep"]
    expected = [[cls, *question, sep, *context[start:end], sep] for start, end in parts]
    assert example.source.ids_T.tolist() == sum(expected, [])
    targets = example.predict[HEAD]
    rows = [[0, *range(len(question) + 2, len(question) + 2 + end - start)] for start, end in parts]
    offsets = np.cumsum([0] + [len(ids) for ids in expected[:-1]])
    assert targets.at_MK[:, 0].tolist() == [
        row + offset for part, offset in zip(rows, offsets, strict=True) for row in part
    ]
    assert targets.group_M.tolist() == [window for window, part in enumerate(rows) for _ in part]
    assert targets.weight_M.sum() == len(parts)
    pieces = 12, 16  # ab|cde|f|gh|.|ijk|lm|nop
    for window, (start, end) in enumerate(parts):
        gold = targets.gold_M[targets.group_M == window]
        first, last = pieces[0] - start, pieces[1] - start
        inside = first >= 0 and last < end - start
        assert gold.argmax(0).tolist() == ([first + 1, last + 1] if inside else [0, 0])
    assert targets.gold_M.sum(0).tolist() == [len(parts), len(parts)]


def test_the_loss_is_the_mean_cross_entropy_of_start_and_end_over_windows():
    records = [long_record(), record_of("ab cd", "e", "cd"), record_of("ab cd", "e")]
    task = answer(stride=4).fit_labels(records)
    assert task.no_answer
    batch = pack(TaskSource(task, records, LETTERS, TEMPLATE, 18).examples).to("cpu")
    targets = batch.predict[HEAD]
    logits = torch.randn(len(targets), 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = task.loss_of({HEAD: logits}, batch)[HEAD]
    expected, num_windows = torch.zeros(()), int(targets.group_M.max()) + 1
    for window in range(num_windows):
        rows = targets.group_M == window
        gold = targets.gold_M[rows].argmax(0)
        expected = expected + sum(F.cross_entropy(logits[rows, side][None], gold[side][None]) for side in (0, 1)) / 2
    assert loss.count == num_windows > len(records)
    torch.testing.assert_close(loss.sum, expected)
    torch.testing.assert_close(torch.autograd.grad(loss.sum, logits)[0], torch.autograd.grad(expected, logits)[0])


def plain_candidates(task, record, logits_M2, max_length):
    """{(start, end): score} of every span of whole words, each from the window in which its first piece has most room
    on both sides; and the least score of [CLS] + [CLS]."""
    pieces = LETTERS.encode(record["context"])
    room = max_length - 3 - len(LETTERS.encode(record["question"]))
    parts = windows(len(pieces), room, task.stride)
    starts = {p for p in range(len(pieces)) if p == 0 or pieces.words_P[p] != pieces.words_P[p - 1]}
    ends = {p for p in range(len(pieces)) if p + 1 == len(pieces) or pieces.words_P[p] != pieces.words_P[p + 1]}
    found, nulls, row = {}, [], 0
    for window, (start, end) in enumerate(parts):
        nulls.append(float(logits_M2[row].sum()))
        for first in range(*owners(parts)[window]):
            for last in range(first, min(end, first + task.max_answer)):
                if first in starts and last in ends:
                    chars = int(pieces.offsets_P2[first, 0]), int(pieces.offsets_P2[last, 1])
                    assert chars not in found
                    found[chars] = float(logits_M2[row + 1 + first - start, 0] + logits_M2[row + 1 + last - start, 1])
        row += 1 + end - start
    assert row == len(logits_M2)
    return found, min(nulls)


@pytest.mark.parametrize("no_answer", [False, True])
@pytest.mark.parametrize("max_answer", [1, 4, 30])
def test_candidates_and_their_probabilities(no_answer, max_answer):
    records = [long_record(), record_of("ab c d e.", "who", id="x"), record_of("a, b - c d e ff g h. I j", "who lmn")]
    task = answer(stride=3, max_answer=max_answer, num_best=5, no_answer=no_answer)
    examples = TaskSource(task, records, LETTERS, TEMPLATE, 18, labelled=False).examples
    logits = 3 * torch.randn(sum(len(e.predict[HEAD]) for e in examples), 2, generator=torch.Generator().manual_seed(4))
    predictions = task.decode({HEAD: logits}, pack(examples), records)
    row = 0
    for record, example, prediction in zip(records, examples, predictions, strict=True):
        num_rows = len(example.predict[HEAD])
        spans, null = plain_candidates(task, record, logits[row : row + num_rows].double(), 18)
        row += num_rows
        best = max(spans.values())
        scores = spans | ({(0, 0): null} if no_answer else {})
        total = sum(np.exp(score) for score in scores.values())
        ranked = sorted(scores, key=lambda chars: -scores[chars])[:5]
        assert [(each["start"], each["end"]) for each in prediction["candidates"]] == ranked
        for each, chars in zip(prediction["candidates"], ranked, strict=True):
            assert each["answer"] == record["context"][slice(*chars)]
            assert each["score"] == pytest.approx(np.exp(scores[chars]) / total)
        chosen = (0, 0) if no_answer and null > best else max(spans, key=spans.get)
        assert (prediction["start"], prediction["end"]) == chosen
        assert prediction["score"] == pytest.approx(np.exp(scores[chosen]) / total)
        assert prediction.get("id") == record.get("id")
        assert ("null_odds" in prediction) == no_answer
        if no_answer:
            assert prediction["null_odds"] == pytest.approx(null - best)


def test_answers_may_be_single_pieces():
    record = record_of("abc def", "who", "bc")
    for whole_words, expected in ((True, "abc"), (False, "bc")):
        task = answer(whole_words=whole_words).fit_labels([record])
        example = task.featurize(record, LETTERS, TEMPLATE, 32)
        assert task.decode(oracle(example), pack([example]), [record])[0]["answer"] == expected


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ("在1945年 the end", ["在", "1945", "年", "the", "end"]),
        ("กินน้ำ ไป", ["กิ", "น", "น้ำ", "ไ", "ป"]),
        ("がぎか\u3099カ", ["が", "ぎ", "か\u3099", "カ"]),
        ("ខ្មែរ", ["ខ្មែ", "រ"]),
        ("서울은 크다", ["서울은", "크다"]),
    ],
)
def test_units_of_scripts_without_spaces_are_pieces_between_graphemes(context, expected):
    pieces = {char: number for number, char in enumerate(["[UNK]", "[CLS]", "[SEP]", *sorted({*context, *"1945end"})])}
    backend = Backend(
        models.BPE(
            pieces | {"1945": 90, "end": 91, "19": 92, "45": 93, "en": 94},
            [("1", "9"), ("4", "5"), ("19", "45"), ("e", "n"), ("en", "d")],
            unk_token="[UNK]",
        )
    )
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    found = read_context(context, Tokenizer(backend), whole_words=True)
    units = [context[start:end] for start, end in found.chars_U2.tolist()]
    assert units == expected


def test_answers_inside_a_word_are_counted_where_they_are_scored():
    rows = [
        record_of("abc def", "who", "bc"),
        record_of("abc def", "who", "def"),
        record_of("abc def", "who", "b", "abc"),
    ]
    rows += [
        record_of("abc def", "who"),
        Record({**record_of("abc", "who"), "answers": [{"text": " abc", "start": 0}]}),
    ]
    rows[-1]["context"] = " abc"
    for whole_words, told in (
        (True, ["1 of 4 questions have no answer that begins and ends where the context's words"]),
        (False, []),
    ):
        task = answer(whole_words=whole_words).fit_labels(rows)
        found = task.remarks_on(TaskSource(task, rows, LETTERS, TEMPLATE, 32, labelled=False))
        assert [one[: len(said)] for one, said in zip(found, told, strict=True)] == told
        assert all("task.whole_words=false" in one for one in found)


def test_a_word_longer_than_any_answer_is_no_candidate():
    record = record_of("abcdefgh", "who")
    task = answer(max_answer=3)
    example = task.featurize(record, LETTERS, TEMPLATE, 32, labelled=False)
    logits = {HEAD: torch.zeros(len(example.predict[HEAD]), 2)}
    found = task.decode(logits, pack([example]), [record])
    assert found == [{"answer": "", "start": 0, "end": 0, "score": 0.0}]


@pytest.mark.parametrize(("threshold", "expected"), [(None, "ab"), (-1.0, ""), (-3.0, ""), (2.0, "ab")])
def test_no_answer_above_the_threshold(threshold, expected):
    record = record_of("ab c", "who")
    task = answer(no_answer=True, null_threshold=threshold)
    example = task.featurize(record, LETTERS, TEMPLATE, 32, labelled=False)
    logits = torch.full((len(example.predict[HEAD]), 2), -9.0)
    logits[0] = 1.0
    logits[1, 0] = logits[2, 1] = 1.25  # 0.5 better than [CLS]
    found = task.decode({HEAD: logits}, pack([example]), [record])[0]
    assert found["null_odds"] == pytest.approx(-0.5)
    assert found["answer"] == expected


def test_the_threshold_is_the_best_on_the_given_records():
    records = [
        record_of("ab c", "who", "ab"),
        record_of("ab c", "who"),
        record_of("ab c", "who", "c"),
        record_of("d e", "f"),
    ]
    guesses = [("ab", 1.5), ("c", 2.0), ("c", -1.0), ("d", 5.0)]
    asked = []

    def predict(task):
        asked.append(task.null_threshold)
        return [{"answer": text, "null_odds": odds} for text, odds in guesses]

    task = answer(no_answer=True).choose_on(records, predict)
    assert asked == [float("inf")] and task.null_threshold == 1.5
    assert "1.5, chosen on the validation file" in task.notes[1]
    assert answer().choose_on(records, predict) == answer() and len(asked) == 1
    assert "not chosen" in answer(no_answer=True).notes[1]


def test_training_says_whether_there_may_be_no_answer():
    some, none = record_of("ab c", "who", "ab"), record_of("ab c", "who")
    assert not answer().fit_labels([some]).no_answer
    assert answer().fit_labels([some, none]).no_answer
    assert answer(no_answer=True).fit_labels([some]).no_answer
    with pytest.raises(InputError, match="dev.json: no question of 1 has an answer"):
        answer().fit_labels([none])
    (remark,) = answer().remarks([some, none])
    assert remark.startswith("1 questions have no answer") and not answer(no_answer=True).remarks([some, none])
    scores = answer().score([{"answer": "AB."}, {"answer": "c"}], [some, none])
    assert scores["exact_match"] == 0.5 and scores["no_answer_f1"] == 0.0


def test_long_questions_lose_their_tail_counted():
    record = record_of("ab c", "abcdefgh ij", "c")
    task = answer(max_question=4).fit_labels([record])
    example = task.featurize(record, LETTERS, TEMPLATE, 32)
    assert example.num_cut == 6 and example.source.ids_T[1:5].tolist() == LETTERS.encode("abcd").ids_P.tolist()
    half = task.featurize(record, LETTERS, TEMPLATE, 8)  # room for 5, so 2 of the question and windows of 3
    assert half.num_cut == 8 and max(half.source.lengths_N) == 8
    assert TaskSource(task, [record], LETTERS, TEMPLATE, 32).num_truncated == 1


def test_bad_records_are_errors_that_say_where():
    task = answer()
    for record, message in (
        (record_of("  ", "who", id=8), "dev.json:3: question 8: the context is empty"),
        (Record({"question": "who", "answers": []}, "dev.json", 3), "dev.json:3: no 'context'.*columns.context=NAME"),
        (Record({"context": "ab", "answers": []}, "dev.json", 3), "dev.json:3: no 'question'"),
        (record_of("ab \u200b c", "who", "\u200b", id=8), "question 8: the tokenizer leaves nothing of the answer"),
        (Record({"context": "ab ab", "question": "q", "answer": "ab"}, "dev.json", 3), "stands 2 times"),
        (Record({"context": "ab", "question": "q", "answer": "b", "answer_start": 0}, "dev.json", 3), "it stands at 1"),
    ):
        with pytest.raises(InputError, match=message):
            TaskSource(task, [record], LETTERS, TEMPLATE, 32)
    for settings_ in ({"stride": 0}, {"num_best": 1.5}, {"max_answer": True}):
        with pytest.raises(InputError, match="at least 1"):
            answer(**settings_)


def test_a_context_is_read_once(monkeypatch):
    """What featurizing costs: 10,000 questions about 2,000 contexts are 2,000 contexts and 10,000 short texts."""
    read = []
    encode = Tokenizer.encode
    monkeypatch.setattr(Tokenizer, "encode", lambda self, text: read.append(text) or encode(self, text))
    records = [record_of("ab c d", f"who {char}", "c") for char in "abcde"]
    task = answer().fit_labels(records)
    source = TaskSource(task, records, LETTERS, TEMPLATE, 32)
    assert sorted(read) == sorted(["ab c d", *(record["question"] for record in records)])
    singly = [task.featurize(record, LETTERS, TEMPLATE, 32) for record in records]
    for one, other in zip(source.examples, singly, strict=True):
        assert np.array_equal(one.source.ids_T, other.source.ids_T)
        assert np.array_equal(one.predict[HEAD].given_M, other.predict[HEAD].given_M)


def test_the_questions_words_are_never_an_answer():
    record = record_of("ab cd", "ab cd ab cd")
    example = answer(no_answer=True).featurize(record, LETTERS, TEMPLATE, 32, labelled=False)
    rows = example.predict[HEAD].at_MK[:, 0]
    assert rows.tolist() == [0, *range(10, 14)]
    assert example.source.segment_ids_T[rows[1:]].tolist() == [1, 1, 1, 1]


def test_byte_level_pieces_keep_the_characters():
    """GPT-2's pieces hold parts of characters and the space before a word."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend = Backend(models.BPE({piece: i for i, piece in enumerate(["[CLS]", "[SEP]", *sorted(alphabet)])}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.add_special_tokens(["[CLS]", "[SEP]"])
    tokenizer = Tokenizer(backend)
    context = "Das 日本 café, naïve  🙂 Zoë!"
    for gold in ("日本 café", "🙂", "naïve", "Zoë", "Das"):
        record = record_of(context, "wer", gold)
        task = answer(max_answer=50).fit_labels([record])
        example = task.featurize(record, tokenizer, Template(tokenizer.special_ids), 128)
        found = task.decode(oracle(example), pack([example]), [record])[0]
        assert (found["answer"], found["start"]) == (gold, context.index(gold))


def test_no_answer_is_learned(tiny, tokenizer, template):
    records = [Record(dict(record)) for record in tiny.records("answer")]
    for record in records[::3]:
        record["answers"], record["question"] = [], "dog film"
    task = answer().fit_labels(records)
    model = tiny.model(task)
    for head in model.heads.values():
        head.dropout = 0.0
    batch = pack(TaskSource(task, records, tokenizer, template, 32).examples).to("cpu")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.eval()
    for _ in range(80):
        loss = task.loss(model, batch)[HEAD]
        optimizer.zero_grad()
        (loss.sum / loss.count).backward()
        optimizer.step()
    scores = evaluate_task(model, task, records, tokenizer, template, 32).scores
    assert scores["no_answer_f1"] == 1.0 and scores["has_answer_exact_match"] == 1.0
    below = evaluate_task(model, replace(task, null_threshold=-1e6), records, tokenizer, template, 32).scores
    assert below["no_answer_f1"] == 1.0 and below["has_answer_f1"] == 0.0


CONTEXT = "The Normans came from Denmark in 911. Anna saw a red cat. The dog saw nothing of it."


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("In what year came the Normans from Denmark?", "911"),
        ("Who saw a red cat?", "Anna"),
        ("What did the dog do?", "saw nothing"),
        ("Xyz?", "Normans came"),  # nothing is shared: the first candidate
    ],
)
def test_the_sliding_window(question, expected):
    start, end = best_span(question, words_of(CONTEXT))
    assert CONTEXT[start:end] == expected
    assert best_spans([(question, CONTEXT)] * 2) == [CONTEXT[start:end]] * 2


@pytest.mark.parametrize(
    ("question", "context", "expected"),
    [
        # both names stand beside "likes"; more of the question stands around the second
        ("Who likes cold white milk?", "Alpha likes cheese, and in winter the Beta likes cold white milk.", "Beta"),
        # around Gamma stands as much of the question and nearer, but its sentence has less of it
        (
            "What stood by the red barn?",
            "Delta stood during many long cold days behind that red barn. Gamma owns red barn.",
            "many long cold days behind",
        ),
    ],
)
def test_what_decides_between_candidates(question, context, expected):
    assert best_spans([(question, context)]) == [expected]


def test_the_sliding_window_of_nothing():
    assert best_spans([("who", ""), ("who", " of the "), ("dog", "dog")]) == ["", "of", "dog"]
