"""Steps that are not finite are left out where asked, up to a limit; spikes are recorded; weights are watched."""

import json

import pytest
import torch
from train_toys import PoisonedCriterion, ToyCriterion, ToyModel, toy_feed, toy_settings

from pretune.checkpoint import store
from pretune.core.errors import RunError
from pretune.core.loss import Loss
from pretune.train.loop import fit
from pretune.train.numbers import Numbers, all_finite


def events(out, kind):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line.get("event") == kind]


def test_skip_leaves_the_step_out_and_says_which(tmp_path):
    course = toy_settings(steps=12, batch_size=4, on_non_finite="skip")
    feed = toy_feed(course)
    poison = feed.places(3)[2].number
    bad = [step for step in range(12) if poison in [place.number for place in feed.places(step)]]
    assert len(bad) > 1
    model = ToyModel(dropout=0.2)
    report = fit(model, PoisonedCriterion(poison), feed, course, out=tmp_path)
    assert report.steps == 12 and report.loss == report.loss and all_finite(list(model.parameters()))
    assert [line["step"] for line in events(tmp_path, "skipped")] == [step + 1 for step in bad]
    first = events(tmp_path, "skipped")[0]
    assert [0, poison] in first["samples"] and poison in first["documents"] and "token nan" in first["what"]
    assert any(f"{len(bad)} steps were skipped" in note for note in report.notes)


def test_a_skipped_step_changes_neither_weights_nor_optimizer(tmp_path):
    course = toy_settings(steps=4, batch_size=4, on_non_finite="skip", save_every_steps=1, keep_checkpoints=9)
    poison = toy_feed(course).places(2)[0].number
    assert poison not in [place.number for step in (0, 1) for place in toy_feed(course).places(step)]
    fit(ToyModel(), PoisonedCriterion(poison), toy_feed(course), course, out=tmp_path)
    two, three = (store.load(tmp_path / "checkpoints" / f"step-{step}") for step in (2, 3))
    for part in ("model", "optimizer"):
        flat = [dict(_flat(state[part])) for state in (two, three)]
        assert flat[0].keys() == flat[1].keys() and all(torch.equal(flat[0][key], flat[1][key]) for key in flat[0])
    assert three["run"]["numbers"]["num_skipped"] == 1


def test_the_limit_ends_the_run_and_counts_over_a_restart(tmp_path):
    course = toy_settings(steps=12, batch_size=4, on_non_finite="skip", max_skipped_steps=1, save_every_steps=1)
    poison = toy_feed(course).places(3)[2].number
    for _ in range(2):
        with pytest.raises(RunError, match="token nan.*is safe; 1 were left out before"):
            fit(ToyModel(), PoisonedCriterion(poison), toy_feed(course), course, out=tmp_path)
    more = course.model_copy(update={"max_skipped_steps": 5})
    assert fit(ToyModel(), PoisonedCriterion(poison), toy_feed(more), more, out=tmp_path).steps == 12


def test_a_stopped_run_may_continue_with_skip(tmp_path):
    course = toy_settings(steps=12, batch_size=4, save_every_steps=1)
    poison = toy_feed(course).places(3)[2].number
    with pytest.raises(RunError, match="on_non_finite=skip would leave it out"):
        fit(ToyModel(), PoisonedCriterion(poison), toy_feed(course), course, out=tmp_path)
    course = course.model_copy(update={"on_non_finite": "skip"})
    report = fit(ToyModel(), PoisonedCriterion(poison), toy_feed(course), course, out=tmp_path)
    assert report.resumed_from == 3 and report.steps == 12


class Spiking(ToyCriterion):
    """The loss of any batch that holds a document is a hundred times as large."""

    def __init__(self, document):
        self.document = document

    def loss(self, model, batch):
        factor = 100.0 if self.document in batch.origin_E else 1.0
        return {name: Loss(loss.sum * factor, loss.count) for name, loss in super().loss(model, batch).items()}


def test_spikes_are_recorded_with_their_samples(tmp_path):
    course = toy_settings(steps=50, batch_size=2, optimizer={"lr": 1e-4})
    feed = toy_feed(course, num_samples=100)
    odd = feed.places(40)[1].number
    report = fit(ToyModel(), Spiking(odd), feed, course, out=tmp_path)
    (spike,) = events(tmp_path, "spike")
    assert spike["step"] == 41 and odd in spike["documents"]
    assert spike["samples"] == [[place.epoch, place.number] for place in feed.places(40)]
    assert spike["loss"] > spike["mean"] + 6 * spike["deviation"]
    assert any("1 steps had a spike" in note for note in report.notes)
    quiet = toy_settings(steps=50, batch_size=2, optimizer={"lr": 1e-4}, spike_sigma=None)
    fit(ToyModel(), Spiking(odd), toy_feed(quiet, num_samples=100), quiet, out=tmp_path / "quiet")
    assert not events(tmp_path / "quiet", "spike")


def test_a_spike_is_measured_by_hand():
    numbers = Numbers(window=20, sigma=3.0)
    assert [numbers.spike(loss) for loss in [1.0, 3.0] * 10] == [None] * 20  # mean 2, deviation 1
    assert numbers.spike(4.9) is None  # the window is now nineteen of them and 4.9
    again = Numbers(window=20, sigma=3.0)
    again.load_state_dict({"num_skipped": 0, "num_spikes": 0, "losses": [1.0, 3.0] * 10})
    assert again.spike(5.1) == {"loss": 5.1, "mean": 2.0, "deviation": 1.0} and again.num_spikes == 1
    flat = Numbers(window=20, sigma=3.0)
    assert [flat.spike(2.0) for _ in range(20)] == [None] * 20
    assert flat.spike(2.05) is None and flat.spike(2.2) is not None


def test_weights_that_blew_up_are_never_saved(tmp_path):
    """The last step's gradient is finite and its update is not: no loss is there any more to tell."""
    course = toy_settings(steps=3, save_every_steps=1, optimizer={"lr": 1e-2}, clip_norm=None)
    model = ToyModel()
    calls = []

    class Blow(ToyCriterion):
        def loss(self, model, batch):
            calls.append(batch)
            return super().loss(model, batch)

    def burst(run):
        if run.step == 3:
            with torch.no_grad():
                run.model.body.wide.weight[0, 0] = float("inf")

    from pretune.core.hooks import Hook

    hook = Hook()
    hook.on_step = burst
    with pytest.raises(RunError, match="step 3: the weights are not finite any more.*step-2 is safe"):
        fit(model, Blow(), toy_feed(course), course, [hook], out=tmp_path)
    assert [path.name for _, path in store.checkpoints(tmp_path / "checkpoints")] == ["step-2", "step-1"]


def test_all_finite():
    good = [torch.ones(2), torch.ones(3, dtype=torch.bfloat16), torch.tensor([1]), torch.empty(0)]
    assert all_finite(good) and all_finite([])
    assert not all_finite([*good, torch.tensor([1.0, float("nan")])])
    assert not all_finite([*good, torch.tensor([-float("inf")], dtype=torch.float16)])


def _flat(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", torch.as_tensor(value)
