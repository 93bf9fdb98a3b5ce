package languages

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

func TestTheNodeWorkerCountsVisits(t *testing.T) {
	need(t, "node", "nodejs")
	n := fenfatest.Start(t, fenfatest.WithQueues("visits"))
	ctx, c := t.Context(), n.Client()
	stopped, stop := context.WithCancel(ctx)
	defer stop()
	worker := command(stopped, t, "node", "examples/node/worker.mjs", "http://"+n.HTTPAddr(), "3")
	worker.cmd.Env = append(worker.cmd.Environ(), "WEBHOOK_SECRET=a secret of the test")
	ended := make(chan error, 1)
	go func() { ended <- worker.cmd.Run() }()

	n.Await(ctx, visit(t, c, 5))
	nonsense := fenfa.NewTask("visits", 1, fenfa.Key("/start"))
	if _, err := c.Submit(ctx, nonsense); err != nil {
		t.Fatal(err)
	}
	if st := n.Await(ctx, nonsense.ID()); st.State != fenfa.StateDead || st.Error != "the visit has no path" {
		t.Errorf("%+v", st)
	}
	forged(t, n) // It waits for a third report, at the sixth visit.
	if st := n.Await(ctx, visit(t, c, 2)); st.State != fenfa.StateDone || string(st.Result) != `{"total":7}` || st.Attempts != 0 {
		t.Errorf("%+v", st)
	}
	record, err := c.State().Get(ctx, "/start", "visits")
	if err != nil || string(record.Value) != `{"total":7}` {
		t.Errorf("%s %v", record.Value, err)
	}
	if err := <-ended; err != nil || !strings.Contains(worker.out.String(), "/start has 6 visits") {
		t.Errorf("%v\n%s", err, worker.out.String())
	}
}

// visit submits visits, and returns the id of the last one.
func visit(t *testing.T, c *fenfa.Client, times int) (last fenfa.ID) {
	t.Helper()
	for range times {
		task := fenfa.NewTask("visits", map[string]string{"path": "/start"}, fenfa.Key("/start"))
		if _, err := c.Submit(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		last = task.ID()
	}
	return last
}

// forged sends the receiver what no node has signed.
func forged(t *testing.T, n *fenfatest.Node) {
	t.Helper()
	info, err := n.Client().DescribeQueue(t.Context(), "visits")
	if err != nil || info.Webhook == nil {
		t.Fatalf("%+v %v", info, err)
	}
	body, err := json.Marshal(map[string]any{"task": map[string]any{"payload_json": map[string]string{"path": "/start"}}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, info.Webhook.Targets[0].URL, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Fenfa-Timestamp", "1")
	req.Header.Set("Fenfa-Signature", "v1=00")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a forged request was answered %d", resp.StatusCode)
	}
}
