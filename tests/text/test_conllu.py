"""CoNLL-U: words and tags as the format's page defines them, and what does not fit named with its line."""

from collections import Counter

import pytest

from pretune.core.errors import InputError
from pretune.text.documents import read_documents
from pretune.text.records import read_records


def line(number, form, upos="X", xpos="_", feats="_"):
    return "\t".join([number, form, form.lower(), upos, xpos, feats, "_", "_", "_", "_"])


def write(tmp_path, *lines):
    path = tmp_path / "a.conllu"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


VAMONOS = (
    "# newdoc id = d1",
    "# sent_id = es-1",
    "# text = Vámonos al # mar",
    line("1-2", "Vámonos", "_"),
    line("1", "Vamos", "VERB", "V"),
    line("2", "nos", "PRON", "P", "Case=Acc"),
    line("3-4", "al", "_"),
    line("3", "a", "ADP", "E"),
    line("4", "el", "DET", "D"),
    line("4.1", "azul", "ADJ"),
    line("4.2", "ancho", "ADJ"),
    line("5", "#", "SYM", "S"),
    line("6", "mar", "NOUN", "N"),
    "",
    "",
    line("0.1", "yo", "PRON"),
    line("1", "Sí", "INTJ", "I"),
)


def test_syntactic_words_alone(tmp_path):
    path = write(tmp_path, *VAMONOS)
    first, second = read_records(path)
    assert first == {
        "id": "es-1",
        "words": ["Vamos", "nos", "a", "el", "#", "mar"],
        "tags": ["VERB", "PRON", "ADP", "DET", "SYM", "NOUN"],
        "xpos": ["V", "P", "E", "D", "S", "N"],
        "feats": ["_", "Case=Acc", "_", "_", "_", "_"],
    }
    assert (first.line, second.line) == (4, 16)
    assert second["words"] == ["Sí"] and "id" not in second
    assert read_records(path, {"tags": "xpos"})[1]["tags"] == ["I"]
    assert [document.text for document in read_documents(path)] == ["Vamos nos a el # mar", "Sí"]


WRONG = {
    "too few fields": ([line("1", "a"), "2\tb\tb\tX"], 2, "4 filled of the 10 of CoNLL-U"),
    "empty field": ([line("1", "a").replace("\tX\t", "\t\t")], 1, "9 filled of the 10"),
    "spaces for tabs": (["1 a a X _ _ _ _ _ _"], 1, "1 filled of the 10"),
    "comment inside": ([line("1", "a"), "# no"], 2, "1 filled of the 10"),
    "not from 1": ([line("2", "a")], 1, "word number .2 where 1 is due"),
    "gap": ([line("1", "a"), line("3", "b")], 2, "word number .3 where 2 is due"),
    "no number": ([line("one", "a")], 1, "word number .'one'"),
    "range too late": ([line("1", "a"), line("1-2", "ab")], 2, "the range 1-2 before word 2"),
    "range of one": ([line("1-1", "a"), line("1", "a")], 1, "the range 1-1 before word 1"),
    "ranges overlap": ([line("1-2", "ab"), line("1", "a"), line("2-3", "bc")], 3, "the range 2-3 before word 2"),
    "range past the end": (
        [line("1-3", "abc"), line("1", "a"), line("2", "b")],
        1,
        "a range ends at 3, the sentence at 2",
    ),
    "empty node misplaced": ([line("1", "a"), line("2.1", "b")], 2, "the empty node 2.1 where 1.1 is due"),
    "empty node not counted": ([line("1", "a"), line("1.2", "b")], 2, "the empty node 1.2 where 1.1 is due"),
    "no words": ([line("0.1", "b")], 1, "a sentence without words"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_named(tmp_path, name):
    lines, at, message = WRONG[name]
    path = write(tmp_path, *lines, "", line("1", "kept"))
    with pytest.raises(InputError, match=rf"a\.conllu:{at}: .*{message}"):
        read_records(path)
    skipped = Counter()
    assert [row["words"] for row in read_records(path, on_error="skip", skipped=skipped)] == [["kept"]]
    assert skipped.total() == 1
