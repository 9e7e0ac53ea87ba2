#!/usr/bin/env bash
# Make the locked lists of packages anew, each with the hashes of what was found.
#   requirements-setup.lock  what sets up and builds
#   requirements.lock        the application with the embedded default and all that the tests need
#   requirements-app.lock    the application alone, for the image
set -euo pipefail
cd "$(dirname "$0")/.."

# clickhouse-driver asks for an old lz4 on PyPy, which would hold it back everywhere.
constraints=$(mktemp)
trap 'rm -f "$constraints"' EXIT
echo "lz4>=4 ; implementation_name == 'cpython'" > "$constraints"

lock() {
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
        --constraint "$constraints" --no-emit-index-url --no-header --no-annotate "$@"
}

printf 'uv\nhatchling\neditables\n' | lock - -o requirements-setup.lock
lock pyproject.toml --extra embedded --group dev -o requirements.lock
lock pyproject.toml --constraint requirements.lock -o requirements-app.lock
wc -l requirements*.lock
