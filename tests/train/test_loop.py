"""fit: resume equals no interruption bit by bit, counts come first, bad numbers stop it, best weights, records."""

import contextlib
import gc
import json
import time
import weakref
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from train_toys import PoisonedCriterion, ToyCriterion, ToyModel, toy_feed, toy_settings

from pretune.checkpoint import store
from pretune.core.errors import InputError, RunError
from pretune.core.hooks import Hook
from pretune.core.pack import pack
from pretune.train.evaluation import Evaluate
from pretune.train.loop import autocast_dtype, fit
from pretune.train.step import Step, gradients

CPU = torch.device("cpu")


class Interrupted(Exception):
    pass


class InterruptAfter(Hook):
    def __init__(self, step):
        self.step = step

    def on_step(self, run):
        if run.step == self.step:
            raise Interrupted


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same(ours, theirs):
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


COURSE = {"steps": 12, "short_length": 5, "short_share": 0.6, "save_every_steps": 2}


def run_course(out=None, hooks=(), model_seed=0, **changes):
    model = ToyModel(dropout=0.3, seed=model_seed)
    course = toy_settings(**COURSE | changes)
    report = fit(model, ToyCriterion(), toy_feed(course, num_samples=13), course, hooks, out=out)
    return weights(model), report


def test_a_run_leaves_no_model_behind(tmp_path):
    """Models of runs in one process, as of suites and curves, are freed at once: nothing waits for the collector."""
    model, course = ToyModel(), toy_settings(steps=4, save_every_steps=2)
    left = weakref.ref(model)
    gc.disable()
    try:
        fit(model, ToyCriterion(), toy_feed(course, num_samples=13), course, (), out=tmp_path)
        del model
        assert left() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_resume_equals_no_interruption(tmp_path_factory, optimizer):
    """With dropout, accumulation, two lengths and the borders of epochs; interrupted at any step, twice."""
    changes = {"optimizer": {"name": optimizer, "lr": 1e-2}}
    whole, report = run_course(**changes)
    assert report.resumed_from is None and not report.notes

    @settings(max_examples=6, deadline=None)
    @given(st.lists(st.integers(1, 11), min_size=1, max_size=2))
    def check(interruptions):
        out = tmp_path_factory.mktemp("run")
        for step in interruptions:
            with contextlib.suppress(Interrupted):
                run_course(out, [InterruptAfter(step)], model_seed(out), **changes)
        continued, resumed = run_course(out, (), model_seed(out), **changes)
        assert_same(continued, whole)
        assert (resumed.losses, resumed.tokens) == (report.losses, report.tokens)

    def model_seed(out):
        """Once there is a checkpoint the weights a model comes with do not matter."""
        return 7 if (out / "checkpoints").exists() else 0

    check()


def test_the_comparison_can_fail(tmp_path):
    """Another seed of data and dropout, or optimizer state that is forgotten, gives other weights."""
    whole, _ = run_course()
    others = [run_course(model_seed=1)[0], run_course(seed=3)[0]]
    with pytest.raises(Interrupted):
        run_course(tmp_path, [InterruptAfter(5)])
    path = store.latest(tmp_path / "checkpoints").path
    state = store.load(path)
    store.save(tmp_path / "checkpoints", 4, state | {"optimizer": {}}, keep=1)
    others.append(run_course(tmp_path)[0])
    for other in others:
        with pytest.raises(AssertionError):
            assert_same(other, whole)


def test_workers_do_not_change_the_weights():
    assert_same(run_course(workers=1)[0], run_course()[0])


def test_metrics_have_every_step_once(tmp_path):
    for step in (5, 8):
        with pytest.raises(Interrupted):
            run_course(tmp_path, [InterruptAfter(step)])
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 9, "loss"')  # what a kill leaves
    run_course(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 13))
    _, report = run_course()
    assert lines[-1]["tokens"] == report.tokens
    assert set(lines[0]["losses"]) == {"token", "whole"}
    assert lines[0]["loss"] == pytest.approx(sum(lines[0]["losses"].values()))


def test_complete_run_returns_its_report_without_training(tmp_path):
    first, report = run_course(tmp_path)
    again, repeated = run_course(tmp_path, [InterruptAfter(12)], model_seed=4)
    assert_same(first, again)
    assert (repeated.steps, repeated.losses, repeated.stopped) == (12, report.losses, "steps")
    assert len(store.checkpoints(tmp_path / "checkpoints")) == 2


def test_other_settings_data_or_model_are_refused(tmp_path):
    with pytest.raises(Interrupted):
        run_course(tmp_path, [InterruptAfter(5)])
    with pytest.raises(InputError, match="seed was 0 and is now 1"):
        run_course(tmp_path, seed=1)
    course = toy_settings(**COURSE)
    with pytest.raises(InputError, match="not what this run began with"):
        fit(ToyModel(), ToyCriterion(), toy_feed(course, num_samples=14), course, out=tmp_path)
    with pytest.raises(InputError, match="another model"):
        fit(torch.nn.Linear(2, 2), ToyCriterion(), toy_feed(course, 13), course, out=tmp_path)
    run_course(tmp_path, save_every_steps=4, keep_checkpoints=1)  # these are free


