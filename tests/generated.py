"""Generated cases: the same ones each time, and no clock over them, for a busy machine is slow."""

from typing import Any

from hypothesis import HealthCheck, settings


def steady(**more: Any) -> settings:
    """What a test of generated cases is decorated with; `more` as hypothesis has it."""
    everything = list(HealthCheck)
    return settings(
        deadline=None, database=None, derandomize=True, suppress_health_check=everything, **more
    )
