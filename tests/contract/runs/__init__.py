"""Run control on an Airflow whose scheduler runs real tasks."""
