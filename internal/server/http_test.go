package server

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// reply is what came back over HTTP.
type reply struct {
	status int
	header http.Header
	body   string
	fail   failure
}

// do sends a request; extra are header names and values in turns.
func (h *harness) do(t *testing.T, method, path string, body io.Reader, extra ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(extra); i += 2 {
		req.Header.Set(extra[i], extra[i+1])
	}
	resp, err := h.web.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	r := reply{status: resp.StatusCode, header: resp.Header, body: string(b)}
	if r.status >= 400 {
		var f struct{ Error failure }
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatalf("%s %s answered %d without the error form: %q", method, path, r.status, b)
		}
		r.fail = f.Error
	}
	return r
}

func TestHTTPAnswersGoodRequests(t *testing.T) {
	h := newHarness(t)
	for _, c := range []struct {
		method, path, body string
		want               []string // parts of the answer, spaces apart
	}{
		{"POST", "/v1/tasks", `{"tasks":[{"id":"` + someID + `","queue":"orders","payload":"e30=","headers":{"a":"b"},"run_at":"2030-01-02T03:04:05Z"}]}`, []string{`"id":"` + someID + `"`, `"duplicate":false`}},
		{"POST", "/v1/tasks", `{"tasks":[{"queue":"orders"},{"queue":"nope"}]}`, []string{`"code":"CODE_NOT_FOUND"`, `"field":"queue"`}},
		{"GET", "/v1/tasks/" + someID, "", []string{`"state":"TASK_STATE_DONE"`, `"result":"b2s="`}},
		{"GET", "/v1/records/sku-1/stock", "", []string{`"key":"sku-1"`, `"version":"3"`}},
		{"GET", "/v1/records/order%2F1%2Fa/.%2E", "", []string{`"key":"order/1/a"`, `"name":".."`}},
		{"GET", "/v1/records/%E5%88%86%20x/100%25", "", []string{`"key":"分 x"`, `"name":"100%"`}},
		{"GET", "/v1/records?key_prefix=sku&page_size=5&page_token=abc", "", []string{`"key":"sku1"`, `"next_page_token":"next"`}},
		{"GET", "/v1/records", "", []string{`"records":`}},
		{"PUT", "/v1/records/k/n", `{"value":"dg==","expected_version":"4"}`, []string{`"version":"5"`}},
		{"PUT", "/v1/records/k/n", `{"delete":true,"any_version":true}`, []string{`"version":"1"`}},
		{"GET", "/v1/records/k/n/history?newest_first=true&page_size=2&page_token=w7&since=1970-01-01T00:00:01Z&until=1970-01-01T00:01:00Z", "", []string{`"next_page_token":"further"`}},
		{"GET", "/v1/records/k/n/history?after_seq=4&page_size=2", "", []string{`"seq":"5"`, `"next_after_seq":"5"`, `"version_before":"4"`}},
		{"PUT", "/v1/queues/new", `{"order":"none","timeout":"5s"}`, []string{`"name":"new"`, `"order":"none"`, `"timeout":"5s"`, `"created":true`}},
		{"PUT", "/v1/queues/plain", ``, []string{`"name":"plain"`, `"order":"key"`}},
		{"GET", "/v1/queues/orders", "", []string{`"backlog_tasks":"7"`, `"workers":"0"`}},
		{"GET", "/v1/queues", "", []string{`"name":"mail"`, `"name":"orders"`}},
		{"GET", "/v1/queues/orders/dead?page_size=1", "", []string{`"reason":"no stock"`, `"next_page_token":"next"`, `"payload":""`}},
		{"GET", "/v1/dead/" + someID, "", []string{`"payload":"cGF5bG9hZA=="`, `"error":"boom"`}},
		{"GET", "/v1/health", "", []string{`"node":"n1"`, `"ready":true`, `"durability":"fsync"`, `"partitions":16`}},
		{"GET", "/v1/workers", "", []string{`"workers":[]`}},
		{"GET", "/healthz", "", []string{`"status":"alive"`}},
		{"GET", "/readyz", "", []string{`"ready":true`, `"problems":[]`}},
	} {
		r := h.do(t, c.method, c.path, strings.NewReader(c.body))
		if r.status != http.StatusOK {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.status, r.body)
		}
		for _, want := range c.want {
			if !strings.Contains(strings.ReplaceAll(strings.ReplaceAll(r.body, `": `, `":`), `:  `, `:`), want) {
				t.Errorf("%s %s: %s is not in %s", c.method, c.path, want, r.body)
			}
		}
		if r.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: headers %v", c.method, c.path, r.header)
		}
	}
	for _, want := range []string{"scan sku  5 abc", "scan   100 ", "history k n 4 2", "history k n 0 2 newest w7 from 1 to 60", "dead {orders    0001-01-01 00:00:00 +0000 UTC 0001-01-01 00:00:00 +0000 UTC} 1 ", "get order/1/a .."} {
		if !slices.Contains(h.engine.calls, want) {
			t.Errorf("the engine did not get %q: %q", want, h.engine.calls)
		}
	}
}

