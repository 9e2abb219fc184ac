"""The model card: what Hugging Face reads of its head, the formula's numbers, escaping."""

import pytest
from huggingface_hub import ModelCard

from pretune.evaluate.card import Card, Cost, DataSource, Score, as_card
from pretune.metrics.intervals import Interval

COST = Cost(seconds=1800, watts=200, watts_source="a guess for 2 cores", hardware="2 cores", tokens=1_234_567)


def card(**changes: object) -> Card:
    values = {
        "name": "novels_mini",
        "summary": "A small encoder <b> of novels.",
        "kind": "pre-training",
        "command": "pretune pretrain modern-mini --corpus corpus --out run\n```",
        "data": (DataSource("novels", "English novels | 1840 to 1920", "public domain", "ab12"),),
        "settings": {"seed": 1, "optimizer.lr": 0.003, "recipe": "modern-mini"},
        "cost": COST,
        "language": ("en",),
        "pipeline_tag": "fill-mask",
        "scores": (Score("token-classification", "ewt", "accuracy", Interval(0.741, 0.72, 0.76)),),
        "outcomes": ("The network does NOT measurably beat majority.",),
        "limitations": ("Nineteenth-century English.",),
    }
    return Card(**{**values, **changes})  # type: ignore[arg-type]


def test_energy_and_co2_by_hand() -> None:
    assert COST.kwh == pytest.approx(0.2 * 0.5 * 1.58)
    assert COST.co2_kg == pytest.approx(0.158 * 0.954 * 0.45359237)
    text = as_card(card())
    assert "200 W · 0.5 h · 1.58 = 0.158 kWh; the power is a guess for 2 cores" in text
    assert "0.954 pounds a kWh · 0.158 kWh = 0.151 pounds = 0.0684 kg" in text
    assert "real tokens: 1,234,567" in text


def test_hugging_face_reads_the_head() -> None:
    data = ModelCard(as_card(card(licence="apache-2.0", base_model="bert-base-uncased"))).data
    assert (data.language, data.license, data.library_name) == (["en"], "apache-2.0", "transformers")
    assert (data.pipeline_tag, data.base_model, data.tags) == ("fill-mask", "bert-base-uncased", ["pretune"])
    (result,) = data.eval_results
    assert (result.task_type, result.dataset_name, result.metric_type, result.metric_value) == (
        "token-classification",
        "ewt",
        "accuracy",
        0.741,
    )
    emissions = data.to_dict()["co2_eq_emissions"]
    assert emissions["emissions"] == pytest.approx(68.37, abs=0.01) and emissions["training_type"] == "pre-training"


def test_what_is_unknown_is_said_and_left_out_of_the_head() -> None:
    text = as_card(card(scores=(), outcomes=(), data=(DataSource("mine.txt", "own text"),)))
    head = ModelCard(text).data.to_dict()
    assert "license" not in head and "model-index" not in head
    assert "has not chosen a licence" in text and "not stated" in text and "None were measured." in text


def test_texts_cannot_break_the_page() -> None:
    text = as_card(card())
    assert "# novels\\_mini" in text and "encoder &lt;b> of" in text and "novels \\| 1840" in text
    assert "````sh\npretune pretrain modern-mini --corpus corpus --out run\n```\n````" in text


def test_interval_level_is_named_and_outcomes_are_listed() -> None:
    text = as_card(card())
    assert "In brackets: 95 % intervals." in text and "0.741 \\[0.720, 0.760]" in text
    assert "- The network does NOT measurably beat majority." in text
    assert text.index("Nineteenth-century") > text.index("## Limitations")
