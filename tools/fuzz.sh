#!/usr/bin/env bash
# Runs every fuzz target of the tree for the given time each.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-20s}

count=0
while read -r package; do
	while read -r target; do
		echo "fuzz: $package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
		count=$((count + 1))
	done < <(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true)
done < <(grep --recursive --files-with-matches --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u)

if [ "$count" -eq 0 ]; then
	echo "fuzz: no target found" >&2
	exit 1
fi
echo "fuzz: $count targets, nothing found"
