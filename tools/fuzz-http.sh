#!/usr/bin/env bash
# Fuzzes the HTTP API of a real node from its OpenAPI document with schemathesis,
# which is installed into bin/tools: no answer may be a defect, and none may fail to
# come.
#
# usage: tools/fuzz-http.sh SECONDS
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
version=4.32.5
venv=bin/tools/schemathesis-$version

if [ ! -x "$venv/bin/schemathesis" ]; then
	command -v python3 >/dev/null || { echo "fuzz-http: python3 is missing" >&2; exit 1; }
	python3 -m venv "$venv"
	"$venv/bin/pip" install --quiet "schemathesis==$version"
fi

dir=$(mktemp -d)
bin/fenfa serve --data-dir "$dir/data" --grpc-listen 127.0.0.1:0 --http-listen 127.0.0.1:0 --log-format json 2>"$dir/log" &
node=$!
trap 'kill "$node" 2>/dev/null || true; wait "$node" || true; rm -rf "$dir"' EXIT
url=
for _ in $(seq 300); do
	url=$(sed -n 's/.*"msg":"node ready".*"http":"\([^"]*\)".*/\1/p' "$dir/log")
	[ -z "$url" ] || break
	kill -0 "$node" || { cat "$dir/log"; exit 1; }
	sleep 0.1
done
[ -n "$url" ] || { echo "fuzz-http: the node did not start" >&2; cat "$dir/log"; exit 1; }

# Streams go on for ever, and calls that wait may take as long as they were asked to.
"$venv/bin/schemathesis" run "http://$url/openapi.json" --checks not_a_server_error --phases fuzzing \
	--exclude-path-regex '^/v1/(watch|audit)$' --request-timeout 100 --max-time "$seconds" --no-color
if grep -q '"msg":"request panicked"' "$dir/log"; then
	grep '"msg":"request panicked"' "$dir/log"
	exit 1
fi
