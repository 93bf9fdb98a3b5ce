package server

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

func TestOnlyAnAdminPushesTasksToURLs(t *testing.T) {
	h := newGuarded(t)
	const plain, hook = `{"timeout":"5s"}`, `{"webhook":{"targets":[{"url":"https://a.example"}],"secret":"0123456789abcdef"}}`
	for _, c := range []struct {
		scope, body string
		status      int
	}{
		{"*:manage", plain, http.StatusOK},
		{"*:manage", hook, http.StatusForbidden},
		{"*:admin", hook, http.StatusOK},
	} {
		token := h.token(t, strings.ReplaceAll(c.scope, "*:", "")+c.body[2:5], c.scope)
		r := h.do(t, http.MethodPut, "/v1/queues/orders", strings.NewReader(c.body), "Authorization", "Bearer "+token)
		if r.status != c.status || strings.Contains(r.body, "0123456789abcdef") {
			t.Errorf("%s with %s: %d %s", c.body, c.scope, r.status, r.body)
		}
	}
}

func TestAnswersOfWebhooksAreOutcomes(t *testing.T) {
	for body, want := range map[string]task.Outcome{
		`{}`:                                 {Kind: task.OutcomeDone, RetryAfter: -1},
		`{"result_text":"x"}`:                {Kind: task.OutcomeDone, RetryAfter: -1, Result: []byte("x")},
		`{"error":"e"}`:                      {Kind: task.OutcomeRetry, RetryAfter: -1, Error: "e"},
		`{"error":"e","retry_after":"1.5s"}`: {Kind: task.OutcomeRetry, RetryAfter: 1500 * time.Millisecond, Error: "e"},
		`{"error":"e","dead":true}`:          {Kind: task.OutcomeDead, RetryAfter: -1, Error: "e"},
	} {
		got, err := WebhookForm{}.Outcome([]byte(body))
		if err != nil || got.Kind != want.Kind || got.RetryAfter != want.RetryAfter || got.Error != want.Error || string(got.Result) != string(want.Result) {
			t.Errorf("%s is %+v: %v", body, got, err)
		}
	}
	for _, body := range []string{`[]`, `{"x":1}`, `{"dead":true,"retry_after":"1s"}`, `{"error":"e","emits":[{"queue":"q"}]}`, `{"retry_after":"-1s"}`, `{"emits":[{"id":"1"}]}`, `{} {}`} {
		if got, err := (WebhookForm{}).Outcome([]byte(body)); err == nil {
			t.Errorf("%s is %+v", body, got)
		}
	}
}
