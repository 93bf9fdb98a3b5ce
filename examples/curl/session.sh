#!/usr/bin/env bash
# The life of a task by hand: a queue, a task, a lease, a conflict, a completion.
# Every step checks what the node answers. Needs curl and jq, and a node.
#
# usage: session.sh [URL]
set -euo pipefail
node=${1:-http://127.0.0.1:7480}
headers=(-H 'Content-Type: application/json')
[ -z "${FENFA_TOKEN:-}" ] || headers+=(-H "Authorization: Bearer $FENFA_TOKEN")

# call METHOD PATH [BODY] sends a request and prints the answer.
call() { curl --silent --show-error --max-time 90 "${headers[@]}" --request "$1" "$node$2" ${3:+--data "$3"}; }

# check WHAT FILTER reads an answer and fails unless the filter holds.
check() {
	local answer
	answer=$(cat)
	jq --exit-status "$2" <<<"$answer" >/dev/null || { printf '%s: unexpected answer\n%s\n' "$1" "$answer" >&2; exit 1; }
	printf 'ok  %s\n' "$1"
}

call PUT /v1/queues/curl '{"timeout":"30s","retry":{"max_attempts":3}}' | check 'the queue is there' '.queue.name == "curl"'

id=$(call POST /v1/tasks '{"tasks":[{"queue":"curl","key":"cart-1","type":"add","payload_json":{"item":"tea","price":4.50}}]}' | jq -r '.results[0].id')
echo "    task $id"

leased=$(call POST /v1/leases '{"worker_id":"curl","queues":["curl"],"wait":"30s","records":true}')
check 'the task is leased, with its payload as it was' '.tasks[0].task.payload_json == {"item":"tea","price":4.50}' <<<"$leased"
lease=$(jq -r '.tasks[0].lease' <<<"$leased")
call GET "/v1/tasks/$id" | check 'it runs' '.status.state == "TASK_STATE_RUNNING"'
call POST /v1/leases/extend "{\"leases\":[\"$lease\"],\"timeout\":\"60s\"}" | check 'it has a minute more' '.results[0].error == null'

# Somebody else changes the record meanwhile: the version that we expect is not there.
theirs=$(call PUT /v1/records/cart-1/items '{"value_json":["milk"],"any_version":true}' | jq -r .version)
done_with() { printf '{"tasks":[{"lease":"%s","result_json":{"items":2},"writes":[{"name":"items","expected_version":"%s","value_json":["milk","tea"]}]}]}' "$lease" "$1"; }
call POST /v1/leases/complete "$(done_with 0)" |
	check 'a completion over another version is refused, and shows the record' ".results[0].error.code == \"CODE_CONFLICT\" and .results[0].records[0].version == \"$theirs\""
call POST /v1/leases/complete "$(done_with "$theirs")" | check 'over the current version it takes effect' '.results[0].error == null'
call POST /v1/leases/complete "$(done_with "$theirs")" | check 'and only once' '.results[0].error.code == "CODE_STALE"'

call GET "/v1/tasks/$id" | check 'the task is done' '.status.state == "TASK_STATE_DONE" and .status.result_json == {"items":2}'
call GET /v1/records/cart-1/items | check 'the record says so' ".record.value_json == [\"milk\",\"tea\"] and .record.task_id == \"$id\""
call GET /v1/tasks/nonsense | check 'errors say what is wrong' '.error.code == "invalid_argument" and .error.field == "id"'
echo "done"
