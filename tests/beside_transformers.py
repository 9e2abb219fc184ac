"""A model beside transformers': random weights, the same sequences to both, files that one wrote read by the other."""

import inspect
import json
from dataclasses import replace

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

from pretune.core.assemble import assemble
from pretune.core.marks import WORD_START
from pretune.core.pack import pack
from pretune.core.stream import Segments, Span, Targets
from pretune.families.family import family_of, open_family

VOCAB = 61
SPECIAL = {"pad": 0, "cls": 1, "sep": 2, "mask": 3, "unk": 4}
LENGTHS = [(7, 5), (23, None), (4, 19), (1, 1), (30, 2), (11, None)]
LABELS = ("no", "perhaps", "yes")
EVERY_ROW = ("lm", "token", "answer", "mean", "replaced_token")


def randomise(module, seed=0):
    """Draws every parameter so that each matters: matrices by fan-in, embeddings 0.3, norms about 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.named_parameters():
            drawn = torch.empty(value.shape).normal_(generator=generator)
            if value.ndim == 2:
                drawn *= 0.3 if "embedding" in name else 0.9 / value.shape[1] ** 0.5
            elif name.endswith("weight") and value.ndim == 1:
                drawn = 1 + 0.4 * drawn
            elif value.ndim == 1:
                drawn *= 0.4
            value.copy_(drawn)
    return module.eval()


def examples(template, heads=("lm",), lengths=LENGTHS):
    """Singles and pairs of unequal lengths; heads of `EVERY_ROW` read every row, the others the template's summary row,
    the first or the last."""
    rng = np.random.default_rng(5)
    found = []
    for first, second in lengths:
        texts = [first] if second is None else [first, second]
        spans = [Span(rng.integers(5, VOCAB, n).astype(np.int32), np.full(n, WORD_START, np.uint8)) for n in texts]
        example = assemble(Segments(spans), template)
        found.append(reading(example, template, heads))
    return found


def reading(example, template, heads):
    """The example with heads that read it."""
    every = np.arange(example.read.num_tokens)
    summary = every[:1] if template.summary == 0 else every[-1:]
    rows = {head: every if head in EVERY_ROW else summary for head in heads}
    return replace(example, predict={head: Targets(at_MK=at[:, None]) for head, at in rows.items()})


def padded(batch_examples, pad=0):
    """The same sequences as transformers takes them: padded, with a mask."""
    longest = max(example.source.num_tokens for example in batch_examples)
    shape = (len(batch_examples), longest)
    batch = {name: torch.zeros(shape, dtype=torch.long) for name in ("input_ids", "attention_mask", "token_type_ids")}
    batch["input_ids"] += pad
    for row, example in enumerate(batch_examples):
        length = example.source.num_tokens
        batch["input_ids"][row, :length] = torch.from_numpy(example.source.ids_T)
        batch["attention_mask"][row, :length] = 1
        batch["token_type_ids"][row, :length] = torch.from_numpy(example.source.segment_ids_T)
    return batch


def reference_run(reference, batch_examples):
    inputs = padded(batch_examples, reference.config.pad_token_id or 0)
    takes_types = "token_type_ids" in inspect.signature(reference.forward).parameters
    if not takes_types or "gpt" in reference.config.model_type:  # which adds the vectors of tokens with these ids
        del inputs["token_type_ids"]
    if batch_examples[0].target is not None:
        longest = max(example.target.num_tokens for example in batch_examples)
        inputs["decoder_input_ids"] = torch.zeros((len(batch_examples), longest), dtype=torch.long)
        for row, example in enumerate(batch_examples):  # what is behind a text, no token of it sees
            inputs["decoder_input_ids"][row, : example.target.num_tokens] = torch.from_numpy(example.target.ids_T)
    if type(reference).__name__.endswith("MultipleChoice"):  # three choices for each of two questions
        inputs = {name: value.unflatten(0, (-1, 3)) for name, value in inputs.items()}
    with torch.no_grad():
        return reference(**inputs, output_hidden_states=True, return_dict=True)


def ours_by_example(values, stream):
    """Rows of a packed stream, one tensor an example, in the order given."""
    parts = torch.split(values, stream.lengths_N.tolist())
    found = [None] * len(parts)
    for place, part in zip(stream.order_N, parts, strict=True):
        found[place] = part
    return found


def assert_hidden_equal(model, reference, batch_examples, tolerance=1e-5, order=None):
    batch = pack(batch_examples).to("cpu")
    theirs = reference_run(reference, batch_examples)
    with torch.no_grad():
        ours = model.eval().body(batch, layers="all")
        if batch.target is None:
            assert_layers_equal(ours, theirs.hidden_states, batch.source, tolerance)
            return
        sources = model.body.encode(batch, layers="all")
    assert_layers_equal(sources, theirs.encoder_hidden_states, batch.source, tolerance, tolerance, order)
    assert_layers_equal(ours, theirs.decoder_hidden_states, batch.target, tolerance, tolerance, order)


def assert_layers_equal(ours, theirs, stream, tolerance, relative=0.0, order=None):
    """order: which of their dimensions each of ours is. Two stacks may differ by as much of a value, too: pre-norm
    residuals grow, and T5 does not scale its products."""
    assert len(ours) == len(theirs)
    for layer_ours, layer_theirs in zip(ours, theirs, strict=True):
        for row, part in enumerate(ours_by_example(layer_ours, stream)):
            expected = layer_theirs[row, : len(part)]
            expected = expected if order is None else expected[:, order]
            torch.testing.assert_close(part, expected, atol=tolerance, rtol=relative)


def logits_of(model, batch_examples):
    with torch.no_grad():
        return model.eval()(pack(batch_examples).to("cpu"))


def assert_rows_equal(ours_MC, theirs, batch_examples, tolerance=1e-5):
    """Logits at every row of every example, in the order of the examples."""
    start = 0
    for row, example in enumerate(batch_examples):
        number = example.read.num_tokens
        torch.testing.assert_close(ours_MC[start : start + number], theirs[row, :number], atol=tolerance, rtol=0)
        start += number
    assert start == len(ours_MC)


def load_theirs(reference, tmp_path):
    """Their files, read by us."""
    reference.save_pretrained(tmp_path)
    hf = json.loads((tmp_path / "config.json").read_text())
    return family_of(hf).from_hf(hf, load_file(tmp_path / "model.safetensors"))


def save_ours(family, loaded_model, specs, tmp_path, kept=None):
    """Our files, as transformers opens them."""
    hf, weights = open_family(family).to_hf(loaded_model, specs, kept)
    (tmp_path / "config.json").write_text(json.dumps(hf))
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    return tmp_path


def reopened(class_name, folder):
    model, report = getattr(transformers, class_name).from_pretrained(
        folder, attn_implementation="eager", output_loading_info=True
    )
    assert not report["missing_keys"] and not report["mismatched_keys"]
    return model.eval(), set(report["unexpected_keys"])


def compare(model, reference, batch_examples, heads, order=None):
    """heads: {ours: attribute of their output, or attributes, a column each}."""
    assert_hidden_equal(model, reference, batch_examples, order=order)
    ours, theirs = logits_of(model, batch_examples), reference_run(reference, batch_examples)
    for head, attribute in heads.items():
        if isinstance(attribute, tuple):
            assert_rows_equal(ours[head], torch.stack([theirs[name] for name in attribute], -1), batch_examples)
        elif head in EVERY_ROW and theirs[attribute].ndim == 2:
            assert_rows_equal(ours[head], theirs[attribute].unsqueeze(-1), batch_examples)
        elif head in EVERY_ROW:
            assert_rows_equal(ours[head], theirs[attribute], batch_examples)
        else:
            torch.testing.assert_close(ours[head], theirs[attribute].reshape(ours[head].shape), atol=1e-5, rtol=0)


def with_labels(config):
    config.id2label = dict(enumerate(LABELS))
    config.label2id = {label: number for number, label in enumerate(LABELS)}
    return config


def assert_steps_equal(model, reference, batch_examples, num_steps=3, tolerance=1e-5):
    """Prompts of unequal lengths read at once, then a token more at a time, and once half of the sequences left out and
    the others turned round: logits of the last rows equal those of transformers, each sequence alone with its cache."""
    steps_SN = torch.randint(5, VOCAB, (num_steps, len(batch_examples)), generator=torch.Generator().manual_seed(3))
    kept = list(range(len(batch_examples)))
    with torch.no_grad():
        hidden_ND, cache = model.eval().body.prefill(pack(batch_examples).to("cpu"), num_steps)
        alone = [reference_step(reference, example, None, None) for example in batch_examples]
        for step in range(num_steps + 1):
            logits_NV = model.heads["lm"](hidden_ND.unsqueeze(1), None)
            for row, number in enumerate(kept):
                torch.testing.assert_close(logits_NV[row], alone[number].logits[0, -1], atol=tolerance, rtol=0)
            if step == num_steps:
                break
            if step == 1:
                order = torch.arange(len(kept) - 1, -1, -2)
                kept = [kept[row] for row in order]
                cache.select(order)
            ids_N = steps_SN[step, kept]
            hidden_ND = model.body.step(ids_N, cache)
            for row, number in enumerate(kept):
                told = alone[number], batch_examples[number]
                alone[number] = reference_step(reference, told[1], ids_N[row : row + 1], told[0].past_key_values)


def reference_step(reference, example, next_id, cache):
    """Their output after a prompt (a decoder's input, where there is one), or after one token more with their cache."""
    source = torch.from_numpy(example.source.ids_T)[None]
    read = source if example.target is None else torch.from_numpy(example.target.ids_T)[None]
    ids = read if next_id is None else next_id[None]
    name = "input_ids" if example.target is None else "decoder_input_ids"
    more = {} if example.target is None else {"input_ids": source}
    return reference(**{name: ids}, **more, past_key_values=cache, use_cache=True, return_dict=True)
