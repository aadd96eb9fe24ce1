"""Airflow Xtended: deploy DAGs and control their runs over HTTP."""
