"""The web server does not wait for a git library while it starts."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ["dulwich.repo", "dulwich.object_store", "dulwich.pack", "dulwich.patch"]


def test_git_is_loaded_when_it_is_first_needed():
    code = f"import sys, xtended.dagstore; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