func TestHTTPRefusesBadRequests(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.status = func(id task.ID) (partition.TaskStatus, error) {
			return partition.TaskStatus{}, task.Errorf(task.CodeNotFound, "task %s is not known", id).WithField("id")
		}
	})
	for _, c := range []struct {
		method, path, body string
		status             int
		code, field        string
	}{
		{"POST", "/v1/tasks", `{"taskz":[]}`, 400, "invalid_argument", "taskz"},
		{"POST", "/v1/tasks", `{"tasks":[{"queue":"orders","prioritee":1}]}`, 400, "invalid_argument", "prioritee"},
		{"POST", "/v1/tasks", `{"tasks":[{"queue":"orders"}]} trailing`, 400, "invalid_argument", ""},
		{"POST", "/v1/tasks", `{"tasks":`, 400, "invalid_argument", ""},
		{"POST", "/v1/tasks", `not json`, 400, "invalid_argument", ""},
		{"POST", "/v1/tasks", `{"tasks":[{"queue":"\ud800"}]}`, 400, "invalid_argument", ""},
		{"POST", "/v1/tasks", `{"tasks":[{"queue":"orders","payload":"%%"}]}`, 400, "invalid_argument", ""},
		{"POST", "/v1/tasks", `{"tasks":[{"queue":"orders","run_at":"yesterday"}]}`, 400, "invalid_argument", ""},
		{"POST", "/v1/tasks", ``, 400, "invalid_argument", "tasks"},
		{"POST", "/v1/tasks", `{}`, 400, "invalid_argument", "tasks"},
		{"POST", "/v1/tasks", `{"tasks":[{"queue":"nope"}]}`, 404, "not_found", "queue"},
		{"POST", "/v1/tasks", `{"tasks":[{"queue":"orders","id":"1"}]}`, 400, "invalid_argument", "id"},
		{"POST", "/v1/tasks?queue=x", `{"tasks":[{"queue":"orders"}]}`, 400, "invalid_argument", "queue"},
		{"GET", "/v1/tasks/1", "", 400, "invalid_argument", "id"},
		{"GET", "/v1/tasks/" + someID, "", 404, "not_found", "id"},
		{"GET", "/v1/tasks/" + someID + "?verbose=1", "", 400, "invalid_argument", "verbose"},
		{"GET", "/v1/records?prefix=a", "", 400, "invalid_argument", "prefix"},
		{"GET", "/v1/records?key_prefix=a&key_prefix=b", "", 400, "invalid_argument", "key_prefix"},
		{"GET", "/v1/records?key_prefix=%ff", "", 400, "invalid_argument", "key_prefix"},
		{"GET", "/v1/records?key_prefix=%zz", "", 400, "invalid_argument", ""},
		{"GET", "/v1/records?page_size=1001", "", 400, "invalid_argument", "page_size"},
		{"GET", "/v1/records?page_size=many", "", 400, "invalid_argument", ""},
		{"GET", "/v1/records/%ff/n", "", 400, "invalid_argument", ""},
		{"GET", "/v1/records/k/n/history?key=x", "", 400, "invalid_argument", "key"},
		{"GET", "/v1/records/k/n/history?since=yesterday", "", 400, "invalid_argument", ""},
		{"GET", "/v1/records/k/n/history?page_size=5000", "", 400, "invalid_argument", "page_size"},
		{"PUT", "/v1/records/k/n", `{"value":"dg==","expected_version":1,"any_version":true}`, 400, "invalid_argument", "any_version"},
		{"PUT", "/v1/records/k/n", `{"value":"dg==","delete":true}`, 400, "invalid_argument", "value"},
		{"PUT", "/v1/records/" + strings.Repeat("k", 513) + "/n", `{}`, 400, "invalid_argument", "key"},
		{"PUT", "/v1/records/k/n", `{"version":1}`, 400, "invalid_argument", "version"},
		{"PUT", "/v1/queues/new", `{"order":"fifo"}`, 400, "invalid_argument", "order"},
		{"PUT", "/v1/queues/new", `{"timeout":"-5s"}`, 400, "invalid_argument", "timeout"},
		{"PUT", "/v1/queues/new", `{"timeuot":"5s"}`, 400, "invalid_argument", "timeuot"},
		{"PUT", "/v1/queues/a%20b", `{}`, 400, "invalid_argument", "queue"},
		{"GET", "/v1/queues/nope", "", 404, "not_found", "queue"},
		{"GET", "/v1/queues/orders/dead?page_size=1001", "", 400, "invalid_argument", "page_size"},
		{"GET", "/v1/dead/1", "", 400, "invalid_argument", "id"},
		{"GET", "/v1/health?x=1", "", 400, "invalid_argument", "x"},
		{"GET", "/v1/workers?x=1", "", 400, "invalid_argument", "x"},
		{"GET", "/", "", 404, "not_found", ""},
		{"GET", "/v1/nothing", "", 404, "not_found", ""},
		{"GET", "/v1/tasks/" + someID + "/x", "", 404, "not_found", ""},
		{"DELETE", "/v1/tasks/" + someID, "", 405, "invalid_argument", ""},
		{"POST", "/metrics", "", 405, "invalid_argument", ""},
	} {
		r := h.do(t, c.method, c.path, strings.NewReader(c.body))
		if r.status != c.status || r.fail.Code != c.code || r.fail.Field != c.field || r.fail.Message == "" {
			t.Errorf("%s %s %s: %d %s, want %d %s with field %q", c.method, c.path, c.body, r.status, r.body, c.status, c.code, c.field)
		}
		if strings.Contains(r.fail.Message, "proto:") || strings.Contains(r.fail.Message, "goroutine") {
			t.Errorf("%s %s: message is %q", c.method, c.path, r.fail.Message)
		}
	}
}

