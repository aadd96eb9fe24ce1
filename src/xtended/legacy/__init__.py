"""The older plugins' URLs, translated into the operations of the spec; no behaviour of their own."""
