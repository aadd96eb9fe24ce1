"""The Airflow entry point: mounts the API on whichever host it finds itself in."""

from __future__ import annotations

from airflow import __version__ as airflow_version
from airflow.plugins_manager import AirflowPlugin

if airflow_version.startswith("2."):
    from xtended.airflow_host.airflow2.mount import mount_points
else:
    from xtended.airflow_host.airflow3.mount import mount_points


class XtendedPlugin(AirflowPlugin):
    """What Airflow's plugin manager picks up; the host decides which attributes are filled."""

    name = "xtended"


for _attribute, _value in mount_points().items():
    setattr(XtendedPlugin, _attribute, _value)
