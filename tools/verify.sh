#!/usr/bin/env bash
# Fails when a generated file is not what its source makes of it, when a file is
# not formatted, or when the module file does not say what the code imports.
# Everything is generated in a copy, so the work tree stays as it is.
set -euo pipefail
cd "$(dirname "$0")/.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

echo "verify: generated files"
git ls-files -z --cached --others --exclude-standard |
	while IFS= read -r -d '' file; do if [ -e "$file" ]; then printf '%s\0' "$file"; fi; done |
	tar --create --null --files-from - | tar --extract --directory "$copy"
git -C "$copy" init --quiet
git -C "$copy" add --all
make --no-print-directory -C "$copy" TOOLS="$PWD/bin/tools" generate >/dev/null
stale=$(git -C "$copy" status --porcelain | awk 'substr($0, 2, 1) != " "')
if [ -n "$stale" ]; then
	git -C "$copy" --no-pager diff --stat
	printf '%s\n' "$stale"
	echo "verify: these files are stale: run 'make generate' and commit what it changes" >&2
	exit 1
fi

echo "verify: formatting"
if ! unformatted=$(bin/tools/golangci-lint fmt --diff ./...) || [ -n "$unformatted" ]; then
	printf '%s\n' "$unformatted"
	echo "verify: run 'make fmt'" >&2
	exit 1
fi
(cd api && ../bin/tools/buf format --diff --exit-code) || {
	echo "verify: run 'make fmt'" >&2
	exit 1
}

echo "verify: module file"
go mod tidy -diff
go mod verify

echo "verify: all fresh"
