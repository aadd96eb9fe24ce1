"""The DAG folder at rest: nothing outside of it, nothing half done, nothing lost."""
