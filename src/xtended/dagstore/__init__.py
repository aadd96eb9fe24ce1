"""DAG files at rest: names, archives, staging, atomic change sets, history."""
