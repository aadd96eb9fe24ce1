"""Airflow Xtended: deploy DAGs and control their runs over HTTP."""

__version__ = "0.1.0"
