"""The Airflow entry point: mounts the API on whichever host it finds itself in."""

from __future__ import annotations

import os

from airflow import __version__ as airflow_version
from airflow.plugins_manager import AirflowPlugin

from xtended.dagparse.launch import RUNNING_IN_PARSER

if airflow_version.startswith("2."):
    from xtended.airflow_host.airflow2.mount import mount_points
else:
    from xtended.airflow_host.airflow3.mount import mount_points


class XtendedPlugin(AirflowPlugin):
    """What Airflow's plugin manager picks up; the host decides which attributes are filled."""

    name = "xtended"


# A DAG file can have Airflow load its plugins; the parser that it is loaded in needs none of this.
if RUNNING_IN_PARSER not in os.environ:
    for _attribute, _value in mount_points().items():
        setattr(XtendedPlugin, _attribute, _value)
