"""Run control without an Airflow."""
