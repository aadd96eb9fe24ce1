"""The seam between this extension and Airflow."""
