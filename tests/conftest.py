"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long something takes is for the benchmarks to say: a busy machine breaks no promise.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
