"""`xtended`: drive Apache Airflow from a shell, through the generated client."""
