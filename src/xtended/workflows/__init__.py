"""DAGs that are described as JSON: checked, kept as data beside a DAG file that never changes with them."""
