#!/usr/bin/env bash
# Puts public tools to the OpenAPI document: validates it, generates a client from
# it, and uses that against a real node.
#
# usage: tools/openapi.sh
set -euo pipefail
cd "$(dirname "$0")/openapi"
mkdir -p client
if [ -z "${FENFA_BINARY:-}" ] && [ "${CI:-}" = true ] && [ -x ../../bin/fenfa ]; then
	export FENFA_BINARY="$PWD/../../bin/fenfa" # CI has just built it.
fi
go tool oapi-codegen -config config.yaml ../../internal/openapi/openapi.json
go test -count 1 -timeout 5m -tags generated .
