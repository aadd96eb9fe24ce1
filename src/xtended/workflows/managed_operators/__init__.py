"""Python callables that a workflow may name; `dag_managed_operators` names a folder of others."""
