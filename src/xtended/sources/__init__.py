"""Where DAG files come from."""
