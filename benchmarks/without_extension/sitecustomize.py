"""Hides the extension from Airflow's plugin manager in processes that have this folder on PYTHONPATH.

So the same environment can run with and without it, and nothing but the extension makes the difference.
Airflow reads entry points through `importlib_metadata` on Python 3.11, and through the standard library's
module from 3.12 on.
"""

import importlib.metadata

import importlib_metadata


def _without_extension(distributions):
    def others(**context):
        return (found for found in distributions(**context) if found.metadata["Name"] != "airflow-xtended")

    return others


for module in (importlib.metadata, importlib_metadata):
    module.distributions = _without_extension(module.distributions)
