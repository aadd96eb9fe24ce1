"""Both hosts' answers to the contract suite, compared."""
