"""Schedules by hand, and the linear one beside torch's LambdaLR convention."""

import pytest

from pretune.core.errors import InputError
from pretune.train.config import ScheduleSettings
from pretune.train.schedule import multiplier


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        ({"name": "linear", "warmup": 0.2}, {0: 0, 0.1: 0.5, 0.2: 1, 0.6: 0.5, 1: 0}),
        ({"name": "linear", "warmup": 0, "final": 0.1}, {0: 1, 0.5: 0.55, 1: 0.1}),
        ({"name": "cosine", "warmup": 0}, {0: 1, 0.25: 0.5 + 0.5**1.5, 0.5: 0.5, 1: 0}),
        ({"name": "wsd", "warmup": 0.1, "decay": 0.5}, {0.05: 0.5, 0.1: 1, 0.5: 1, 0.75: 0.5, 1: 0}),
        ({"name": "wsd", "warmup": 0, "decay": 0}, {0: 1, 1: 1}),
        ({"name": "inverse_sqrt", "warmup": 0.25}, {0: 0, 0.125: 0.5, 0.25: 1, 1: 0.5}),
        ({"name": "constant", "warmup": 0.5}, {0: 0, 0.25: 0.5, 0.5: 1, 1: 1}),
    ],
)
def test_by_hand(schedule, values):
    settings = ScheduleSettings(**schedule)
    for progress, expected in values.items():
        assert multiplier(settings, progress) == pytest.approx(expected), progress


def test_warmup_in_steps_equals_the_usual_lambda():
    steps, warm = 50, 10
    schedule = ScheduleSettings(name="linear", warmup=warm)
    for step in range(steps):
        expected = step / warm if step < warm else (steps - step) / (steps - warm)
        assert multiplier(schedule, step / steps, steps) == pytest.approx(expected)


def test_inverse_root_as_the_transformer_has_it():
    """Rates relative to the highest: min(step ** -0.5, step * warm-up ** -1.5), times the root of the warm-up."""
    steps, warm = 80, 20
    schedule = ScheduleSettings(name="inverse_sqrt", warmup=warm)
    for step in range(1, steps):
        expected = min(step**-0.5, step * warm**-1.5) * warm**0.5
        assert multiplier(schedule, step / steps, steps) == pytest.approx(expected)
    with pytest.raises(ValueError, match="give schedule.warmup"):
        ScheduleSettings(name="inverse_sqrt", warmup=0)


def test_warmup_longer_than_the_run_is_refused():
    with pytest.raises(InputError, match="as a share"):
        multiplier(ScheduleSettings(warmup=100), 0.0, 50)


def test_wsd_does_not_decay_in_a_warmup_in_steps():
    schedule = ScheduleSettings(name="wsd", warmup=80, decay=0.5)
    with pytest.raises(InputError, match="exceed the run of 100 steps"):
        multiplier(schedule, 0.0, 100)
    values = [multiplier(schedule, step / 160, 160) for step in range(161)]
    assert max(abs(a - b) for a, b in zip(values, values[1:], strict=False)) == pytest.approx(1 / 80)
    assert multiplier(ScheduleSettings(name="wsd", warmup=33, decay=0.67), 0.33, 100) == pytest.approx(1)
