"""What the contract says of Airflow 3 alone."""
