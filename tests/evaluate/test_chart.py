"""Charts: valid XML, points where the numbers say, every value findable, edge cases of axes."""

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretune.core.errors import InputError
from pretune.evaluate.chart import BOTTOM, HEIGHT, LEFT, RIGHT, WIDTH, Chart, Reference, Series, as_svg
from pretune.evaluate.ticks import linear_ticks, log_ticks, tick_text

LOSS = Series("validation <loss>", ((0.0, 6.7), (100.0, 5.1), (200.0, 4.3)))


def chart(*series: Series, **options: object) -> Chart:
    return Chart("Loss", "steps", "nats & bits", series or (LOSS,), **options)  # type: ignore[arg-type]


def drawn(svg: str) -> list[list[tuple[float, float]]]:
    root = ElementTree.fromstring(svg)
    lines = [line.attrib["points"] for line in root.iter("polyline")]
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in line.split())] for line in lines]


def test_points_lie_between_the_axes_in_proportion() -> None:
    (points,) = drawn(as_svg(chart()))
    assert [x for x, _ in points] == pytest.approx([LEFT, (LEFT + WIDTH - RIGHT) / 2, WIDTH - RIGHT], abs=0.01)
    (_, y0), (_, y1), (_, y2) = points
    assert y0 < y1 < y2 < HEIGHT - BOTTOM  # downwards on the page
    assert (y1 - y0) / (y2 - y1) == pytest.approx((6.7 - 5.1) / (5.1 - 4.3), abs=0.01)


def test_reference_line_is_at_its_value() -> None:
    svg = as_svg(chart(references=(Reference("unigram entropy", 5.1),)))
    y = float(re.search(r'class="reference" [^>]*y1="([\d.]+)" y2="\1"><title>unigram entropy: 5.1<', svg)[1])
    assert y == pytest.approx(drawn(svg)[0][1][1], abs=0.01)
    assert "unigram entropy (5.1)" in svg


def test_every_value_is_in_a_tooltip_and_in_the_numbers() -> None:
    svg = as_svg(chart())
    for x, y in LOSS.points:
        assert f"validation &lt;loss&gt;: {y!r} at {x!r}" in svg
    assert chart().numbers().rows == (("0", 6.7), ("100", 5.1), ("200", 4.3))


def test_two_series_with_unequal_places_share_the_table() -> None:
    other = Series("training", ((100.0, 5.0), (150.0, 4.9)))
    assert chart(LOSS, other).numbers().rows == (
        ("0", 6.7, None),
        ("100", 5.1, 5.0),
        ("150", None, 4.9),
        ("200", 4.3, None),
    )


def test_logarithmic_axis_spaces_decades_alike() -> None:
    (points,) = drawn(as_svg(chart(Series("a", ((10.0, 1.0), (100.0, 2.0), (1000.0, 3.0))), x_scale="log")))
    assert points[1][0] - points[0][0] == pytest.approx(points[2][0] - points[1][0], abs=0.02)
    as_svg(chart(Series("a", ((5.0, 1.0),)), x_scale="log"))


def test_divergence_breaks_the_line_and_is_not_hidden() -> None:
    broken = Series("a", ((0.0, 1.0), (1.0, 2.0), (2.0, math.nan), (3.0, 2.0), (4.0, math.inf)))
    assert [len(run) for run in drawn(as_svg(chart(broken)))] == [2, 1]
    assert len(chart(broken).numbers().rows) == 5


@given(
    st.lists(
        st.tuples(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9)), min_size=1, max_size=8, unique_by=lambda point: point[0]
    )
)
def test_any_points_give_valid_xml_inside_the_frame(points: list[tuple[float, float]]) -> None:
    svg = as_svg(chart(Series("<&>", tuple(points))))
    for run in drawn(svg):
        assert all(LEFT - 0.1 <= x <= WIDTH - RIGHT + 0.1 and 0 <= y <= HEIGHT for x, y in run)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_inside_and_few(low: float, width: float) -> None:
    ticks = linear_ticks(low, low + width)
    assert 1 <= len(ticks) <= 6
    slack = width * 1e-6 + 4 * math.ulp(abs(low) + width)
    assert all(low - slack <= tick <= low + width + slack for tick in ticks)


def test_log_ticks_over_many_decades_are_decades() -> None:
    assert log_ticks(1, 1e6) == [10.0**e for e in range(7)]
    assert tick_text(-0.25) == "-0.25"


@pytest.mark.parametrize("values", [(0.0, 5e-324), (1e9, 1e9 + 1e-6), (0.0, 1e-300), (-1e300, 1e300)])
def test_extreme_spans_are_drawn(values: tuple[float, float]) -> None:
    points = drawn(as_svg(chart(Series("a", ((0.0, values[0]), (1.0, values[1]))))))
    assert all(math.isfinite(y) for _, y in points[0])


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="no finite point"):
        chart(Series("a", ((0.0, math.nan),)))
    with pytest.raises(InputError, match="positive x"):
        chart(x_scale="log")
    with pytest.raises(InputError, match="not finite"):
        chart(references=(Reference("r", math.inf),))
    with pytest.raises(ValueError, match="two values at one x"):
        Series("a", ((0.0, 1.0), (0.0, 2.0)))
