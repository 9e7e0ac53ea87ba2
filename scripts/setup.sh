#!/usr/bin/env bash
# Install all that a fresh Debian 12 with git, make and Python 3.11 lacks; done already, it takes a second.
# `setup.sh office` installs LibreOffice, too, for the tests that open workbooks with it.
set -euo pipefail
cd "$(dirname "$0")/.."
with=${1:-}

say() { echo "setup: $*" >&2; }
has() { command -v "$1" > /dev/null 2>&1; }

# --- what Python itself cannot install ---------------------------------------------------------------------------

find_python() {
    for name in ${PYTHON:-} python3.11 python3.12 python3.13 python3; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
            command -v "$name"
            return
        fi
    done
}

java_will_do() {
    has java && java -version 2>&1 | grep -qE 'version "(1[7-9]|[2-9][0-9])'
}

korean_font() {
    { has fc-list && [ -n "$(fc-list :lang=ko 2> /dev/null | head -n 1)" ]; } || compgen -G '/usr/share/fonts/*/noto/*CJK*' > /dev/null
}

missing_packages() {
    local python
    python=$(find_python)
    [ -n "$python" ] || echo python3
    "${python:-python3}" -c 'import ensurepip, venv' 2> /dev/null || echo python3-venv
    java_will_do || echo openjdk-17-jre-headless
    has mvn || echo maven
    [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
    # for the test of the page in a browser
    has chromium || has chromium-browser || has google-chrome || echo chromium
    korean_font || echo fonts-noto-cjk
    compgen -G '/usr/lib/*/libatomic.so.1' > /dev/null || echo libatomic1  # for Node inside Playwright's wheel
    [ "$with" != office ] || missing_office
}

missing_office() {
    { has soffice && compgen -G '/usr/lib/libreoffice/program/libsc*lo.so' > /dev/null; } || echo libreoffice-calc-nogui
    has pdftoppm || echo poppler-utils
    compgen -G '/usr/share/fonts/*/*/Carlito-Regular.ttf' > /dev/null || echo fonts-crosextra-carlito # as wide as Calibri
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
    if ! has apt-get || { [ "$(id -u)" != 0 ] && ! { has sudo && sudo -v; }; }; then
        say "these packages are missing, and installing them takes root. Have someone run"
        say "    apt-get update && apt-get install -y --no-install-recommends $*"
        say "(or what your system calls them), then start this again."
        exit 1
    fi
    say "installing with apt-get: $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq \
        || say "apt-get update had trouble with some source; going on"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" > /dev/null
}

mapfile -t missing < <(missing_packages)
[ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"

# --- the virtual environment, as locked --------------------------------------------------------------------------

python=$(find_python)
export SSL_CERT_FILE="${SSL_CERT_FILE:-${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}}" # uv's own list knows no company's
stamp=.venv/setup-done
wanted=$(cat requirements.lock requirements-setup.lock pyproject.toml <(pwd) <("$python" --version) | sha256sum)

if [ "$(cat $stamp 2> /dev/null)" != "$wanted" ]; then
    if ! .venv/bin/python -m pip --version > /dev/null 2>&1; then
        say "making .venv with $("$python" --version)"
        "$python" -m venv --clear .venv
    fi
    say "installing the locked Python packages (300 MB, once)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-setup.lock
    .venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes --only-binary :all: -r requirements.lock
    say "installing turnpath itself, to be run from this folder"
    .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
    echo "$wanted" > $stamp
fi

# --- the broker's jars and the chart library ---------------------------------------------------------------------

.venv/bin/python -m stack.jars
say "all is there"
