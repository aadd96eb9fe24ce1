"""Have Airflow's database follow the DAG folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xtended import refreshing
from xtended.api import Call


def scan_dags(call: Call, *, otf_sync: bool = False) -> Mapping[str, Any]:
    return refreshing.scan(call, publish=otf_sync).body("Ondemand DAG scan complete!!")


def refresh_all_dags(call: Call) -> Mapping[str, Any]:
    return refreshing.scan(call, publish=True).body("All DAGs are now up-to-date!!")


def refresh_dag(call: Call, dag_id: str) -> Mapping[str, Any]:
    return refreshing.refresh(call, dag_id).body(f"DAG [{dag_id}] is now up-to-date!!")


# The older GET forms differ in the spec alone: deprecated, and without the session cookie.
scan_dags_by_get = scan_dags
refresh_all_dags_by_get = refresh_all_dags
refresh_dag_by_get = refresh_dag
