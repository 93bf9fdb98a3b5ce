package fenfatest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// object is a JSON object.
type object map[string]any

// web calls the HTTP API of a node as a program in another language does.
type web struct {
	t   *testing.T
	url string
}

func newWeb(t *testing.T, n *fenfatest.Node) *web {
	t.Helper()
	return &web{t, "http://" + n.HTTPAddr()}
}

// call sends a request and returns the answer, which must have the status.
func (w *web) call(status int, method, path string, body any) object {
	w.t.Helper()
	sent, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, bytes.NewReader(sent))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	var answer object
	if err := json.Unmarshal(b, &answer); err != nil || resp.StatusCode != status {
		w.t.Fatalf("%s %s %s: %d %s", method, path, sent, resp.StatusCode, b)
	}
	return answer
}

// lease waits long for the worker's next task; more of the request may be given.
func (w *web) lease(worker string, more object) []object {
	w.t.Helper()
	req := object{"worker_id": worker, "queues": []string{"q"}, "wait": "60s", "records": true}
	maps.Copy(req, more)
	var tasks []object
	for _, l := range w.call(http.StatusOK, http.MethodPost, "/v1/leases", req)["tasks"].([]any) {
		tasks = append(tasks, l.(map[string]any))
	}
	return tasks
}

// answer completes or fails one task, and returns the code of the refusal.
func (w *web) answer(what string, task object) (code string, result object) {
	w.t.Helper()
	got := w.call(http.StatusOK, http.MethodPost, "/v1/leases/"+what, object{"tasks": []object{task}})
	result = got["results"].([]any)[0].(map[string]any)
	if e, ok := result["error"].(map[string]any); ok {
		code = e["code"].(string)
	}
	return code, result
}

// submit submits a task of the key for each payload.
func (w *web) submit(key string, payloads ...any) (ids []string) {
	w.t.Helper()
	var tasks []object
	for _, p := range payloads {
		tasks = append(tasks, object{"queue": "q", "key": key, "payload_json": p})
	}
	for _, r := range w.call(http.StatusOK, http.MethodPost, "/v1/tasks", object{"tasks": tasks})["results"].([]any) {
		ids = append(ids, r.(map[string]any)["id"].(string))
	}
	return ids
}

func (w *web) status(id string) object {
	w.t.Helper()
	return w.call(http.StatusOK, http.MethodGet, "/v1/tasks/"+id, nil)["status"].(map[string]any)
}

func payloadOf(l object) any { return l["task"].(map[string]any)["payload_json"] }

func idOf(l object) string { return l["task"].(map[string]any)["id"].(string) }

func TestAWorkerWithoutAStreamPullsAndChangesState(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("q", "next"))
	w := newWeb(t, n)
	ids := w.submit("SKU-1", 1, 2, 3)
	version := "0"
	for i := 1; i <= 3; i++ {
		// Of a key, one at a time and in order, with its records as they are.
		tasks := w.lease("w", object{"max_tasks": 10})
		if len(tasks) != 1 || payloadOf(tasks[0]) != float64(i) {
			t.Fatalf("task %d: %v", i, tasks)
		}
		l := tasks[0]
		records, _ := l["records"].([]any)
		if complete, _ := l["records_complete"].(bool); !complete || i > 1 && (len(records) != 1 || records[0].(map[string]any)["version"] != version) {
			t.Fatalf("records before task %d: %v", i, l)
		}
		done := object{
			"lease": l["lease"], "result_json": object{"seen": i},
			"writes": []object{{"name": "n", "value_json": i, "expected_version": version}},
			"emits":  []object{{"queue": "next", "payload_text": "after"}},
		}
		if code, _ := w.answer("complete", done); code != "" {
			t.Fatalf("complete %d: %s", i, code)
		}
		if code, _ := w.answer("complete", done); code != "CODE_STALE" {
			t.Errorf("a second answer is %q, want that the lease has ended", code)
		}
		record := w.call(http.StatusOK, http.MethodGet, "/v1/records/SKU-1/n", nil)["record"].(map[string]any)
		if record["value_json"] != float64(i) || record["task_id"] != ids[i-1] {
			t.Errorf("record after task %d: %v", i, record)
		}
		version = record["version"].(string)
		if st := w.status(ids[i-1]); st["state"] != "TASK_STATE_DONE" || st["worker"] != "w" || fmt.Sprint(st["result_json"]) != fmt.Sprintf("map[seen:%d]", i) {
			t.Errorf("status of task %d: %v", i, st)
		}
	}
	if tasks := w.lease("follower", object{"queues": []string{"next"}, "max_tasks": 3}); len(tasks) == 0 {
		t.Error("no task was emitted")
	}
}