def test_damaged_checkpoint_falls_back_and_says_so(tmp_path, caplog):
    whole, _ = run_course()
    with pytest.raises(Interrupted):
        run_course(tmp_path, [InterruptAfter(9)])
    file = tmp_path / "checkpoints" / "step-8" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    continued, report = run_course(tmp_path, model_seed=3)
    assert_same(continued, whole)
    assert report.resumed_from == 6
    assert "step-8" in report.notes[0] and "sha256" in report.notes[0] and "damaged" in caplog.text
    assert (tmp_path / "checkpoints" / "damaged-0-step-8").is_dir()


def test_all_checkpoints_damaged_is_an_error(tmp_path):
    with pytest.raises(Interrupted):
        run_course(tmp_path, [InterruptAfter(5)])
    for _, path in store.checkpoints(tmp_path / "checkpoints"):
        (path / "state.json").write_text("{}")
    for _ in range(2):  # and stays one
        with pytest.raises(RunError, match="no checkpoint in .* is usable"):
            run_course(tmp_path)


def test_counts_first_equals_one_big_batch():
    course = toy_settings(batch_size=16)
    feed = toy_feed(course)
    batches = feed.step(0, 0.0)
    examples = [feed.phases[0].source.example(p.number, p.epoch, 0.0) for p in feed.places(0)]
    assert len(batches) > 3
    results = []
    for parts in (batches, [pack(examples)]):
        model = ToyModel()
        step = Step(model, ToyCriterion())
        result = gradients(step, list(model.parameters()), parts, (0, 0, 0), CPU, None)
        results.append((result, [p.grad for p in model.parameters()]))
    (ours, our_grads), (big, big_grads) = results
    for a, b in zip(our_grads, big_grads, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    assert ours.losses == pytest.approx(big.losses) and ours.norm == pytest.approx(big.norm, rel=1e-5)
    counts = ToyCriterion().counts(pack(examples))
    assert counts["token"] != counts["whole"]


def test_dropout_depends_on_seed_step_micro_batch_and_rank_only():
    batch = toy_feed(toy_settings()).step(0, 0.0)[0]

    def norm(place, batches):
        model = ToyModel(dropout=0.5)
        return gradients(Step(model, ToyCriterion()), list(model.parameters()), batches, place, CPU, None).norm

    norms = [norm(place, [batch]) for place in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))]
    assert len(set(norms)) == 4 and norm((0, 0, 0), [batch]) == norms[0]
    assert norm((0, 0, 0), [batch, batch]) != pytest.approx(norms[0], rel=1e-4)  # two masks, not one twice


def test_non_finite_loss_stops_before_the_step_and_names_documents(tmp_path):
    course = toy_settings(steps=20, batch_size=4, save_every_steps=1)
    feed = toy_feed(course)
    poison = feed.places(3)[2].number
    assert len(feed.step(3, 0.0)) > 1
    model = ToyModel()
    message = rf"step 4: .*token nan.*batch: (\d+, )*{poison}(, \d+)?; .*checkpoints/step-3 is safe"
    with pytest.raises(RunError, match=message) as caught:
        fit(model, PoisonedCriterion(poison), feed, course, out=tmp_path)
    assert str(caught.value).count(",") < 5  # the documents of the bad micro-batch only
    kept = store.load(store.latest(tmp_path / "checkpoints").path)["model"]
    assert_same(weights(model), kept)
    assert all(tensor.isfinite().all() for tensor in kept.values())


def test_non_finite_gradient_stops_too():
    model = ToyModel()
    model.body.wide.weight.register_hook(lambda grad: grad * float("inf"))
    before = weights(model)
    course = toy_settings(steps=2)
    with pytest.raises(RunError, match="gradient is not finite .* documents in the batch: "):
        fit(model, ToyCriterion(), toy_feed(course), course)
    assert_same(weights(model), before)


def test_clipping_is_torchs():
    model = ToyModel()
    course = toy_settings(steps=1, clip_norm=0.01, schedule={"warmup": 0})
    norms = []

    class Look(Hook):
        def on_step(self, run):
            norms.append(torch.nn.utils.get_total_norm([p.grad for p in model.parameters()]).item())
            norms.append(run.grad_norm)

    fit(model, ToyCriterion(), toy_feed(course), course, [Look()])
    assert norms[0] == pytest.approx(0.01, rel=1e-3) and norms[1] > 0.1


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_overfits_a_toy(optimizer):
    course = toy_settings(
        steps=150, batch_size=10, optimizer={"name": optimizer, "lr": 0.03}, schedule={"warmup": 0.05}
    )
    report = fit(ToyModel(), ToyCriterion(), toy_feed(course, 10), course)
    assert report.losses["token"] < 0.7 and report.losses["whole"] < 0.1


