"""The contract, held against a real Airflow over HTTP alone."""
