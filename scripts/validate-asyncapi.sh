#!/bin/sh
# Validates schemas/asyncapi.yaml with AsyncAPI's own parser. Needs node 18 or later and npm; the
# parser goes into .cache/asyncapi, once.
set -eu

version=3.6.3
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cache="$root/.cache/asyncapi/$version"

if [ ! -e "$cache/installed" ]; then
    command -v npm >/dev/null || { echo "validate-asyncapi: npm is needed, please install Node.js 18 or later" >&2; exit 1; }
    mkdir -p "$cache"
    npm install --prefix "$cache" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
        "@asyncapi/parser@$version" >/dev/null
    touch "$cache/installed"
fi

exec node "$root/scripts/validate-asyncapi.mjs" "$cache" "${1:-$root/schemas/asyncapi.yaml}"
