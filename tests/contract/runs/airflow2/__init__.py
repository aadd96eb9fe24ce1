"""What the contract says of Airflow 2 alone."""
