package pull_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/pull"
	"github.com/fenfa/fenfa/internal/task"
)

// ordered is a partition with a queue "q" of keys, which takes outcomes as the real one
// does: in order, and a lease ends with the first task that is not done.
type ordered struct {
	workers *dispatch.Dispatcher
	records bool          // the second task of each lease conflicts once
	hold    chan struct{} // outcomes wait for it; nil: they do not

	mu       sync.Mutex
	lanes    map[string][]string // key: payloads that wait
	leases   map[task.LeaseRef]*chained
	token    uint64
	done     []string
	extended []int
}

// chained is a lease that is out.
type chained struct {
	key     string
	names   []string
	next    int
	clashed bool
}

func (e *ordered) Capacity(int, string, task.Placement, uint64) { go e.serve() }

func (e *ordered) WorkerGone(uint64, bool) {}

// serve leases the next tasks of every key of which none is out.
func (e *ordered) serve() {
	e.mu.Lock()
	defer e.mu.Unlock()
	q := task.DefaultQueue("q")
	for _, key := range e.free() {
		w, _, ok := e.workers.Assign(0, &q, task.Placement{}, key, 1)
		if !ok {
			return
		}
		e.token++
		ref := task.LeaseRef{Epoch: 1, Token: e.token}
		names := e.lanes[key][:min(w.Batch, len(e.lanes[key]))]
		e.lanes[key] = e.lanes[key][len(names):]
		e.leases[ref] = &chained{key: key, names: names}
		l := &task.Lease{LeaseRef: ref, Queue: "q", Timeout: time.Minute, Ordered: true, Records: []task.Record{{Key: key, Name: "n", Version: 1}}, Complete: true}
		for _, name := range names {
			l.Tasks = append(l.Tasks, task.Leased{Task: task.Task{Queue: "q", Key: key, Payload: []byte(name)}, Attempt: 1, Delivery: 1})
		}
		e.workers.Send(w.Session, l)
	}
}

