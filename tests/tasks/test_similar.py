"""similar: every objective learns and is scored; losses equal sentence-transformers'; equal texts are no negatives."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from pretune.core.errors import InputError
from pretune.core.loss import total
from pretune.core.pack import pack
from pretune.metrics.ranks import own_ranks
from pretune.tasks.run import evaluate_task, predict
from pretune.tasks.siamese_losses import Views, cosine_errors, ranking_losses, triplet_losses, views
from pretune.tasks.similar import similar
from pretune.tasks.source import TaskSource
from pretune.tasks.task import open_task
from pretune.text.records import Record

FAMILIES = ("bert", "modern")
OBJECTIVES = {"cosine": "spearman", "softmax": "accuracy", "triplet": "accuracy", "ranking": "mrr"}


def records_for(objective, tiny):
    """Those of the conformance test, with what the objective needs and no more."""
    rows = []
    for number, record in enumerate(tiny.records("similar")):
        kept = {"text": record["text"], "text_b": record["text_b"]}
        if objective in ("triplet", "ranking"):
            kept["text_c"] = record["text_c"]
        if objective in ("cosine", "softmax"):
            kept["label"] = record["label"] if objective == "cosine" else ("near", "far", "no")[number % 3]
        rows.append(Record(kept, "train.jsonl", number + 1))
    return rows


def made(objective, tiny, family="bert", **settings):
    records = records_for(objective, tiny)
    task = open_task("similar", {"objective": objective, **settings}).fit_labels(records)
    return task, records, tiny.model(task, family, **tiny.without_dropout(family))


def vectors(*sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, 8, generator=generator) for size in sizes]


# Each objective from records to scores


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_learns_a_batch_by_heart(objective, family, tiny, tokenizer, template):
    task, records, model = made(objective, tiny, family)
    assert task.main_metric == OBJECTIVES[objective]
    assert open_task("similar", asdict(task)) == task
    source = TaskSource(task, records, tokenizer, template, 16)
    batch = pack(source.examples).to("cpu")
    counts = task.counts(batch)
    assert counts == {"embedding": len(records)}
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        losses = task.loss(model, batch)
        assert losses["embedding"].count == len(records)
        optimizer.zero_grad()
        total(losses, counts).backward()
        optimizer.step()
    assert float(total(task.loss(model, batch), counts).detach()) < 0.1
    found = evaluate_task(model, task, records, tokenizer, template, 16)
    assert found.scores[task.main_metric] > 0.97
    estimate = found.items.interval(rng=np.random.default_rng(0)).estimate
    assert estimate == pytest.approx(found.scores[task.main_metric])
    assert set(task.baselines(records, records)) >= {"majority" if objective == "softmax" else "overlap", "tfidf"}


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("normalize", [True, False])
def test_scores_are_cosines_of_pooled_rows(pooling, normalize, tiny, tokenizer, template):
    task, records, model = made("triplet", tiny, pooling=pooling, normalize=normalize)
    model.eval()
    for record, found in zip(records, predict(model, task, records, tokenizer, template, 16), strict=True):
        rows = []
        for column in ("text", "text_b", "text_c"):
            alone = task._featurize([record[column]], None, tokenizer, template, 16)
            with torch.no_grad():
                hidden = model.body(pack([alone]).to("cpu"))
            pooled = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.amax(0)}[pooling]
            rows.append(pooled / pooled.norm() if normalize else pooled)
        cosine = nn.functional.cosine_similarity
        assert found["score"] == pytest.approx(float(cosine(rows[0], rows[1], dim=0)), abs=1e-5)
        assert found["score_c"] == pytest.approx(float(cosine(rows[0], rows[2], dim=0)), abs=1e-5)


def test_what_predictions_say(tiny, tokenizer, template):
    task, records, model = made("softmax", tiny)
    rows = predict(model, task, records, tokenizer, template, 16)
    for shown in task.shown(rows, records):
        assert set(shown) == {"score", "class"} and -1 <= shown["score"] <= 1
        assert set(shown["class"]) == {"label", "score", "scores"}
        assert sum(shown["class"]["scores"].values()) == pytest.approx(1.0)
    task, records, model = made("ranking", tiny)
    rows = predict(model, task, records, tokenizer, template, 16)
    assert all(set(row) == {"score", "rank"} for row in rows)
    assert all(set(row) == {"score"} for row in task.shown(rows, records))


def test_a_model_of_any_objective_is_scored_on_values(tiny, tokenizer, template):
    """Trained on pairs or classes, chosen and reported on STS, as Sentence-BERT was."""
    rated = records_for("cosine", tiny)
    for objective in ("softmax", "triplet", "ranking"):
        task, records, model = made(objective, tiny, metric="spearman")
        source = TaskSource(task, records, tokenizer, template, 16)  # training records need no values
        assert task.counts(pack(source.examples)) == {"embedding": len(records)}
        found = evaluate_task(model, task, rated, tokenizer, template, 16)
        gold = [record["label"] for record in rated]
        expected = stats.spearmanr(gold, [row["score"] for row in found.predictions]).statistic
        assert found.scores["spearman"] == pytest.approx(expected)
        with pytest.raises(InputError, match=r"train.jsonl:1: .*(missing|finite number)"):
            task.check(records)


# Losses


def test_cosine_and_triplet_losses_are_sentence_transformers():
    from sentence_transformers.sentence_transformer import losses

    u, v, w = vectors(7, 7, 7)
    gold = torch.rand(7, generator=torch.Generator().manual_seed(1))
    theirs = losses.CosineSimilarityLoss(nn.Identity()).compute_loss_from_embeddings([u, v], gold)
    assert float(cosine_errors(u, v, gold).mean()) == pytest.approx(float(theirs), rel=1e-5)
    theirs = losses.TripletLoss(nn.Identity(), triplet_margin=1.0).compute_loss_from_embeddings([u, v, w], gold)
    assert float(triplet_losses(u, v, w, 1.0).mean()) == pytest.approx(float(theirs), rel=1e-5)


@pytest.mark.parametrize("with_third", [True, False])
def test_ranking_loss_is_sentence_transformers_where_all_texts_differ(with_third):
    from sentence_transformers.sentence_transformer import losses

    u, v, w = vectors(6, 6, 6 if with_third else 0)
    gold = (torch.arange(6), torch.arange(6) + 10, torch.arange(len(w)) + 20)
    ours = ranking_losses(Views(u, v, w, torch.arange(len(w)), gold), scale=20.0)
    given = [u, v, w] if with_third else [u, v]
    theirs = losses.MultipleNegativesRankingLoss(nn.Identity()).compute_loss_from_embeddings(given, gold[0])
    assert float(ours.mean()) == pytest.approx(float(theirs), rel=1e-5)


def test_softmax_head_is_sentence_transformers(tiny):
    from sentence_transformers.sentence_transformer import losses

    _, _, model = made("softmax", tiny)
    u, v = (torch.randn(5, 32, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    encoder = nn.Identity()
    encoder.device = torch.device("cpu")
    theirs = losses.SoftmaxLoss(encoder, embedding_dimension=32, num_labels=3)
    theirs.classifier.load_state_dict(model.heads["siamese"].classifier.state_dict())
    expected = theirs.classifier(torch.cat([u, v, torch.abs(u - v)], dim=1))
    torch.testing.assert_close(model.heads["siamese"](u, v), expected)


def test_equal_texts_are_no_negatives():
    """Two records with one answer, two with one question, and one whose question is another's answer."""
    u, v, w = vectors(5, 5, 1)
    asked, right = torch.tensor([1, 2, 3, 3, 4]), torch.tensor([11, 11, 12, 13, 3])
    wrong = torch.tensor([12])
    found = ranking_losses(Views(u, v, w, torch.tensor([0]), (asked, right, wrong)), scale=5.0)
    negatives = {0: [2, 3, 4, 5], 1: [2, 3, 4, 5], 2: [0, 1], 3: [0, 1], 4: [0, 1, 2, 3, 5]}
    cosine = nn.functional.cosine_similarity(u[:, None], torch.cat([v, w])[None], dim=-1) * 5.0
    for row, columns in negatives.items():
        kept = cosine[row, [row, *columns]]
        assert float(found[row]) == pytest.approx(float(kept.logsumexp(0) - cosine[row, row]), rel=1e-4)


