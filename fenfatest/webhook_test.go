package fenfatest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

const webhookSecret = "a secret of the test"

// pushed is what a webhook is sent.
type pushed struct {
	Task struct {
		ID          string `json:"id"`
		Key         string `json:"key"`
		PayloadJSON any    `json:"payload_json"`
		Attempt     int    `json:"attempt"`
	} `json:"task"`
	Records []struct {
		Name      string `json:"name"`
		Version   string `json:"version"`
		ValueJSON any    `json:"value_json"`
	} `json:"records"`
	RecordsComplete bool `json:"records_complete"`
}

// receiver answers requests that are signed, and counts them.
func receiver(t *testing.T, calls *atomic.Int64, answer func(w http.ResponseWriter, p *pushed)) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		body, err := fenfa.VerifyWebhook(r, webhookSecret)
		if err != nil {
			t.Error(err)
		}
		var p pushed
		if err := json.Unmarshal(body, &p); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		answer(w, &p)
	}))
	t.Cleanup(s.Close)
	return s
}

// logged is what was logged, a line each; more than it has room for is dropped.
type logged chan string

func (l logged) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default:
	}
	return len(line), nil
}

// say answers in JSON.
func say(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = io.WriteString(w, body)
}

func hooked(q fenfa.Queue, urls ...string) fenfa.Queue {
	q.Webhook = &fenfa.Webhook{Secret: webhookSecret}
	for _, url := range urls {
		q.Webhook.Targets = append(q.Webhook.Targets, fenfa.WebhookTarget{URL: url})
	}
	return q
}