// free are the keys with tasks of which none is out.
func (e *ordered) free() (keys []string) {
	for key, names := range e.lanes {
		out := false
		for _, l := range e.leases {
			out = out || l.key == key
		}
		if len(names) > 0 && !out {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (e *ordered) Outcomes(w partition.WorkerRef, ref task.LeaseRef, first int, outcomes []task.Outcome) {
	if e.hold != nil {
		<-e.hold
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.leases[ref]
	answer := func(kind task.VerdictKind, first, count int) {
		e.workers.Answer(w.Session, task.Verdict{LeaseRef: ref, Kind: kind, First: first, Count: count, Error: "why"})
	}
	if l == nil {
		answer(task.VerdictStale, first, len(outcomes))
		return
	}
	for i := range outcomes {
		at := first + i
		switch {
		case at != l.next:
			return
		case e.records && at == 1 && !l.clashed:
			l.clashed = true
			answer(task.VerdictConflict, at, len(l.names)-at)
			return
		}
		answer(task.VerdictCommitted, at, 1)
		l.next++
		back := l.names[l.next:]
		switch outcomes[i].Kind {
		case task.OutcomeDone, task.OutcomeDead:
			e.done = append(e.done, l.names[at])
		case task.OutcomeRetry, task.OutcomeReturned:
			back = l.names[at:]
		}
		if outcomes[i].Kind != task.OutcomeDone || len(back) == 0 {
			e.lanes[l.key] = append(slices.Clone(back), e.lanes[l.key]...)
			delete(e.leases, ref)
			e.workers.Release(w.Session, "q", partition.Use{Slots: 1})
			go e.serve()
			return
		}
	}
}

func (e *ordered) ExtendLease(_ context.Context, _ partition.WorkerRef, _ task.LeaseRef, index int, _ time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.extended = append(e.extended, index)
	return nil
}

// add puts tasks of a key behind what waits.
func (e *ordered) add(key string, names ...string) {
	e.mu.Lock()
	e.lanes[key] = append(e.lanes[key], names...)
	e.mu.Unlock()
	e.serve()
}

func startOrdered(t *testing.T) (*ordered, *pull.Pool) {
	t.Helper()
	workers, err := dispatch.New(dispatch.Config{})
	if err != nil {
		t.Fatal(err)
	}
	e := &ordered{workers: workers, lanes: map[string][]string{}, leases: map[task.LeaseRef]*chained{}}
	workers.Start(e)
	p, err := pull.New(pull.Config{Workers: workers, Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		if err := workers.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return e, p
}

func batches(most, batch int) pull.Request {
	r := request(most, time.Second)
	r.Batch = batch
	return r
}

// payloads are those of what a call returned; one that follows another has a "<".
func payloads(tasks []pull.Leased) string {
	var names []string
	for i := range tasks {
		name := string(tasks[i].Payload)
		if i > 0 && tasks[i].Follows == tasks[i-1].ID {
			name = "<" + name
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// say answers tasks in one call and returns the codes of the results; 0 is OK.
func say(t *testing.T, p *pull.Pool, kind task.OutcomeKind, tasks ...pull.Leased) string {
	t.Helper()
	answers := make([]pull.Answer, len(tasks))
	for i := range tasks {
		answers[i] = pull.Answer{Lease: tasks[i].ID, Outcome: task.Outcome{Kind: kind}}
	}
	return codes(p.Answer(t.Context(), answers))
}

func codes(results []pull.Result) string {
	said := make([]string, len(results))
	for i, r := range results {
		said[i] = "ok"
		if r.Err != nil {
			said[i] = task.CodeOf(r.Err).String()
		}
	}
	return strings.Join(said, " ")
}

func TestTasksOfAKeyComeTogetherInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := startOrdered(t)
		e.add("a", "a1", "a2", "a3", "a4", "a5")
		e.add("b", "b1", "b2")
		began := time.Now()
		first := lease(t, p, batches(6, 4))
		if got := payloads(first); got != "a1 <a2 <a3 <a4 b1 <b2" {
			t.Errorf("%s", got)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("a call that got all it asked for took %v", took)
		}
		if len(first[0].Records) != 1 || !first[0].Complete || first[1].Records != nil || first[1].Complete {
			t.Error("records come with the first task of a batch, and with no other")
		}
		if got := say(t, p, task.OutcomeDone, first...); got != "ok ok ok ok ok ok" {
			t.Errorf("%s", got)
		}
		if got := payloads(lease(t, p, batches(6, 4))); got != "a5" {
			t.Errorf("then %s", got)
		}
	})
}

func TestACallGetsNoMoreThanItAskedForHoweverLongTheBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := startOrdered(t)
		for _, key := range []string{"a", "b", "c"} {
			for i := range 5 {
				e.add(key, fmt.Sprint(key, i))
			}
		}
		if got := payloads(lease(t, p, batches(7, 5))); got != "a0 <a1 <a2 <a3 <a4 b0 <b1" {
			t.Errorf("%s", got)
		}
		// What was not needed for short batches is asked for again.
		e.add("d", "d0")
		e.add("e", "e0")
		if got := payloads(lease(t, p, batches(7, 5))); got != "c0 <c1 <c2 <c3 <c4 d0 e0" {
			t.Errorf("%s", got)
		}
		if _, err := p.Lease(t.Context(), batches(4, 5)); task.CodeOf(err) != task.CodeInvalidArgument {
			t.Errorf("a batch larger than the answer: %v", err)
		}
	})
}

func TestABatchIsAnsweredInItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := startOrdered(t)
		e.add("a", "1", "2", "3", "4")
		got := lease(t, p, batches(4, 4))
		for _, c := range []struct{ tasks, want string }{
			{"1", "failed_precondition"},
			{"1 2", "failed_precondition failed_precondition"},
			{"0", "ok"},
			{"0 1", "stale ok"},
			{"3 2", "failed_precondition ok"},
			{"3", "ok"},
		} {
			var tasks []pull.Leased
			for at := range strings.FieldsSeq(c.tasks) {
				tasks = append(tasks, got[at[0]-'0'])
			}
			if said := say(t, p, task.OutcomeDone, tasks...); said != c.want {
				t.Errorf("%s: %s, want %s", c.tasks, said, c.want)
			}
		}
		if done := fmt.Sprint(e.done); done != "[1 2 3 4]" {
			t.Errorf("done: %s", done)
		}
	})
}