func TestHTTPErrorsOfTheEngineKeepCodeFieldAndDelay(t *testing.T) {
	for code, status := range map[task.Code]int{
		task.CodeConflict: 409, task.CodeResourceExhausted: 429, task.CodeTooLarge: 413, task.CodeUnavailable: 503,
		task.CodeFailedPrecondition: 409, task.CodeUnimplemented: 501, task.CodeInternal: 500, task.CodeStale: 409, task.CodeAlreadyExists: 409,
	} {
		h := newHarness(t, func(e *fakeEngine, _ *Config) {
			e.put = func(task.Write, bool) (uint64, error) {
				return 0, task.Errorf(code, "no").WithField("f").WithRetryAfter(1200 * time.Millisecond)
			}
		})
		r := h.do(t, "PUT", "/v1/records/k/n", strings.NewReader(`{}`))
		want := failure{Code: code.String(), Message: "no", Field: "f", RetryAfter: "1.2s"}
		if r.status != status || r.fail != want || r.header.Get("Retry-After") != "2" {
			t.Errorf("%s: %d %+v, Retry-After %q", code, r.status, r.fail, r.header.Get("Retry-After"))
		}
	}
}

func TestHTTPBodiesAboveTheLimitAreRefusedBeforeTheyAreRead(t *testing.T) {
	h := newHarness(t, func(_ *fakeEngine, c *Config) { c.MaxRequest = 1000 })
	big := `{"tasks":[{"queue":"orders","payload":"` + strings.Repeat("A", 4000) + `"}]}`
	for name, body := range map[string]io.Reader{
		"with its length": strings.NewReader(big),
		"in chunks":       io.MultiReader(strings.NewReader(big)),
	} {
		r := h.do(t, "POST", "/v1/tasks", body)
		if r.status != http.StatusRequestEntityTooLarge || r.fail.Code != "too_large" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	// An endless body must not be waited for either.
	r := h.do(t, "POST", "/v1/tasks", drip{})
	if r.status != http.StatusRequestEntityTooLarge {
		t.Errorf("endless: %d %s", r.status, r.body)
	}
}

// drip is a body that never ends.
type drip struct{}

func (drip) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte(" "), len(p))), nil }

