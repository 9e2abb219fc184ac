"""Tiny files in the layouts in which sets are published, made up for the tests."""

import json
import random

WORDS = ["kind", "happy", "dear", "cruel", "sad", "dark", "old", "new"]


def sentence(rng, number=5):
    return " ".join(rng.choice(WORDS) for _ in range(number))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def lines(path, rows):
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def superglue_files(folder, rows=12):
    """All eight sets and both diagnostic ones."""
    rng = random.Random(0)
    for name in SUPERGLUE:
        for part in ("train", "val", "test"):
            made = [SUPERGLUE[name](rng, number) for number in range(rows if part == "train" else 6)]
            for row in made if part == "test" else []:
                strip_labels(row)
            lines(folder / name / f"{part}.jsonl", made)
    lines(folder / "AX-b" / "AX-b.jsonl", [ax(rng, n, "sentence1", "sentence2") for n in range(6)])
    lines(folder / "AX-g" / "AX-g.jsonl", [ax(rng, n, "premise", "hypothesis", f"It is {n // 2}.") for n in range(6)])
    return folder


def strip_labels(row):
    row.pop("label", None)
    for question in row.get("passage", {}).get("questions", []) if isinstance(row.get("passage"), dict) else []:
        for answer in question["answers"]:
            del answer["label"]
    for query in row.get("qas", []):
        del query["answers"]


def boolq(rng, n):
    return {"question": f"is it {n}", "passage": sentence(rng), "idx": n, "label": n % 2 == 0}


def cb(rng, n):
    label = ["contradiction", "entailment", "neutral"][n % 3]
    return {"premise": sentence(rng), "hypothesis": sentence(rng, 2), "label": label, "idx": n}