func TestAPullerHearsOfConflictsAndMayAnswerAgain(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("q"))
	w := newWeb(t, n)
	w.submit("k", "x")
	l := w.lease("w", nil)[0]
	put := w.call(http.StatusOK, http.MethodPut, "/v1/records/k/n", object{"value_text": "theirs"})
	write := func(version any) object {
		return object{"lease": l["lease"], "writes": []object{{"name": "n", "value_text": "mine", "expected_version": version}}}
	}
	code, result := w.answer("complete", write("0"))
	records, _ := result["records"].([]any)
	if code != "CODE_CONFLICT" || len(records) != 1 || records[0].(map[string]any)["value_text"] != "theirs" {
		t.Fatalf("%s %v", code, result)
	}
	if code, result := w.answer("complete", write(put["version"])); code != "" {
		t.Fatalf("%s %v", code, result)
	}
}

func TestFailedTasksOfAPullerFollowThePolicy(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "q", Retry: fenfa.RetryPolicy{MaxAttempts: 3}}))
	w := newWeb(t, n)
	id := w.submit("", "x")[0]
	for i, fail := range []object{{"returned": true}, {"error": "no luck", "retry_after": "0s"}, {"error": "hopeless", "dead": true}} {
		l := w.lease("w", nil)[0]
		if idOf(l) != id {
			t.Fatalf("try %d: %v", i, l)
		}
		fail["lease"] = l["lease"]
		if code, result := w.answer("fail", fail); code != "" {
			t.Fatalf("fail %d: %v", i, result)
		}
	}
	st := w.status(id)
	if st["state"] != "TASK_STATE_DEAD" || st["error"] != "hopeless" || st["attempts"] != float64(2) || st["deliveries"] != float64(2) {
		t.Errorf("%v", st)
	}
}

func TestTasksOfAPullerThatDoesNotCallComeBackUncounted(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("q"))
	w := newWeb(t, n)
	id := w.submit("k", "x")[0]
	lost := w.lease("lost", object{"ttl": "1s"})[0]
	other := w.lease("other", nil) // It waits until the one that is lost has not called for a second.
	if len(other) != 1 || idOf(other[0]) != id {
		t.Fatalf("%v", other)
	}
	if code, _ := w.answer("complete", object{"lease": lost["lease"]}); code != "CODE_STALE" {
		t.Errorf("an answer under the old lease is %q", code)
	}
	extended := w.call(http.StatusOK, http.MethodPost, "/v1/leases/extend", object{"leases": []any{lost["lease"], other[0]["lease"]}, "timeout": "60s"})
	if results := extended["results"].([]any); results[0].(map[string]any)["error"] == nil || results[1].(map[string]any)["error"] != nil {
		t.Errorf("%v", extended)
	}
	if code, result := w.answer("complete", object{"lease": other[0]["lease"]}); code != "" {
		t.Fatalf("%v", result)
	}
	if st := w.status(id); st["attempts"] != float64(0) || st["deliveries"] != float64(2) || st["worker"] != "other" {
		t.Errorf("%v", st)
	}
}