func TestHTTPRefusesForeignPagesAndEncodings(t *testing.T) {
	h := newHarness(t)
	body := `{"tasks":[{"queue":"orders"}]}`
	for _, c := range []struct {
		name, header, value string
		status              int
	}{
		{"a page of another origin", "Origin", "https://evil.example", 403},
		{"a cross-site fetch", "Sec-Fetch-Site", "cross-site", 403},
		{"a page of the same origin", "Sec-Fetch-Site", "same-origin", 200},
		{"compressed", "Content-Encoding", "gzip", 415},
		{"not compressed", "Content-Encoding", "identity", 200},
		{"a form's content type", "Content-Type", "application/x-www-form-urlencoded", 200},
		{"an override", "X-HTTP-Method-Override", "GET", 200},
	} {
		if r := h.do(t, "POST", "/v1/tasks", strings.NewReader(body), c.header, c.value); r.status != c.status {
			t.Errorf("%s: %d %s", c.name, r.status, r.body)
		}
	}
}

func TestHTTPSaysWhyTheNodeIsNotReady(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) { e.problems = []string{"partition 3 is not owned"} })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := h.web.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(b), `"problems":["partition 3 is not owned"],"ready":false`) {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	if r := h.do(t, "GET", "/healthz", nil); r.status != http.StatusOK {
		t.Errorf("a node that is not ready is not alive: %d", r.status)
	}
	if r := h.do(t, "GET", "/v1/health", nil); !strings.Contains(r.body, "partition 3") {
		t.Errorf("health says %s", r.body)
	}
}

func TestHTTPShowsMetrics(t *testing.T) {
	h := newHarness(t)
	h.do(t, "POST", "/v1/tasks", strings.NewReader(`{"tasks":[{"queue":"orders"}]}`))
	h.do(t, "GET", "/v1/nothing", nil)
	r := h.do(t, "GET", "/metrics", nil)
	for _, want := range []string{
		`fenfa_server_requests_total{code="ok",transport="http"} 1`,
		`fenfa_server_requests_total{code="not_found",transport="http"} 1`,
		`fenfa_server_confirm_seconds_count 1`,
		`fenfa_server_panics_total 0`,
	} {
		if !strings.Contains(r.body, want) {
			t.Errorf("%s is not in the metrics", want)
		}
	}
}

func TestHTTPContainsPanics(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.status = func(task.ID) (partition.TaskStatus, error) { panic("a defect with details") }
	})
	for range 2 {
		r := h.do(t, "GET", "/v1/tasks/"+someID, nil)
		if r.status != http.StatusInternalServerError || r.fail.Code != "internal" || strings.Contains(r.body, "details") {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
}
