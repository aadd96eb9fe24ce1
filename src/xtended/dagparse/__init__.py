"""Running untrusted DAG code out of process: a warm parser, limits, result."""

from __future__ import annotations

from xtended.dagparse.client import Parser, ParseTree

__all__ = ["ParseTree", "Parser"]