def test_equal_texts_are_known_by_their_tokens(tiny, tokenizer, template):
    """A record that comes twice in a step (steps go on over the end of an epoch) is not its own negative."""
    task, records, model = made("ranking", tiny)
    pair = [Record({"text": "a cat", "text_b": "a dog"}), Record({"text": "a  cat", "text_b": "the book"})]
    examples = TaskSource(task, [*pair, pair[0]], tokenizer, template, 16).examples
    batch = pack(examples).to("cpu")
    gold = views(torch.zeros(6, 4), batch.predict["embedding"]).gold
    assert gold[0].unique().numel() == 1 and gold[1].unique().numel() == 2
    assert float(task.loss(model, batch)["embedding"].sum.detach()) == pytest.approx(0.0, abs=1e-6)


def test_a_step_of_ranking_depends_on_its_division_and_the_count_does_not(tiny, tokenizer, template):
    task, records, model = made("ranking", tiny)
    assert task.compares_records and not similar().compares_records
    examples = TaskSource(task, records, tokenizer, template, 16).examples
    whole = task.loss(model, pack(examples).to("cpu"))["embedding"]
    parts = [task.loss(model, pack(part).to("cpu"))["embedding"] for part in (examples[:6], examples[6:])]
    assert whole.count == sum(part.count for part in parts) == len(records)
    assert float(whole.sum.detach()) > float(sum(part.sum.detach() for part in parts))


