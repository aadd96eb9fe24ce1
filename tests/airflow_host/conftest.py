"""Each host's own tests run in the environment of that host alone."""

from __future__ import annotations

from importlib.metadata import version

HOST = f"airflow{version('apache-airflow').split('.')[0]}"
collect_ignore = [name for name in ("airflow2", "airflow3") if name != HOST]