def score_by_step(scores):
    calls = iter(scores)
    return lambda model: {"accuracy": next(calls)}


def test_best_weights_and_early_stopping(tmp_path):
    seen = {}

    class Keep(Hook):
        def on_step(self, run):
            seen[run.step] = weights(run.model)

    def run(interruption=None):
        scores = {2: 0.1, 4: 0.9, 6: 0.3, 8: 0.2}
        model = ToyModel()
        course = toy_settings(steps=100, save_every_steps=5)
        step = {}
        evaluate = Evaluate(lambda model: {"accuracy": scores[step["now"]]}, every=2, metric="accuracy", patience=2)

        class Count(Hook):
            def on_step(self, run):
                step["now"] = run.step

        hooks = [Count(), Keep(), evaluate, *([InterruptAfter(interruption)] if interruption else [])]
        return model, fit(model, ToyCriterion(), toy_feed(course), course, hooks, out=tmp_path)

    with pytest.raises(Interrupted):
        run(7)
    model, report = run()
    assert report.resumed_from == 5 and report.steps == 8
    assert report.stopped == "no better accuracy in 2 evaluations"
    assert (report.best.step, report.best.score) == (4, 0.9)
    assert_same(weights(model), seen[4])
    model, report = run()  # complete: nothing is trained, the best weights are there again
    assert_same(weights(model), seen[4])
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "valid" in line] == [2, 4, 6, 8]


def test_evaluation_at_shares_at_the_end_and_in_eval_mode():
    model = ToyModel(dropout=0.5)
    model.heads["whole"].eval()
    modes = []

    def score(model):
        modes.append((model.training, torch.is_grad_enabled()))
        return {"loss": float("nan")}

    course = toy_settings(steps=9)
    evaluate = Evaluate(score, every=0.25, metric="loss", higher_is_better=False)
    assert evaluate.every == 0.25
    fit(model, ToyCriterion(), toy_feed(course), course, [evaluate])
    assert modes == [(False, False)] * 4 and evaluate.best is None and model.training
    with pytest.raises(ValueError, match="share below 1"):
        Evaluate(score, every=1.5)
    with pytest.raises(ValueError, match="patience"):
        Evaluate(score, patience=2)


def test_evaluation_does_not_change_the_course():
    def score(model):
        return {"noise": torch.rand(()).item()}

    assert_same(run_course(hooks=[Evaluate(score, every=3)])[0], run_course()[0])


def test_seconds_end_the_run(tmp_path, monkeypatch):
    """The clock is the test's: each step takes a hundredth of a second, however busy the machine is."""
    course = toy_settings(steps=None, seconds=0.4, save_every_steps=10_000, schedule={"warmup": 0.1})
    rates, clock = [], SimpleNamespace(now=None)

    def monotonic():
        clock.now = clock.now or time.monotonic()
        return clock.now

    class Rates(Hook):
        def on_step(self, run):
            rates.append(run.lr)
            clock.now += 0.01

    monkeypatch.setattr("pretune.train.run.time", SimpleNamespace(monotonic=monotonic))

    report = fit(ToyModel(), ToyCriterion(), toy_feed(course), course, [Rates()], out=tmp_path)
    assert report.stopped == "seconds" and 38 <= report.steps <= 42
    assert max(rates) > 0.8e-2 and rates[-1] < 0.2e-2
    assert store.latest(tmp_path / "checkpoints").step == report.steps


def test_the_callers_random_state_is_not_touched():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    course = toy_settings(steps=2)
    model = ToyModel(dropout=0.5)
    torch.manual_seed(0)
    fit(model, ToyCriterion(), toy_feed(course), course)
    assert torch.equal(torch.rand(3), expected)


def test_precision():
    assert autocast_dtype("auto", CPU) is None and autocast_dtype("fp32", CPU) is None
    assert autocast_dtype("bf16", CPU) == torch.bfloat16
    course = toy_settings(steps=3)
    exact = fit(ToyModel(), ToyCriterion(), toy_feed(course), course)
    rough = fit(ToyModel(), ToyCriterion(), toy_feed(course), course.model_copy(update={"precision": "bf16"}))
    assert rough.loss != exact.loss and rough.loss == pytest.approx(exact.loss, rel=0.05)


def test_feed_and_settings_agree_on_tally():
    course = toy_settings(steps=4)
    feed = toy_feed(course)
    report = fit(ToyModel(), ToyCriterion(), feed, course)
    streams = [batch.source for step in range(4) for batch in feed.step(step, 0.0)]
    assert report.tokens == sum(stream.num_tokens for stream in streams)
    assert report.tally.squared_lengths == sum(int((stream.lengths_N**2).sum()) for stream in streams)
    assert report.tally.predictions["whole"] == 24 and 0 < report.padding_saved < 1
    assert replace(report, notes=()) == report
