"""Round numbers for axes: steps of 1, 2 or 5 times a power of ten (Heckbert, Graphics Gems 1990), or powers of ten."""

import math


def linear_ticks(low: float, high: float, at_most: int = 6) -> list[float]:
    """Multiples of a round step inside [low, high], at most `at_most` of them, where low < high.

    >>> linear_ticks(4.1, 6.6)
    [4.5, 5.0, 5.5, 6.0, 6.5]
    >>> linear_ticks(0, 1000, 5)
    [0.0, 250.0, 500.0, 750.0, 1000.0]
    """
    power = 10.0 ** (math.floor(math.log10((high - low) / at_most)) - 1)
    for factor in (1, 2, 2.5, 5, 10, 20, 25, 50, 100, 200):
        step = factor * power
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < at_most:
            return [number * step for number in range(first, last + 1)]
    raise AssertionError((low, high))


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten inside [low, high], and 2 and 5 times them where there are fewer than three; 0 < low < high.

    >>> log_ticks(10, 2000)
    [10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0]
    """
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inside = [10.0**e for e in exponents if low <= 10.0**e * (1 + 1e-9) and 10.0**e <= high * (1 + 1e-9)]
    if len(inside) > 3:
        return inside
    finer = [m * 10.0**e for e in exponents for m in (1, 2, 5)]
    finer = [tick for tick in finer if low <= tick * (1 + 1e-9) and tick <= high * (1 + 1e-9)]
    return finer if len(finer) >= 2 else linear_ticks(low, high)


def tick_text(value: float) -> str:
    """A tick's label: no more digits than it needs.

    >>> [tick_text(value) for value in (0.1 + 0.2, 1000.0, 2_500_000.0, 1e-5)]
    ['0.3', '1,000', '2.5M', '1e-05']
    """
    if abs(value) >= 1e6:
        return f"{value / 1e6:.6g}M"
    if abs(value) >= 1000 and value == round(value):
        return f"{value:,.0f}"
    return f"{value:.6g}"
