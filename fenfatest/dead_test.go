package fenfatest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
	"github.com/fenfa/fenfa/internal/history"
	"github.com/fenfa/fenfa/internal/task"
)

// deadLetters is how many there are; FENFA_DEAD=1000000 for the numbers of
// docs/benchmarks.md.
func deadLetters(t *testing.T) int {
	t.Helper()
	text := os.Getenv("FENFA_DEAD")
	if text == "" {
		return 2000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1000 {
		t.Fatalf("FENFA_DEAD is %q: want a number of at least 1000", text)
	}
	return n
}

// graveyard fills a queue with dead letters, and judges what runs of them later.
type graveyard struct {
	t     *testing.T
	n     *fenfatest.Node
	total int

	mu      sync.Mutex
	heals   bool // from now on tasks are done
	judged  history.History
	ran     uint64
	started time.Time
}

func (g *graveyard) handle(_ context.Context, t *fenfa.Task) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.heals {
		return fenfa.Reject(errors.New("No stock of " + t.Type()))
	}
	g.ran++
	id := task.ID(t.ID())
	g.judged.Effects = append(g.judged.Effects, history.Effect{Task: id, Queue: t.Queue(), Key: t.Key(), Seq: g.ran})
	g.judged.Finals = append(g.judged.Finals, history.Final{Task: id, State: task.StateDone})
	return nil
}

// fill submits tasks in order, a tenth of them of type urgent, and waits until all
// are dead letters.
func (g *graveyard) fill() {
	g.t.Helper()
	const batch = 1000
	for first := 0; first < g.total; first += batch {
		var tasks []*fenfa.Task
		for i := first; i < min(first+batch, g.total); i++ {
			kind := "plain"
			if i/100%10 == 0 {
				kind = "urgent"
			}
			x := fenfa.NewTask("graves", i, fenfa.Key(fmt.Sprint("key-", i*7919%(g.total/50))), fenfa.Type(kind))
			tasks = append(tasks, x)
			if kind == "urgent" {
				g.judged.Submits = append(g.judged.Submits, history.Submit{
					Client: "c", Start: int64(i + 1), End: int64(i + 1), Task: task.ID(x.ID()), Queue: x.Queue(), Key: x.Key(), Pos: int64(i + 1), Result: history.OK,
				})
			}
		}
		if _, err := g.n.Client().SubmitBatch(g.t.Context(), tasks); err != nil {
			g.t.Fatal(err)
		}
	}
	g.await(func(s fenfa.QueueStats) bool { return s.Dead == int64(g.total) })
}

// await waits until the queue is so.
func (g *graveyard) await(is func(fenfa.QueueStats) bool) {
	g.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		q, err := g.n.Client().DescribeQueue(g.t.Context(), "graves")
		if err != nil {
			g.t.Fatal(err)
		}
		if is(q.Stats) {
			return
		}
		select {
		case <-ticker.C:
		case <-g.t.Context().Done():
			g.t.Fatalf("the queue is %+v", q.Stats)
		}
	}
}

// tell logs how long something took, and what memory the process has.
func (g *graveyard) tell(what string) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	rss := "?"
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			if strings.HasPrefix(line, "VmRSS:") || strings.HasPrefix(line, "VmHWM:") {
				rss += " " + strings.Join(strings.Fields(line), " ")
			}
		}
	}
	g.t.Logf("%s: %v, heap %d MiB, %s", what, time.Since(g.started).Round(time.Millisecond), m.HeapAlloc>>20, strings.TrimPrefix(rss, "? "))
	g.started = time.Now()
}

func TestManyDeadLettersAreListedFilteredAndRequeuedInOrder(t *testing.T) {
	g := &graveyard{t: t, total: deadLetters(t), started: time.Now()}
	g.n = fenfatest.Start(t, fenfatest.WithQueue(fenfa.Queue{Name: "graves", Retry: fenfa.RetryPolicy{MaxAttempts: 1}}))
	w := g.n.Client().Worker(fenfa.Concurrency(32))
	w.Handle("graves", g.handle)
	g.n.Run(w)
	g.fill()
	g.tell("filled")
	c, urgent := g.n.Client(), len(g.judged.Submits)
	seen := map[fenfa.DeadFilter]int{{Queue: "graves"}: g.total, {Text: "STOCK OF URGENT"}: urgent}
	for filter, want := range seen {
		found := 0
		for _, err := range c.EachDeadLetter(t.Context(), filter) {
			if err != nil {
				t.Fatal(err)
			}
			found++
		}
		if found != want {
			t.Errorf("%+v: %d found, want %d", filter, found, want)
		}
		g.tell(fmt.Sprintf("listed %d of %d", found, g.total))
	}
	g.mu.Lock()
	g.heals = true
	g.mu.Unlock()
	var steps int
	walk := fenfa.DeadWalk{Step: max(20, g.total/1000), Progress: func(fenfa.DeadProgress) error {
		if steps++; steps%7 == 0 {
			return errors.New("interrupted")
		}
		return nil
	}}
	requeued := int64(0)
	for {
		p, err := c.RequeueAllDead(t.Context(), fenfa.DeadFilter{Queue: "graves", Type: "urgent"}, walk)
		requeued += p.Changed
		if walk.From = p.Next; p.Next == "" {
			break
		}
		if err == nil {
			t.Fatal("it ended early without an error")
		}
	}
	if requeued != int64(urgent) {
		t.Errorf("%d requeued, want %d", requeued, urgent)
	}
	g.tell(fmt.Sprintf("requeued %d in %d steps", requeued, steps))
	g.await(func(s fenfa.QueueStats) bool { return s.DoneTotal == int64(urgent) && s.Dead == int64(g.total-urgent) })
	g.tell("done")
	g.mu.Lock()
	defer g.mu.Unlock()
	if report := history.Check(g.judged); !report.OK() {
		t.Error(report.String())
	}
}
