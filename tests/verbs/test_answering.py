"""Models that transformers saved for question answering answer here as their logits say."""

import numpy as np
import pytest
import torch

import pretune

transformers = pytest.importorskip("transformers")

CONTEXT = (
    "The man was kind, and her heart is new. Happy was the day so dear to his cruel house; the sad man looked dark."
)


def theirs(model, tokenizer, question):
    """{(start, end): score} of every span of whole words of the context, from padded batches of windows of one."""
    found = tokenizer(question, CONTEXT, return_offsets_mapping=True, return_tensors="pt")
    offsets, sequence, words = found.pop("offset_mapping")[0], found.sequence_ids(0), found.word_ids(0)
    with torch.no_grad():
        out = model(**found)
    rows = [row for row, part in enumerate(sequence) if part == 1]
    firsts = [row for row in rows if row - 1 not in rows or words[row - 1] != words[row]]
    lasts = [row for row in rows if row + 1 not in rows or words[row + 1] != words[row]]
    return {
        (int(offsets[first][0]), int(offsets[last][1])): float(out.start_logits[0, first] + out.end_logits[0, last])
        for first in firsts
        for last in lasts
        if first <= last < first + 30
    }


@pytest.mark.parametrize("family", ["bert", "modern"])
def test_predicts_as_transformers_logits_say(world, family, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(world.tokenizer)
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    names = {
        "bert": ("BertConfig", "BertForQuestionAnswering"),
        "modern": ("ModernBertConfig", "ModernBertForQuestionAnswering"),
    }
    config, model = (getattr(transformers, name) for name in names[family])
    torch.manual_seed(0)
    model = model(config(**sizes, intermediate_size=48, pad_token_id=tokenizer.pad_token_id)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = pretune.load(tmp_path)
    for question in ("who was kind", "what of the man"):
        if family == "modern":
            tokenizer.model_input_names = ["input_ids", "attention_mask"]
        scores = theirs(model, tokenizer, question)
        (found,) = loaded.predict([{"question": question, "context": CONTEXT}])
        best = max(scores, key=scores.get)
        assert (found["start"], found["end"]) == best and found["answer"] == CONTEXT[slice(*best)]
        total = sum(np.exp(score) for score in scores.values())
        assert found["score"] == pytest.approx(np.exp(scores[best]) / total, rel=1e-4)
    with pytest.raises(ValueError, match="no 'context'"):
        loaded.predict(["a text"])
