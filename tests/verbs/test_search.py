"""search: exact, whatever the blocks; what does not fit is named."""

import numpy as np
import pytest

import pretune
from pretune.core.errors import InputError
from pretune.verbs import nearest
from pretune.verbs.nearest import TopK
from pretune.verbs.search import open_vectors, search_file


def plain(queries, vectors, k):
    """Every cosine, sorted."""
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, vectors)]
    cosines = unit[0] @ unit[1].T
    best = np.argsort(-cosines, axis=1)[:, :k]
    return best, np.take_along_axis(cosines, best, 1)


@pytest.mark.parametrize("block", [1, 7, 64, 4096])
@pytest.mark.parametrize("k", [1, 5, 300])
def test_top_k_is_every_cosine_sorted(monkeypatch, block, k):
    monkeypatch.setattr(nearest, "BLOCK_ROWS", block)
    rng = np.random.default_rng(0)
    queries, vectors = (rng.normal(size=(size, 16)).astype(np.float32) for size in (9, 200))
    found = TopK(queries, k)
    for part in np.split(vectors, [3, 3, 120]):
        found.add(part)
    numbers, scores = plain(queries, vectors, k)
    assert found.num_seen == 200
    for row, (one, values) in zip(found.rows(), zip(numbers, scores, strict=True), strict=True):
        assert [number for number, _ in row] == one.tolist()
        assert [score for _, score in row] == pytest.approx(values.tolist(), abs=1e-5)
    assert found.numbers() == set(numbers.ravel().tolist())


def test_vectors_of_length_zero_are_like_nothing_and_no_nan():
    found = TopK(np.ones((1, 4), np.float32), 2)
    found.add(np.array([[0, 0, 0, 0], [1, 1, 1, 1]], np.float32))
    assert found.rows() == [[(1, pytest.approx(1.0)), (0, 0.0)]]
    with pytest.raises(InputError, match="k is 0"):
        TopK(np.ones((1, 4), np.float32), 0)


@pytest.mark.slow
def test_a_million_vectors_in_bounded_memory(tmp_path):
    import resource

    path = tmp_path / "vectors.npy"
    vectors = np.lib.format.open_memmap(path, "w+", np.float32, (1_000_000, 64))
    rng = np.random.default_rng(0)
    for start in range(0, 1_000_000, 50_000):
        vectors[start : start + 50_000] = rng.normal(size=(50_000, 64))
    queries = np.array(vectors[[5, 999_999]])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = TopK(queries, 3)
    found.add(np.load(path, mmap_mode="r", allow_pickle=False))
    assert [row[0][0] for row in found.rows()] == [5, 999_999]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KiB: the mapped file is 256 MB


def test_what_does_not_fit_is_named(world, tmp_path):
    model = str(world.bert / "model")
    texts, queries = tmp_path / "texts.txt", tmp_path / "queries.txt"
    texts.write_text("the man was kind\n" + "a day " * 400 + "\nso new\n")
    queries.write_text("the man\n")
    with pytest.raises(InputError, match="texts.txt:2: the text has"):
        list(search_file(model=model, texts=texts, queries=queries))
    (row,) = search_file(model=model, texts=texts, queries=queries, truncate=True)
    assert sorted(one["line"] for one in row) == [1, 2, 3]
    width = pretune.load(model).model.body.config.hidden_size
    for number, told in ((2, "more"), (5, "3")):
        np.save(tmp_path / "other.npy", np.ones((number, width), np.float32))
        with pytest.raises(InputError, match=f"{number} vectors, and there are {told} texts"):
            list(search_file(model=model, texts=texts, queries=queries, vectors=tmp_path / "other.npy"))
    np.save(tmp_path / "wide.npy", np.ones((3, 7), np.float32))
    with pytest.raises(InputError, match="expected float32"):
        open_vectors(tmp_path / "wide.npy", width)
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(InputError, match=r"not a .npy file"):
        open_vectors(tmp_path / "text.npy", width)
    texts.write_text("")
    with pytest.raises(InputError, match="no text in it"):
        list(search_file(model=model, texts=texts, queries=queries))
    with pytest.raises(InputError, match="standard input is for the queries"):
        list(search_file(model=model, texts="-"))
