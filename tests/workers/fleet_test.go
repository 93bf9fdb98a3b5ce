package workers

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/history"
	"github.com/fenfa/fenfa/tests/harness"
)

// jobs is the queue of most scenarios.
const jobs = "jobs"

// fleet is a node and the crews that work for it.
type fleet struct {
	t      *testing.T
	dir    string // of journals
	node   *harness.Node
	client *fenfa.Client
	queues []string   // all
	loose  []string   // those without order
	crews  []*process // all that ever were
}

// newFleet starts a node with these queues, and no workers.
func newFleet(t *testing.T, queues ...fenfa.Queue) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir(), node: harness.NewNode(t, t.TempDir(), "--workers-slow-start", "1s")}
	f.node.Start()
	f.client = f.node.Dial()
	for _, q := range queues {
		f.configure(q)
		f.queues = append(f.queues, q.Name)
		if q.Order == fenfa.OrderNone {
			f.loose = append(f.loose, q.Name)
		}
	}
	return f
}

// configure makes a queue or changes its settings.
func (f *fleet) configure(q fenfa.Queue) {
	f.t.Helper()
	harness.Configure(f.t, f.client, q)
}

// hire starts a crew.
func (f *fleet) hire(c crew) *process {
	f.t.Helper()
	if c.Slots == 0 {
		c.Slots = 8
	}
	if c.Queues == nil {
		c.Queues = f.queues
	}
	c.Addr = f.node.GRPC
	c.Path = filepath.Join(f.dir, fmt.Sprintf("%d.journal", len(f.crews)))
	text, err := json.Marshal(c)
	if err != nil {
		f.t.Fatal(err)
	}
	p := &process{crew: c, journal: journalReader{path: c.Path, index: map[execution]int{}}}
	p.Process = harness.StartSelf(f.t, c.Workers[0], crewEnv+"="+string(text))
	f.crews = append(f.crews, p)
	return p
}

// hireEach starts a process for each name.
func (f *fleet) hireEach(names ...string) []*process {
	f.t.Helper()
	all := make([]*process, len(names))
	for i, name := range names {
		all[i] = f.hire(crew{Workers: []string{name}})
	}
	f.awaitActive(names...)
	return all
}

// dismiss lets processes drain. They must end by themselves, without an error.
func (f *fleet) dismiss(all ...*process) {
	f.t.Helper()
	for _, p := range all {
		if code := p.Stop(); code != 0 {
			f.t.Errorf("the process of %v ended with code %d:\n%s", p.crew.Workers, code, p.Tail())
		}
	}
}

// workers lists the workers that the node knows, by name.
func (f *fleet) workers(ctx context.Context) (map[string]fenfa.WorkerInfo, error) {
	list, err := f.client.Workers(ctx)
	all := make(map[string]fenfa.WorkerInfo, len(list))
	for _, w := range list {
		all[w.ID] = w
	}
	return all, err
}

// now lists the workers that the node knows now.
func (f *fleet) now() map[string]fenfa.WorkerInfo {
	f.t.Helper()
	all, err := f.workers(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return all
}

// awaitActive waits until the node gives tasks to all of these workers.
func (f *fleet) awaitActive(names ...string) {
	f.t.Helper()
	f.awaitWorkers(fmt.Sprintf("%v are active", names), func(all map[string]fenfa.WorkerInfo) bool {
		for _, name := range names {
			if all[name].State != "active" {
				return false
			}
		}
		return true
	})
}

// awaitWorkers waits until the workers that the node knows are as they should be.
func (f *fleet) awaitWorkers(what string, holds func(map[string]fenfa.WorkerInfo) bool) {
	f.t.Helper()
	harness.Await(f.t, what, func(ctx context.Context) bool {
		all, err := f.workers(ctx)
		return err == nil && holds(all)
	})
}

// follow reads what is new in a crew's journal and returns all its runs.
func (f *fleet) follow(p *process) []history.Delivery {
	f.t.Helper()
	if err := p.journal.follow(); err != nil {
		f.t.Fatal(err)
	}
	return p.journal.runs
}

// ended is how many runs of handlers ended in these processes.
func (f *fleet) ended(all ...*process) int {
	f.t.Helper()
	n := 0
	for _, p := range all {
		f.follow(p)
		n += p.journal.ended
	}
	return n
}

// awaitProgress waits until as many more runs have ended in these processes, all
// of them together.
func (f *fleet) awaitProgress(more int, all ...*process) {
	f.t.Helper()
	begin := f.ended(all...)
	harness.Await(f.t, fmt.Sprintf("%d more handlers have ended", more), func(context.Context) bool {
		return f.ended(all...)-begin >= more
	})
}

// runs returns every run of a handler in every process.
func (f *fleet) runs() []history.Delivery {
	f.t.Helper()
	var all []history.Delivery
	for _, p := range f.crews {
		all = append(all, f.follow(p)...)
	}
	return all
}

// outages returns all that the test did to workers.
func (f *fleet) outages() []outage {
	var all []outage
	for _, p := range f.crews {
		all = append(all, p.outages...)
	}
	return all
}

// metric returns the sum of a metric's series that have these labels, each like
// `reason="away"`.
func (f *fleet) metric(name string, labels ...string) float64 {
	f.t.Helper()
	text, err := f.node.Metrics(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	sum := 0.0
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		series, number, found := strings.Cut(lines.Text(), " ")
		if !found || series != name && !strings.HasPrefix(series, name+"{") || !containsAll(series, labels) {
			continue
		}
		v, err := strconv.ParseFloat(number, 64)
		if err != nil {
			f.t.Fatalf("read metric %s: %v", name, err)
		}
		sum += v
	}
	return sum
}

func containsAll(s string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

// expectEnds checks how many sessions have ended, by reason; of reasons that are
// not named there must be none.
func (f *fleet) expectEnds(want map[string]int) {
	f.t.Helper()
	for _, reason := range []string{"left", "replaced", "silent", "away", "stopped"} {
		if got := int(f.metric("fenfa_dispatch_sessions_ended_total", `reason="`+reason+`"`)); got != want[reason] {
			f.t.Errorf("%d sessions ended as %q, want %d", got, reason, want[reason])
		}
	}
}
