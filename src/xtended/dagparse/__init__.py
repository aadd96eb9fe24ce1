"""Running untrusted DAG code out of process."""
