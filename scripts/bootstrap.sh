#!/bin/sh
# Put uv into an environment of its own, with the Python that everything else here will use.
# Usage: bootstrap.sh FOLDER REQUIREMENTS
set -eu

folder=$1
requirements=$2

# A candidate is run, not only looked up: pyenv's shims exist for versions that are not active.
python=
for candidate in "${PYTHON:-}" python3.11 python3; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "Python 3.11 is needed, as python3.11 or python3, or named by PYTHON=/path/to/python3.11." >&2
    exit 1
fi

# Debian's python3 comes without ensurepip, which lies in the package python3-venv.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "$python lacks the venv module; installing Debian's python3-venv"
    if ! command -v apt-get >/dev/null; then
        echo "There is no apt-get here: install the venv and ensurepip modules of $python, then try again." >&2
        exit 1
    fi
    if [ "$(id -u)" != 0 ]; then
        echo "That takes root. Run: sudo apt-get install python3-venv, then try again." >&2
        exit 1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
fi

rm -rf "$folder"
"$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --quiet --disable-pip-version-check --requirement "$requirements"
touch "$folder/bin/uv"
