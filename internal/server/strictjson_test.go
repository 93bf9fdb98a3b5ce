package server

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

func TestPayloadsMayBeWrittenAsJSONAndText(t *testing.T) {
	var got []string
	h := newHarness(t, func(e *fakeEngine, _ *Config) {
		e.submit = func(_ context.Context, tasks []task.Task) []partition.SubmitResult {
			for i := range tasks {
				got = append(got, string(tasks[i].Payload))
			}
			return make([]partition.SubmitResult, len(tasks))
		}
	})
	for body, want := range map[string]string{
		`{"payload_json": {"z": 1, "a": [12345678901234567890, 1.0, "\u00e9"]}}`: `{"z":1,"a":[12345678901234567890,1.0,"\u00e9"]}`,
		`{"payload_json": null}`:           `null`,
		`{"payload_json": " x "}`:          `" x "`,
		`{"payload_text": "分发\n"}`:         "分发\n",
		`{"payload_text": null}`:           ``,
		`{"payload_text": ""}`:             ``,
		`{"payload": "e30="}`:              `{}`,
		`{"payload_text": "payload_json"}`: "payload_json",
	} {
		got = nil
		body = strings.Replace(body, "{", `{"queue": "orders", `, 1)
		if r := h.do(t, http.MethodPost, "/v1/tasks", strings.NewReader(`{"tasks":[`+body+`]}`)); r.status != http.StatusOK {
			t.Errorf("%s: %s", body, r.body)
			continue
		}
		if len(got) != 1 || got[0] != want {
			t.Errorf("%s is the payload %q, want %q", body, got, want)
		}
	}
}

func TestAPayloadHasOneForm(t *testing.T) {
	h := newHarness(t)
	for _, body := range []string{
		`{"payload_json": 1, "payload": "e30="}`,
		`{"payload_json": 1, "payload_text": "x"}`,
		`{"payload_json": 1, "payload_json": 1}`,
		`{"payload_text": 1}`,
		`{"payload_text": "\ud800"}`,
		"{\"payload_text\": \"\xff\"}",
		"{\"payload_json\": \"\xff\"}",
		`{"payload_json": }`,
		`{"payload_yaml": "a: b"}`,
		`{"hash_text": "x"}`,
	} {
		r := h.do(t, http.MethodPost, "/v1/tasks", strings.NewReader(`{"tasks":[`+body+`]}`))
		if r.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
}

func TestAnswersShowBytesAsWhatTheyAre(t *testing.T) {
	h := newHarness(t)
	for path, want := range map[string]string{
		"/v1/records/k/n":         `"value":"eyJuIjoxfQ==","value_json":{"n":1}`,
		"/v1/tasks/" + someID:     `"result":"b2s=","result_text":"ok"`,
		"/v1/dead/" + someID:      `"payload":"cGF5bG9hZA==","payload_text":"payload"`,
		"/v1/records/k/n/history": `"value":"dg==","value_text":"v"`,
		"/v1/queues/orders/dead":  `"payload":"",`,
	} {
		if r := h.do(t, http.MethodGet, path, nil); !strings.Contains(strings.ReplaceAll(strings.ReplaceAll(r.body, ", ", ","), ": ", ":"), want) {
			t.Errorf("%s: %s is not in %s", path, want, r.body)
		}
	}
}