def test_hard_negatives_may_be_missing_in_some_records(tiny, tokenizer, template):
    task, records, model = made("ranking", tiny)
    some = [
        Record({**record, "text_c": record["text_c"] if number % 2 else ("" if number % 4 else None)})
        for number, record in enumerate(records)
    ]
    batch = pack(TaskSource(task, some, tokenizer, template, 16).examples).to("cpu")
    found = views(task.outputs(model, batch)["embedding"], batch.predict["embedding"])
    assert found.third_H.tolist() == list(range(1, len(records), 2))
    assert float(task.loss(model, batch)["embedding"].sum.detach()) > 0


# Labels


def test_labels_become_cosines():
    def rated(*values):
        return [Record({"text": "a", "text_b": "b", "label": value}, "sts.tsv", 2) for value in values]

    task = similar().fit_labels(rated(1, "3", 5.0))
    assert (task.low, task.high) == (1.0, 5.0)
    assert task.notes == ("cosines 0 and 1 stand for the labels 1 and 5",)
    assert task.fit_labels(rated(2, 3)) == task
    assert (similar(low=0.0).fit_labels(rated(1, 4)).low, similar(low=0.0).fit_labels(rated(1, 4)).high) == (0.0, 4.0)
    with pytest.raises(InputError, match="the same"):
        similar().fit_labels(rated(2, 2))
    with pytest.raises(InputError, match="sts.tsv:2: label 'high' is not a finite number"):
        similar().fit_labels(rated(1, "high"))


def test_gold_cosines_of_examples(tokenizer, template):
    task = similar(low=0.0, high=5.0)
    record = Record({"text": "a cat", "text_b": "a dog", "label": "4"})
    targets = task.featurize(record, tokenizer, template, 16).predict["embedding"]
    assert targets.gold_M.dtype == np.float32 and targets.gold_M.tolist() == pytest.approx([0.8] * 8)
    assert targets.weight_M.tolist() == [1.0, *[0.0] * 7]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "contrastive"}, "objective: it should be"),
        ({"metric": "mrr"}, "unknown metric"),
        ({"objective": "triplet", "metric": "mrr"}, "unknown metric"),
        ({"pooling": "attention"}, "pooling"),
        ({"low": 5.0, "high": 1.0}, "the higher one"),
        ({"scale": 0.0}, "above 0"),
        ({"margin": -1.0}, "above 0"),
        ({"labels": ["a", "b"]}, "only with objective=softmax"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(InputError, match=message):
        open_task("similar", settings)


def test_a_third_text_that_is_missing_is_an_error(tiny, tokenizer, template):
    bare = [Record({"text": "a", "text_b": "b"}, "nli.csv", 3)]
    with pytest.raises(InputError, match="nli.csv:3: no 'text_c'"):
        similar(objective="triplet").fit_labels(bare)
    task, _, model = made("triplet", tiny)
    assert set(predict(model, task, bare, tokenizer, template, 16)[0]) == {"score"}


def test_a_model_with_other_vectors_is_refused(tiny):
    task, _, model = made("cosine", tiny, pooling="max", normalize=True)
    assert similar().suit(model).pooling == "max" and similar().suit(model).normalize is True
    with pytest.raises(InputError, match="pooling=max, and task.pooling=mean"):
        similar(pooling="mean").suit(model)
    with pytest.raises(InputError, match="normalize=True, and task.normalize=False"):
        similar(normalize=False).suit(model)


# Ranks


def test_ranks_of_a_set_by_hand(tiny, tokenizer, template):
    task, records, model = made("ranking", tiny)
    found = evaluate_task(model, task, records, tokenizer, template, 16)
    plain = similar(objective="ranking")
    for row, (record, one) in enumerate(zip(records, found.predictions, strict=True)):
        scores = [
            predict(
                model, plain, [Record({"text": record["text"], "text_b": other["text_b"]})], tokenizer, template, 16
            )
            for other in records
        ]
        ahead = sum(score[0]["score"] > scores[row][0]["score"] + 1e-6 for score in scores)
        assert one["rank"] == ahead + 1
    ranks = np.array([one["rank"] for one in found.predictions])
    assert found.scores == pytest.approx({"mrr": (1 / ranks).mean(), "accuracy": (ranks == 1).mean()})
    assert any("among all different ones of its file" in note for note in task.notes)


def test_ranks_are_the_same_in_blocks_of_any_size(monkeypatch):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(40, 40))
    asked, answers = [f"q{n % 30}" for n in range(40)], [f"a{n % 35}" for n in range(40)]
    whole = own_ranks(lambda start, end: scores[start:end], asked, answers)
    monkeypatch.setattr("pretune.metrics.ranks.MAX_SCORES", 100)
    assert own_ranks(lambda start, end: scores[start:end], asked, answers).tolist() == whole.tolist()
    for row in range(40):
        right = {answer for question, answer in zip(asked, answers, strict=True) if question == asked[row]}
        first = {answer: answers.index(answer) for answer in answers}
        own = scores[row, first[answers[row]]]
        assert whole[row] == 1 + sum(scores[row, first[a]] >= own for a in first if a not in right)
