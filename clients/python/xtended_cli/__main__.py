"""`python -m xtended_cli`."""

from xtended_cli.main import main

main()