func TestABatchEndsWithTheFirstTaskThatIsNotDone(t *testing.T) {
	for _, c := range []struct {
		kind       task.OutcomeKind
		said, then string
	}{
		{task.OutcomeRetry, "ok stale", "2 <3 <4"},
		{task.OutcomeDead, "ok stale", "3 <4"},
		{task.OutcomeReturned, "ok ok", "2 <3 <4"},
	} {
		synctest.Test(t, func(t *testing.T) {
			e, p := startOrdered(t)
			e.add("a", "1", "2", "3", "4")
			got := lease(t, p, batches(4, 4))
			if said := say(t, p, task.OutcomeDone, got[0]); said != "ok" {
				t.Fatal(said)
			}
			if said := say(t, p, c.kind, got[1:3]...); said != c.said {
				t.Errorf("%s: %s, want %s", c.kind, said, c.said)
			}
			if said := say(t, p, task.OutcomeDone, got[3]); said != "stale" {
				t.Errorf("%s: behind it %s", c.kind, said)
			}
			if again := payloads(lease(t, p, batches(4, 4))); again != c.then {
				t.Errorf("%s: then %s, want %s", c.kind, again, c.then)
			}
		})
	}
}

func TestAConflictIsOneOfAllBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := startOrdered(t)
		e.records = true
		e.add("a", "1", "2", "3")
		got := lease(t, p, batches(3, 3))
		results := p.Answer(t.Context(), []pull.Answer{{Lease: got[0].ID}, {Lease: got[1].ID}, {Lease: got[2].ID}})
		if said := codes(results); said != "ok conflict conflict" || !strings.Contains(results[2].Err.Error(), "before it") {
			t.Errorf("%s: %v", said, results[2].Err)
		}
		if said := say(t, p, task.OutcomeDone, got[1:]...); said != "ok ok" {
			t.Errorf("again: %s", said)
		}
		if done := fmt.Sprint(e.done); done != "[1 2 3]" {
			t.Errorf("done: %s", done)
		}
	})
}

func TestABatchThatNobodyTakesGoesBackAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := startOrdered(t)
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, err := p.Lease(ctx, batches(3, 3))
			failed <- err
		}()
		synctest.Wait()
		cancel()
		e.add("a", "1", "2", "3")
		if err := <-failed; err != nil && task.CodeOf(err) != task.CodeUnavailable {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := payloads(lease(t, p, batches(3, 3))); got != "1 <2 <3" {
			t.Errorf("%s", got)
		}
	})
}

func TestAnExtensionKeepsTheWholeBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := startOrdered(t)
		e.add("a", "1", "2", "3")
		r := batches(3, 3)
		r.TTL = time.Hour
		got := lease(t, p, r)
		for range 3 {
			<-time.After(100 * time.Second)
			if _, err := p.Extend(t.Context(), got[1].ID, time.Minute); err != nil {
				t.Fatal(err)
			}
			lease(t, p, r) // forgets what took too long
		}
		if said := say(t, p, task.OutcomeDone, got[0]); said != "ok" {
			t.Errorf("%s", said)
		}
		<-time.After(100 * time.Second)
		lease(t, p, r)
		if said := say(t, p, task.OutcomeDone, got[1]); said != "ok" {
			t.Errorf("the time of the second began with the end of the first: %s", said)
		}
		<-time.After(10 * time.Minute)
		lease(t, p, r)
		if said := say(t, p, task.OutcomeDone, got[2]); said != "stale" {
			t.Errorf("the third was forgotten long ago: %s", said)
		}
		if got := fmt.Sprint(e.extended); got != "[1 1 1]" {
			t.Errorf("%s", got)
		}
	})
}

func TestOneBatchIsAnsweredByOneCallAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := startOrdered(t)
		e.add("a", "1", "2")
		got := lease(t, p, batches(2, 2))
		e.hold = make(chan struct{}) // The outcome of the first is on its way.
		first := make(chan string)
		go func() { first <- say(t, p, task.OutcomeDone, got[0]) }()
		<-time.After(time.Second)
		if said := say(t, p, task.OutcomeDone, got[1]); said != "failed_precondition" {
			t.Errorf("%s", said)
		}
		close(e.hold)
		if said := <-first; said != "ok" {
			t.Errorf("%s", said)
		}
	})
}