func configure(t *testing.T, n *fenfatest.Node, q fenfa.Queue) fenfa.Queue {
	t.Helper()
	now, _, err := n.Client().ConfigureQueue(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func submitted(t *testing.T, n *fenfatest.Node, key string, payload any) fenfa.ID {
	t.Helper()
	task := fenfa.NewTask("q", payload, fenfa.Key(key))
	if _, err := n.Client().Submit(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	return task.ID()
}

func TestAWebhookChangesStateOnce(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("next"))
	var calls atomic.Int64
	s := receiver(t, &calls, func(w http.ResponseWriter, p *pushed) {
		total, version := 0.0, "0"
		if len(p.Records) == 1 {
			total, version = p.Records[0].ValueJSON.(float64), p.Records[0].Version
		}
		if calls.Load() == 1 { // It has seen nothing of what is there.
			version = "7"
		}
		say(w, fmt.Sprintf(`{"result_json":{"total":%v},"writes":[{"name":"total","expected_version":%q,"value_json":%v}],"emits":[{"queue":"next","payload_text":"x"}]}`,
			total+p.Task.PayloadJSON.(float64), version, total+p.Task.PayloadJSON.(float64)))
	})
	configure(t, n, hooked(fenfa.Queue{Name: "q"}, s.URL))
	var last fenfa.ID
	for i := 1; i <= 5; i++ {
		last = submitted(t, n, "k", i)
	}
	if st := n.Await(t.Context(), last); st.State != fenfa.StateDone || string(st.Result) != `{"total":15}` || st.Attempts != 0 || !strings.HasPrefix(st.Worker, "webhook/q/") {
		t.Errorf("%+v", st)
	}
	record, err := n.Client().State().Get(t.Context(), "k", "total")
	if err != nil || string(record.Value) != "15" {
		t.Errorf("%s %v", record.Value, err)
	}
	if calls.Load() != 6 {
		t.Errorf("%d requests for 5 tasks, of which one met a conflict", calls.Load())
	}
	if info, err := n.Client().DescribeQueue(t.Context(), "next"); err != nil || info.Stats.BacklogTasks != 5 {
		t.Errorf("%+v %v", info.Stats, err)
	}
}

func TestStatusesOfAWebhookAreOutcomes(t *testing.T) {
	n := fenfatest.Start(t)
	var calls, followed atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer elsewhere.Close()
	s := receiver(t, &calls, func(w http.ResponseWriter, p *pushed) {
		switch p.Task.Key {
		case "busy":
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "broken":
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, "stack of the receiver")
		case "gone":
			w.WriteHeader(http.StatusGone)
		case "elsewhere":
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		case "later":
			say(w, `{"error":"not yet","retry_after":"0s"}`)
		case "never":
			say(w, `{"error":"nonsense","dead":true}`)
		case "mixed":
			say(w, `{"error":"x","result_json":1}`)
		case "garbled":
			say(w, `{"resalt":1}`)
		case "large":
			_, _ = w.Write(make([]byte, 5<<20))
		case "text":
			_, _ = io.WriteString(w, "thanks")
		}
	})
	configure(t, n, hooked(fenfa.Queue{Name: "q", Retry: fenfa.RetryPolicy{Base: 1, MaxAttempts: 2}}, s.URL))
	for payload, want := range map[string]struct {
		state    fenfa.LifeState
		attempts int
		text     string
	}{
		"busy":      {fenfa.StateDead, 2, "503 Service Unavailable"},
		"broken":    {fenfa.StateDead, 2, "500 Internal Server Error: stack of the receiver"},
		"gone":      {fenfa.StateDead, 1, "410 Gone"},
		"elsewhere": {fenfa.StateDead, 2, "redirects are not followed"},
		"later":     {fenfa.StateDead, 2, "not yet"},
		"never":     {fenfa.StateDead, 1, "nonsense"},
		"mixed":     {fenfa.StateDead, 2, "an attempt that failed changes nothing"},
		"garbled":   {fenfa.StateDead, 2, "resalt"},
		"large":     {fenfa.StateDead, 2, "more than"},
		"text":      {fenfa.StateDone, 0, ""},
		"nothing":   {fenfa.StateDone, 0, ""},
	} {
		st := n.Await(t.Context(), submitted(t, n, payload, payload))
		if st.State != want.state || st.Attempts != want.attempts || !strings.Contains(st.Error, want.text) {
			t.Errorf("%s: %+v", payload, st)
		}
	}
	if followed.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestAWebhookThatIsAwayCostsNoAttempt(t *testing.T) {
	n := fenfatest.Start(t)
	// A port that is taken, and at which nobody answers: connections wait and then end.
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closing := make(chan struct{}, 100)
	refusing := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: 1, ConnState: func(c net.Conn, s http.ConnState) {
		if s == http.StateNew {
			closing <- struct{}{}
			_ = c.Close()
		}
	}}
	go func() { _ = refusing.Serve(l) }()
	// Over TLS a connection that ends before the handshake never came about.
	configure(t, n, hooked(fenfa.Queue{Name: "q"}, "https://"+l.Addr().String()))
	id := submitted(t, n, "k", "x")
	for range 3 {
		<-closing
	}
	st, err := n.Client().Task(t.Context(), id)
	if err != nil || st.Attempts != 0 || st.State.Final() {
		t.Errorf("%+v %v", st, err)
	}
	if err := refusing.Close(); err != nil {
		t.Error(err)
	}
	var calls atomic.Int64
	s := receiver(t, &calls, func(http.ResponseWriter, *pushed) {})
	configure(t, n, hooked(fenfa.Queue{Name: "q"}, s.URL))
	if st := n.Await(t.Context(), id); st.State != fenfa.StateDone || st.Attempts != 0 || st.Deliveries != 1 {
		t.Errorf("%+v", st)
	}
}

func TestTheSecretOfAWebhookIsNeverShownAndRotates(t *testing.T) {
	n := fenfatest.Start(t)
	var calls atomic.Int64
	s := receiver(t, &calls, func(http.ResponseWriter, *pushed) {})
	first := configure(t, n, hooked(fenfa.Queue{Name: "q"}, s.URL))
	// The receiver knows the first secret only: both sign until that is forgotten.
	second := configure(t, n, fenfa.Queue{Name: "q", Webhook: &fenfa.Webhook{Secret: "another secret of the test"}})
	if ids := second.Webhook.SecretIDs; len(ids) != 2 || ids[1] != first.Webhook.SecretIDs[0] || ids[0] == ids[1] {
		t.Errorf("%v after %v", ids, first.Webhook.SecretIDs)
	}
	n.Await(t.Context(), submitted(t, n, "k", "x"))
	if calls.Load() != 1 {
		t.Errorf("%d requests", calls.Load())
	}
	n.Restart()
	third := configure(t, n, fenfa.Queue{Name: "q", Webhook: &fenfa.Webhook{ForgetFormer: true}})
	if ids := third.Webhook.SecretIDs; len(ids) != 1 || ids[0] != second.Webhook.SecretIDs[0] || len(third.Webhook.Targets) != 1 {
		t.Errorf("%+v", third.Webhook)
	}
	w := newWeb(t, n)
	for _, path := range []string{"/v1/queues", "/v1/queues/q"} {
		b, err := json.Marshal(w.call(http.StatusOK, http.MethodGet, path, nil))
		if err != nil || strings.Contains(string(b), "secret of the test") {
			t.Errorf("%s shows the secret: %s", path, b)
		}
	}
	if off := configure(t, n, fenfa.Queue{Name: "q", Webhook: &fenfa.Webhook{Off: true}}); off.Webhook != nil {
		t.Errorf("%+v", off.Webhook)
	}
}

func TestAWebhookThatIsAwayIsExplainedAndItsQueryNotTold(t *testing.T) {
	lines := make(logged, 1000)
	n := fenfatest.Start(t, fenfatest.WithLogger(slog.New(slog.NewTextHandler(lines, nil))))
	configure(t, n, hooked(fenfa.Queue{Name: "q"}, "http://127.0.0.1:1/hook?key=canary-in-query"))
	id := submitted(t, n, "k", 1)
	for line := ""; !strings.Contains(line, "webhook away"); {
		if line = <-lines; strings.Contains(line, "canary") {
			t.Errorf("the log has it: %s", line)
		}
	}
	for why := ""; !strings.Contains(why, "no URL of the webhook"); {
		x, err := n.Client().Explain(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if why = x.Text; strings.Contains(why, "canary") {
			t.Errorf("the explanation has it: %s", why)
		}
	}
}

func TestAWorkerCannotTakeThePlaceOfAWebhook(t *testing.T) {
	n := fenfatest.Start(t, fenfatest.WithQueues("mine"))
	c := n.Client()
	var calls atomic.Int64
	s := receiver(t, &calls, func(w http.ResponseWriter, _ *pushed) { w.WriteHeader(http.StatusNoContent) })
	configure(t, n, hooked(fenfa.Queue{Name: "q"}, s.URL))
	n.Await(t.Context(), submitted(t, n, "k", 1))
	workers, err := c.Workers(t.Context())
	if err != nil || len(workers) != 1 {
		t.Fatalf("workers %+v: %v", workers, err)
	}
	w := c.Worker(fenfa.WorkerID(workers[0].ID))
	w.Handle("mine", func(context.Context, *fenfa.Task) error { return nil })
	if err := w.Run(t.Context()); fenfa.CodeOf(err) != fenfa.CodeInvalidArgument {
		t.Errorf("it may have the name: %v", err)
	}
	n.Await(t.Context(), submitted(t, n, "k", 2))
}

func TestURLsOfAWebhookShareByWeight(t *testing.T) {
	n := fenfatest.Start(t)
	var light, heavy atomic.Int64
	a := receiver(t, &light, func(http.ResponseWriter, *pushed) {})
	b := receiver(t, &heavy, func(http.ResponseWriter, *pushed) {})
	q := hooked(fenfa.Queue{Name: "q", Balance: fenfa.Balance{Policy: fenfa.BalanceWeighted}}, a.URL, b.URL)
	q.Webhook.Targets[1].Weight = 3
	configure(t, n, q)
	var ids []fenfa.ID
	for i := range 80 {
		ids = append(ids, submitted(t, n, fmt.Sprint(i), i))
	}
	for _, id := range ids {
		n.Await(t.Context(), id)
	}
	if light.Load()+heavy.Load() != 80 || light.Load() == 0 || heavy.Load() <= light.Load() {
		t.Errorf("%d and %d requests for 80 tasks, of URLs with weights 1 and 3", light.Load(), heavy.Load())
	}
}

func TestWrongWebhooksAreRefused(t *testing.T) {
	n := fenfatest.Start(t)
	for field, w := range map[string]fenfa.Webhook{
		"webhook.secret":            {Secret: "short", Targets: []fenfa.WebhookTarget{{URL: "https://a"}}},
		"webhook.targets":           {Secret: webhookSecret},
		"webhook.targets[0].url":    {Secret: webhookSecret, Targets: []fenfa.WebhookTarget{{URL: "ftp://a"}}},
		"webhook.targets[1].url":    {Secret: webhookSecret, Targets: []fenfa.WebhookTarget{{URL: "https://a"}, {URL: "https://u:p@b"}}},
		"webhook.targets[2].url":    {Secret: webhookSecret, Targets: []fenfa.WebhookTarget{{URL: "https://a"}, {URL: "https://b"}, {URL: "https://a"}}},
		"webhook.targets[0].weight": {Secret: webhookSecret, Targets: []fenfa.WebhookTarget{{URL: "https://a", Weight: -1}}},
		"webhook.dead_statuses":     {Secret: webhookSecret, Targets: []fenfa.WebhookTarget{{URL: "https://a"}}, DeadStatuses: []int{500}},
		"webhook.concurrency":       {Secret: webhookSecret, Targets: []fenfa.WebhookTarget{{URL: "https://a"}}, Concurrency: 1_000_000},
	} {
		_, _, err := n.Client().ConfigureQueue(t.Context(), fenfa.Queue{Name: "q", Webhook: &w})
		if e, ok := errors.AsType[*fenfa.Error](err); !ok || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
