"""Energy and CO2 of a run, by the formula of Strubell et al. 2019 (section 2). Imports no torch."""

import subprocess

CPU_WATTS = 65.0
"""What a desktop processor is rated at; a guess for any one machine."""
GPU_WATTS = 300.0
"""For a GPU that does not say."""
PUE = 1.58
"""Power a data centre draws for each unit its machines do, the average that Strubell et al. take."""
POUNDS_PER_KWH = 0.954
"""Pounds of CO2 a kWh in the United States (EPA 2018, as Strubell et al. cite it)."""
KG_PER_POUND = 0.45359237


def average_watts(given: float | None, device: str, num_processes: int = 1, num_machines: int = 1) -> tuple[float, str]:
    """Average power of a run and how it is known: as given, else a guess for a CPU, or the limit of the GPU's power.

    Given or guessed for a processor it is that of a machine, of GPUs that of one, and each process has one.

    >>> average_watts(None, "cpu")
    (65.0, 'a guess for a processor: give yours with watts=...')
    """
    if given is not None:
        return given * num_machines, "the setting `watts`" + _each(num_machines, "machines")
    if not device.startswith("cuda"):
        source = "a guess for a processor: give yours with watts=..."
        return CPU_WATTS * num_machines, source + _each(num_machines, "machines")
    number = device.partition(":")[2] or "0"
    query = ["nvidia-smi", f"--id={number}", "--query-gpu=power.limit", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
        watts, source = (
            float(told.splitlines()[0]),
            "the limit of the GPU's power, as nvidia-smi says, without the rest",
        )
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        watts, source = GPU_WATTS, "a guess for a GPU: give yours with watts=..."
    return watts * num_processes, source + _each(num_processes, "GPUs")


def _each(number: int, what: str) -> str:
    return f", for each of {number} {what}" if number > 1 else ""


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
