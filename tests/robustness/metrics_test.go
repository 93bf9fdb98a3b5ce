package robustness

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/tests/harness"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md")

// metric is one of fenfa's own metrics as a node shows it.
type metric struct {
	name, kind, help string
	labels           []string
}

// TestTheMetricsPageShowsWhatANodeShows compares docs/metrics.md with /metrics of
// a node that has had some work. With -update it writes the page.
func TestTheMetricsPageShowsWhatANodeShows(t *testing.T) {
	n := harness.NewNode(t, t.TempDir())
	n.Env = append(n.Env, "FENFA_WEBHOOK_ALLOW=127.0.0.1")
	n.Start()
	client := n.Dial()
	configure(t, client)
	if _, _, err := client.ConfigureQueue(t.Context(), fenfa.Queue{Name: "limited", Concurrency: 1}); err != nil {
		t.Fatal(err)
	}
	startWorker(t, n.GRPC, "worker")
	leaver := startWorker(t, n.GRPC, "leaver")
	var submissions []submission
	for i := 1; i <= 5; i++ {
		task := fenfa.NewTask(orders, order{N: i, Fail: i % 2}, fenfa.Key("sku"))
		if _, err := client.Submit(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		submissions = append(submissions, submission{id: task.ID(), key: "sku", n: i, confirmed: true})
	}
	check(t, client, submissions)
	runSagas(t, client)
	runCron(t, client)
	pushTask(t, client)
	leaver.Stop() // Ends of sessions are counted too.

	page := filepath.Join("..", "..", "docs", "metrics.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`(?m)(\| metric \|.*\n(?:\|.*\n)+)`)
	first := table.FindStringIndex(string(text))
	if first == nil {
		t.Fatalf("%s has no table of metrics", page)
	}
	want := string(text[:first[0]]) + tableOf(parseMetrics(t, metrics(t, n))) + string(text[first[1]:])
	if want == string(text) {
		return
	}
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s is stale: run make generate; it should be\n%s", page, want)
}

// runCron has a schedule tick.
func runCron(t *testing.T, client *fenfa.Client) {
	t.Helper()
	if _, _, err := client.Crons().Create(t.Context(), fenfa.CronDefinition{Name: "hourly", Queue: orders, Spec: "@hourly"}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Crons().Run(t.Context(), "hourly"); err != nil {
		t.Fatal(err)
	}
}

// pushTask has a webhook called.
func pushTask(t *testing.T, client *fenfa.Client) {
	t.Helper()
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(hook.Close)
	if _, _, err := client.ConfigureQueue(t.Context(), fenfa.Queue{Name: "pushed", Webhook: &fenfa.Webhook{
		Targets: []fenfa.WebhookTarget{{URL: hook.URL}}, Secret: "a secret of the test",
	}}); err != nil {
		t.Fatal(err)
	}
	task := fenfa.NewTask("pushed", 1)
	if _, err := client.Submit(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	if st, err := client.Wait(t.Context(), task.ID()); err != nil || st.State != fenfa.StateDone {
		t.Fatalf("the task that was pushed is %+v, %v", st, err)
	}
}

// metrics returns what the node says at /metrics, once it has seen a worker leave.
func metrics(t *testing.T, n *harness.Node) string {
	t.Helper()
	var said string
	harness.Await(t, "the node shows its metrics", func(ctx context.Context) bool {
		var err error
		said, err = n.Metrics(ctx)
		return err == nil && strings.Contains(said, "\nfenfa_dispatch_sessions_ended_total{") && strings.Contains(said, "\nfenfa_webhook_request_seconds_count{")
	})
	return said
}

// parseMetrics reads fenfa's own metrics from the text format of Prometheus.
func parseMetrics(t *testing.T, text string) []metric {
	t.Helper()
	label := regexp.MustCompile(`[{,]([a-z_]+)="`)
	var found []metric
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "# HELP fenfa_"):
			name, help, _ := strings.Cut(strings.TrimPrefix(line, "# HELP "), " ")
			found = append(found, metric{name: name, help: help})
		case strings.HasPrefix(line, "# TYPE fenfa_"):
			_, kind, _ := strings.Cut(strings.TrimPrefix(line, "# TYPE "), " ")
			found[len(found)-1].kind = kind
		case strings.HasPrefix(line, "fenfa_"):
			m := &found[len(found)-1]
			for _, l := range label.FindAllStringSubmatch(line, -1) {
				if l[1] != "le" && !slices.Contains(m.labels, l[1]) {
					m.labels = append(m.labels, l[1])
				}
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("the node shows no metric of its own:\n%s", text)
	}
	return found
}

// tableOf is the table of docs/metrics.md.
func tableOf(metrics []metric) string {
	slices.SortFunc(metrics, func(a, b metric) int { return strings.Compare(a.name, b.name) })
	var b strings.Builder
	b.WriteString("| metric | kind | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range metrics {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, strings.Join(m.labels, ", "), m.help)
	}
	return b.String()
}

func TestMetricsAreReadFromTheTextFormat(t *testing.T) {
	const text = `# HELP go_threads Not ours.
# TYPE go_threads gauge
go_threads 7
# HELP fenfa_b_seconds Time of b.
# TYPE fenfa_b_seconds histogram
fenfa_b_seconds_bucket{queue="q",le="0.1"} 1
fenfa_b_seconds_sum{queue="q"} 1
# HELP fenfa_a_total Count of a.
# TYPE fenfa_a_total counter
fenfa_a_total{queue="q",state="done"} 1
`
	const want = `| metric | kind | labels | meaning |
|---|---|---|---|
| ` + "`fenfa_a_total`" + ` | counter | queue, state | Count of a. |
| ` + "`fenfa_b_seconds`" + ` | histogram | queue | Time of b. |
`
	if got := tableOf(parseMetrics(t, text)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
