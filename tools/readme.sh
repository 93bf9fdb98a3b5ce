#!/usr/bin/env bash
# Runs the commands of a Markdown page, so that what it shows works: every sh
# block that stands behind a line "<!-- ci -->" becomes a part of one script,
# which runs in a copy of the tree, block after block, and stops at the first
# command that fails.
#
# usage: tools/readme.sh PAGE [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
page=${1:-README.md}
limit=${2:-600}

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

git ls-files -z --cached --others --exclude-standard |
	while IFS= read -r -d '' file; do if [ -e "$file" ]; then printf '%s\0' "$file"; fi; done |
	tar --create --null --files-from - | tar --extract --directory "$copy"

# The commands. Whatever they left in the background ends with the script.
{
	echo 'set -euo pipefail'
	echo 'trap '\''for job in $(jobs -p); do kill "$job" 2>/dev/null || true; done; wait'\'' EXIT'
	echo "PS4='\$ '"
	echo 'set -x'
	awk '
		/^<!-- ci -->$/      { marked = 1; next }
		/^```sh$/ && marked  { inside = 1; marked = 0; blocks++; next }
		/^```$/ && inside    { inside = 0; next }
		inside               { print; next }
		NF && marked         { print "line " NR ": no sh block behind the mark" > "/dev/stderr"; exit 1 }
		END                  { if (!blocks) { print "no marked block" > "/dev/stderr"; exit 1 } }
	' "$page"
} >"$copy/.commands.sh"

cd "$copy"
if ! timeout --kill-after 10 "$limit" bash .commands.sh </dev/null; then
	echo "readme: a command of $page failed, or all took more than $limit s" >&2
	exit 1
fi
echo "readme: every marked command of $page works"
