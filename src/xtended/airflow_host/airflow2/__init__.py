"""The seam, implemented for Airflow 2.11."""
