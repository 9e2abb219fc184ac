"""Energy and CO2 of a run, by the formula of Strubell et al. 2019 (section 2). Imports no torch."""

PUE = 1.58
"""Power a data centre draws for each unit its machines do, the average that Strubell et al. take."""
POUNDS_PER_KWH = 0.954
"""Pounds of CO2 a kWh in the United States (EPA 2018, as Strubell et al. cite it)."""
KG_PER_POUND = 0.45359237


def energy_kwh(watts: float, seconds: float, pue: float = PUE) -> float:
    """kWh of machines that draw `watts` on average.

    >>> round(energy_kwh(1000, 3600), 2)
    1.58
    """
    return watts / 1000 * seconds / 3600 * pue


def co2_kg(kwh: float, pounds_per_kwh: float = POUNDS_PER_KWH) -> float:
    """Kilograms of CO2 equivalent.

    >>> round(co2_kg(100), 1)
    43.3
    """
    return pounds_per_kwh * kwh * KG_PER_POUND