func TestAPullerLearnsThatItsTaskIsCancelled(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("q"))
	w := newWeb(t, n)
	id := w.submit("k", "x")[0]
	l := w.lease("w", nil)[0]
	w.call(http.StatusOK, http.MethodPost, "/v1/tasks/"+id+"/cancel", object{"reason": "no more"})
	for {
		r := w.call(http.StatusOK, http.MethodPost, "/v1/leases/extend", object{"leases": []any{l["lease"]}})["results"].([]any)[0].(map[string]any)
		if cancelled, _ := r["cancelled"].(bool); cancelled {
			break
		}
		if r["error"] != nil {
			t.Fatalf("%v", r)
		}
	}
	if code, result := w.answer("fail", object{"lease": l["lease"], "error": "stopped"}); code != "" {
		t.Fatalf("%v", result)
	}
	if st := w.status(id); st["state"] != "TASK_STATE_CANCELLED" {
		t.Errorf("%v", st)
	}
}

func TestAPullerTakesAndAnswersInBatches(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "q", Order: "none"}))
	w := newWeb(t, n)
	const all = 200
	payloads := make([]any, all)
	for i := range payloads {
		payloads[i] = i
	}
	w.submit("", payloads...)
	seen := map[any]bool{}
	for len(seen) < all {
		var done []object
		for _, l := range w.lease("w", object{"max_tasks": 64}) {
			seen[payloadOf(l)] = true
			done = append(done, object{"lease": l["lease"]})
		}
		for _, r := range w.call(http.StatusOK, http.MethodPost, "/v1/leases/complete", object{"tasks": done})["results"].([]any) {
			if e := r.(map[string]any)["error"]; e != nil {
				t.Fatalf("%v", e)
			}
		}
	}
	stats := w.call(http.StatusOK, http.MethodGet, "/v1/queues/q", nil)["stats"].(map[string]any)
	if stats["done_total"] != fmt.Sprint(all) || stats["failed_total"] != "0" {
		t.Errorf("%v", stats)
	}
}

func TestWrongCallsOfPullersAreRefused(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("q"))
	w := newWeb(t, n)
	for _, c := range []struct {
		status int
		path   string
		body   object
		field  string
	}{
		{400, "", object{"queues": []string{"q"}}, "worker_id"},
		{400, "", object{"worker_id": "w"}, "queues"},
		{404, "", object{"worker_id": "w", "queues": []string{"qq"}}, "queues"},
		{400, "", object{"worker_id": "w", "queues": []string{"q"}, "wait": "61s"}, "wait"},
		{400, "", object{"worker_id": "w", "queues": []string{"q"}, "wait": "-1s"}, "wait"},
		{400, "", object{"worker_id": "w", "queues": []string{"q"}, "ttl": "0.1s"}, "ttl"},
		{400, "", object{"worker_id": "w", "queues": []string{"q"}, "max_tasks": 1001}, "max_tasks"},
		{400, "", object{"worker_id": "w", "queues": []string{"q"}, "weight": -1}, "weight"},
		{400, "/complete", object{}, "tasks"},
		{400, "/extend", object{}, "leases"},
		{400, "/fail", object{"tasks": []object{{"lease": "x", "dead": true, "returned": true}}}, "tasks[0].returned"},
		{400, "/fail", object{"tasks": []object{{"lease": "x", "retry_after": "-1s"}}}, "tasks[0].retry_after"},
		{400, "/complete", object{"tasks": []object{{"lease": "x", "emits": []object{{"id": "1"}}}}}, "tasks[0].emits[0].id"},
	} {
		e := w.call(c.status, http.MethodPost, "/v1/leases"+c.path, c.body)["error"].(map[string]any)
		if e["field"] != c.field {
			t.Errorf("%v: %v, want field %s", c.body, e, c.field)
		}
	}
	if code, result := w.answer("complete", object{"lease": "nonsense"}); code != "CODE_INVALID_ARGUMENT" {
		t.Errorf("%v", result)
	}
	if code, result := w.answer("complete", object{"lease": strings.Repeat("A", 26) + ".1.1.1.0"}); code != "CODE_STALE" {
		t.Errorf("%v", result)
	}
}
