"""The seam, implemented for Airflow 3."""