def copa(rng, n):
    row = {"premise": sentence(rng), "choice1": sentence(rng, 2), "choice2": sentence(rng, 3)}
    return row | {"question": ["cause", "effect"][n % 2], "label": n // 2 % 2, "idx": n}


def multirc(rng, n):
    """Two questions a passage, of three and two answers; numbers of questions begin anew in each passage."""
    questions = [
        {
            "question": f"{sentence(rng, 2)}?",
            "answers": [{"text": sentence(rng, 2), "idx": i, "label": (n + i) % 2} for i in range(number)],
            "idx": q,
        }
        for q, number in enumerate((3, 2))
    ]
    return {"idx": n, "version": 1.1, "passage": {"text": f"<b>{n}</b><br>{sentence(rng)}", "questions": questions}}


def record(rng, n):
    text = f"Ann met Bob in Rome {n}.\n@highlight\nAnn was {sentence(rng, 2)}"
    places = [(0, 2), (8, 10), (15, 18), (text.rindex("Ann"), text.rindex("Ann") + 2)]
    queries = [
        {
            "query": f"{sentence(rng, 2)} saw @placeholder there",
            "answers": [{"start": 8, "end": 10, "text": "Bob"}],
            "idx": 2 * n,
        },
        {
            "query": f"@placeholder {sentence(rng, 2)}",
            "answers": [{"start": 0, "end": 2, "text": "Ann"}, {"start": 15, "end": 18, "text": "Rome"}],
            "idx": 2 * n + 1,
        },
    ]
    entities = [{"start": start, "end": end} for start, end in places]
    return {"source": "x", "passage": {"text": text, "entities": entities}, "qas": queries, "idx": n}


def rte(rng, n):
    label = ["entailment", "not_entailment"][n % 2]
    return {"premise": sentence(rng), "hypothesis": sentence(rng, 3), "label": label, "idx": n}


def wic(rng, n):
    return {
        "word": "run",
        "sentence1": f"A run of {sentence(rng, 2)}",
        "sentence2": f"They ran {sentence(rng, 2)}",
        "start1": 2,
        "end1": 5,
        "start2": 5,
        "end2": 8,
        "version": 1.1,
        "idx": n,
        "label": n % 2 == 0,
    }


def wsc(rng, n):
    target = {"span1_index": 0, "span1_text": "Mark", "span2_index": 4, "span2_text": "he"}
    return {"text": f"Mark told Pete that he, {sentence(rng, 3)}", "target": target, "idx": n, "label": n % 2 == 0}


def ax(rng, n, first, second, hypothesis=None):
    label = ["entailment", "not_entailment"][n // 2 % 2]
    return {first: sentence(rng), second: hypothesis or sentence(rng, 3), "label": label, "idx": n}


SUPERGLUE = {
    "BoolQ": boolq,
    "CB": cb,
    "COPA": copa,
    "MultiRC": multirc,
    "ReCoRD": record,
    "RTE": rte,
    "WiC": wic,
    "WSC": wsc,
}


def squad_files(folder, rows=8):
    """Both versions; every third question of 2.0 has no answer."""
    for version in ("1.1", "2.0"):
        for part in ("train", "dev"):
            questions = []
            for n in range(rows):
                answers = [{"text": "Rome", "answer_start": 15}]
                row = {"id": f"{version}-{part}-{n}", "question": f"where did they meet {n}?"}
                if version == "2.0":
                    row["is_impossible"] = n % 3 == 0
                questions.append(row | {"answers": [] if row.get("is_impossible") else answers})
            paragraph = {"context": "Ann met Bob in Rome, they say.", "qas": questions}
            tree = {"version": version, "data": [{"title": "Ann", "paragraphs": [paragraph]}]}
            write(folder / f"{part}-v{version}.json", json.dumps(tree))
    return folder


def swag_files(folder, rows=12):
    rng = random.Random(1)
    names = [
        "",
        "video-id",
        "fold-ind",
        "startphrase",
        "sent1",
        "sent2",
        "gold-source",
        *(f"ending{n}" for n in range(4)),
    ]
    for part in ("train", "val", "test"):
        table = [[*names, *([] if part == "test" else ["label"])]]
        for n in range(rows):
            cells = [str(n), "v1", "3", '"She opens, She"', '"She opens, slowly."', "She", "gold"]
            table.append([*cells, *(sentence(rng, 2) for _ in range(4)), *([] if part == "test" else [str(n % 4)])])
        write(folder / f"{part}.csv", "\n".join(",".join(row) for row in table) + "\n")
    return folder


def sts_files(folder, rows=16):
    """STS-B with a longer line, and a set of 2012 and one of 2016 with pairs that were not scored."""
    rng = random.Random(2)
    for part in ("train", "dev", "test"):
        table = [
            ["main", "MSR", "2012", f"{n:04}", f"{n % 6:.3f}", sentence(rng), f'"{sentence(rng)}'] for n in range(rows)
        ]
        table[3] += ["http://a", "http://b"]
        write(folder / "stsbenchmark" / f"sts-{part}.csv", "\n".join("\t".join(row) for row in table) + "\n")
    pairs = [(sentence(rng), sentence(rng)) for _ in range(6)]
    both = "".join(f"{a}\t{b}\n" for a, b in pairs)
    write(folder / "test-gold" / "STS.input.MSRpar.txt", both)
    write(folder / "test-gold" / "STS.gs.MSRpar.txt", "".join(f"{n}.5\n" for n in range(6)))
    write(
        folder / "sts2016-english-with-gs-v1.0" / "STS2016.input.headlines.txt",
        both.replace("\n", "\tsource\tsource\n"),
    )
    write(folder / "sts2016-english-with-gs-v1.0" / "STS2016.gs.headlines.txt", "1\n\n3\n\n\n5\n")
    return folder


def ud_files(folder, rows=12):
    def word(number, form, upos, xpos):
        return "\t".join([str(number), form, form, upos, xpos, "_", "0", "_", "_", "_"])

    for part in ("train", "dev", "test"):
        sentences = [
            "\n".join(
                [
                    f"# sent_id = {part}-{n}",
                    "1-2\tdel\t_\t_\t_\t_\t_\t_\t_\t_",
                    word(1, "de", "ADP", "E"),
                    word(2, "el", "DET", "D"),
                    word(3, WORDS[n % len(WORDS)], "ADJ", "J"),
                    word(4, "man", "NOUN", "N"),
                ]
            )
            for n in range(rows)
        ]
        write(folder / f"xx_tiny-ud-{part}.conllu", "\n\n".join(sentences) + "\n\n")
    return folder


def multi30k_files(folder, rows=6):
    """Parallel files, a language each; the test set of 2016 as a table."""
    for part in ("train", "val", "test_2017_flickr"):
        for language, dog in (("de", "Ein Hund"), ("en", "A dog")):
            lines = [f"{dog} {number} {part}." for number in range(rows)]
            write(folder / "data" / "task1" / "raw" / f"{part}.{language}", "\n".join(lines) + "\n")
    table = "en\tde\tfr\n" + "".join(f"A cat {n}.\tEine Katze {n}.\tUn chat {n}.\n" for n in range(rows))
    write(folder / "test_2016_flickr.tsv", table)
    return folder


def scitldr_files(folder, rows=6):
    for part in ("train", "dev", "test"):
        papers = []
        for n in range(rows):
            target = [f"We do {n} things.", f"They do {n} in {part}."][: 1 + (part == "test")]
            source = [f"We look at {n} in {part}. ", "It is good."]
            papers.append(
                {"paper_id": f"p{n}", "source": source, "source_labels": [1, 0], "target": target, "title": f"On {n}"}
            )
        write(folder / "SciTLDR-A" / f"{part}.jsonl", "".join(json.dumps(paper) + "\n" for paper in papers))
    return folder
