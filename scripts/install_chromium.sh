#!/bin/sh
# Leave a link to Chromium at $1, for the tests that look at pages; installs it where that is possible.
set -u

found() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" && return
    done
    return 1
}

if ! program=$(found); then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing Chromium by apt-get, for the tests that look at pages"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends chromium >/dev/null
        program=$(found) || program=
    fi
fi
if [ -z "${program:-}" ]; then
    echo "There is no Chromium here, and no right to install it: the tests in tests/contract/browser will fail." >&2
    exit 0
fi
mkdir -p "$(dirname "$1")"
ln -sf "$program" "$1"
