"""One module per tag of the spec."""
