#!/bin/sh
# A command for `fenfa worker --exec` that says how far it is, and asks for more time.
cat >/dev/null
for page in 1 2 3 4; do
  echo "{\"ratio\": 0.$((page * 2)), \"text\": \"page $page\", \"extend\": \"1m\"}" >&"$FENFA_PROGRESS_FD"
  sleep "${RENDER_SECONDS:-0}"
done
echo "4 pages"
