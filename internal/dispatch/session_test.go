package dispatch

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

func TestRegisterRefusesBadHellos(t *testing.T) {
	b := newBench(t)
	good := func() Hello { return Hello{WorkerID: "w", Queues: []string{"q"}, Slots: 1} }
	for _, c := range []struct {
		field  string
		change func(*Hello)
	}{
		{"hello.worker_id", func(h *Hello) { h.WorkerID = "" }},
		{"hello.worker_id", func(h *Hello) { h.WorkerID = strings.Repeat("w", MaxWorkerID+1) }},
		{"hello.worker_id", func(h *Hello) { h.WorkerID = "webhook/q/host/1" }},
		{"hello.worker_id", func(h *Hello) { h.Local = true }},
		{"hello.queues", func(h *Hello) { h.Queues = nil }},
		{"hello.queues", func(h *Hello) { h.Queues = []string{"q", "no spaces"} }},
		{"hello.queues", func(h *Hello) { h.Queues = make([]string, MaxWorkerQueues+1) }},
		{"hello.slots", func(h *Hello) { h.Slots = 0 }},
		{"hello.slots", func(h *Hello) { h.Slots = MaxSlots + 1 }},
		{"hello.weight", func(h *Hello) { h.Weight = -1 }},
		{"hello.weight", func(h *Hello) { h.Weight = MaxWeight * 2 }},
		{"hello.labels", func(h *Hello) { h.Labels = map[string]string{"a": strings.Repeat("b", MaxLabels)} }},
		{"hello.client", func(h *Hello) { h.Client = strings.Repeat("c", maxClient+1) }},
	} {
		h := good()
		c.change(&h)
		_, err := b.Register(h)
		var e *task.Error
		if !errors.As(err, &e) || e.Code != task.CodeInvalidArgument || e.Field != c.field {
			t.Errorf("%s: got %v", c.field, err)
		}
	}
	if len(b.Workers()) != 0 {
		t.Error("a refused worker is listed")
	}
}

func TestRegisterCountsARepeatedQueueOnce(t *testing.T) {
	b := newBench(t)
	b.worker("w", 1, "q", "q", "a")
	if got := b.Workers()[0].Queues; !slices.Equal(got, []string{"a", "q"}) {
		t.Errorf("queues %v", got)
	}
	if n := b.Eligible("q", ""); n != 1 {
		t.Errorf("%d workers serve q", n)
	}
}

func TestRegisterIsRefusedBeforeStartWhileDrainingAndAfterClose(t *testing.T) {
	h := Hello{WorkerID: "w", Queues: []string{"q"}, Slots: 1}
	d, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	unavailable := func(when string) {
		t.Helper()
		if _, err := d.Register(h); task.CodeOf(err) != task.CodeUnavailable {
			t.Errorf("%s: got %v", when, err)
		}
	}
	unavailable("before start")
	d.Start(&fakeEngine{})
	d.Drain()
	unavailable("draining")
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	unavailable("closed")
}

func TestAWorkerOfAnotherOwnerDoesNotTakeThePlaceOfOneThatIsHere(t *testing.T) {
	b := newBench(t)
	hello := func(owner string) Hello { return Hello{WorkerID: "w", Queues: []string{"q"}, Slots: 1, Owner: owner} }
	old, err := b.Register(hello("ours"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Register(hello("theirs")); task.CodeOf(err) != task.CodeAlreadyExists {
		t.Fatalf("another owner's worker: %v", err)
	}
	if workers := b.Workers(); len(workers) != 1 {
		t.Fatalf("workers %+v", workers)
	}
	again, err := b.Register(hello("ours"))
	if err != nil || again.Ref().Session == old.Ref().Session {
		t.Fatalf("its own owner's: %v", err)
	}
	again.Lost() // its stream broke: whoever knows the name may have it
	if _, err := b.Register(hello("theirs")); err != nil {
		t.Errorf("after it was lost: %v", err)
	}
	b.check()
}

func TestANewSessionReplacesTheOldOneOfTheSameWorker(t *testing.T) {
	b := newBench(t)
	old := b.worker("w", 1)
	b.assign(0, settings("q"), "k")
	b.assign(1, settings("q"), "k")
	b.engine.take()
	fresh := b.worker("w", 1)
	if fresh.Ref().Session == old.Ref().Session {
		t.Fatal("the session number was used again")
	}
	got := b.engine.take()
	if len(got) != 2 || got[0].what != "gone" || got[0].session != old.Ref().Session || got[1].what != "capacity" || got[1].part != 1 {
		t.Fatalf("engine heard %+v", got)
	}
	if err := old.Next(t.Context(), &Batch{}); !errors.Is(err, ErrReplaced) {
		t.Errorf("the old stream ends with %v", err)
	}
	if n := testutil.ToFloat64(b.metrics.ends.WithLabelValues("replaced")); n != 1 {
		t.Errorf("%v sessions were counted as replaced", n)
	}
	b.Release(old.Ref().Session, "q", partition.Use{Slots: 1})
	old.Lost()
	old.Drain()
	old.Leave()
	if got := b.engine.take(); len(got) != 0 {
		t.Errorf("the ended session still caused %+v", got)
	}
	b.check()
	if w := b.Workers(); len(w) != 1 || w[0].InFlight != 0 || w[0].State != StateActive {
		t.Errorf("workers: %+v", w)
	}
}

func TestOutcomesOfAnEndedSessionChangeNothing(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 1)
	ref := task.LeaseRef{Partition: 3, Epoch: 1, Token: 9}
	s.Outcomes(ref, 0, make([]task.Outcome, 2))
	got := b.engine.take()
	if len(got) != 1 || got[0].n != 2 || got[0].ref != ref || got[0].session != s.Ref().Session {
		t.Fatalf("engine heard %+v", got)
	}
	s.Leave()
	b.engine.take()
	s.Outcomes(ref, 0, make([]task.Outcome, 1))
	if got := b.engine.take(); len(got) != 0 {
		t.Fatalf("a late outcome reached the engine: %+v", got)
	}
}

func TestOutcomesAreCountedByKind(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 1)
	s.Outcomes(task.LeaseRef{}, 0, []task.Outcome{{Kind: task.OutcomeDone}, {Kind: task.OutcomeRetry}, {Kind: task.OutcomeDead}, {}})
	if w := b.Workers()[0]; w.Done != 2 || w.Failed != 2 {
		t.Errorf("done %d, failed %d", w.Done, w.Failed)
	}
}

func TestADrainingWorkerGetsNothingNewAndKeepsWhatItHas(t *testing.T) {
	b := newBench(t)
	s, other := b.worker("w", 2), b.worker("v", 1)
	q := settings("q")
	for range 3 {
		b.assign(0, q, "")
	}
	s.Drain()
	b.assign(1, q, "")
	b.Release(s.Ref().Session, "q", partition.Use{Slots: 1})
	if got := b.engine.woken(); len(got) != 0 {
		t.Fatalf("woken %v by a slot of a draining worker", got)
	}
	b.Answer(s.Ref().Session, task.Verdict{Count: 1})
	var batch Batch
	if err := s.Next(t.Context(), &batch); err != nil || len(batch.Verdicts) != 1 {
		t.Fatalf("the answer did not arrive: %v", err)
	}
	b.Release(other.Ref().Session, "q", partition.Use{Slots: 1})
	if got := b.engine.woken(); !slices.Equal(got, []int{1}) {
		t.Fatalf("woken %v", got)
	}
	if st := b.Workers()[1].State; st != StateDraining {
		t.Errorf("state is %s", st)
	}
	b.check()
}

func TestDrainOfTheNodeTellsEveryWorkerOnceAndGivesNothingOut(t *testing.T) {
	b := newBench(t)
	s := b.worker("w", 2)
	q := settings("q")
	b.assign(0, q, "")
	b.Drain()
	if b.assign(1, q, "") != 0 {
		t.Error("a slot was assigned")
	}
	var batch Batch
	if err := s.Next(t.Context(), &batch); err != nil || !batch.Drain {
		t.Fatalf("the worker was not asked to leave: %v", err)
	}
	b.Release(s.Ref().Session, "q", partition.Use{Slots: 1})
	b.Answer(s.Ref().Session, task.Verdict{Count: 1})
	if err := s.Next(t.Context(), &batch); err != nil || batch.Drain || len(batch.Verdicts) != 1 {
		t.Fatalf("drain %v, %d verdicts, %v", batch.Drain, len(batch.Verdicts), err)
	}
	if got := b.engine.take(); len(got) != 0 {
		t.Errorf("engine heard %+v", got)
	}
	b.check()
}

func TestCloseEndsEverySession(t *testing.T) {
	b := newBench(t)
	s, v := b.worker("w", 1), b.worker("v", 1)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Session{s, v} {
		if err := s.Next(t.Context(), &Batch{}); !errors.Is(err, ErrStopped) {
			t.Errorf("got %v", err)
		}
	}
	if got := b.engine.take(); len(got) != 2 || got[0].what != "gone" || got[1].what != "gone" {
		t.Errorf("engine heard %+v", got)
	}
}

func TestNewRefusesTimesThatContradictEachOther(t *testing.T) {
	for _, cfg := range []Config{
		{SuspectAfter: 600 * time.Millisecond},
		{DeadAfter: time.Second},
		{MaxBuffered: -1},
		{HeartbeatInterval: -1},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestMetricsCountWorkersSlotsAndEnds(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	b := newBench(t, func(c *Config) { c.Registerer, c.DeadAfter = registry, 10*time.Second })
	b.clock.Advance(time.Minute)
	s := b.worker("w", 4)
	s.Prefetch(3)
	b.worker("v", 1).Leave()
	b.assign(0, settings("q"), "")
	if _, err := b.SetWeight("w", 2); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(4 * time.Second)
	s.Heard()
	b.clock.Advance(time.Second)
	want := `
# HELP fenfa_dispatch_detector_late_total Rounds of the detector that came so late that it judged nobody.
# TYPE fenfa_dispatch_detector_late_total counter
fenfa_dispatch_detector_late_total 0
# HELP fenfa_dispatch_effective_weight Weights of all connected workers as they count now: less while some start slowly.
# TYPE fenfa_dispatch_effective_weight gauge
fenfa_dispatch_effective_weight 1.1
# HELP fenfa_dispatch_ejected Workers that get nothing of a queue for a while, once for each queue, by reason.
# TYPE fenfa_dispatch_ejected gauge
fenfa_dispatch_ejected{reason="failures"} 0
fenfa_dispatch_ejected{reason="flapping"} 0
# HELP fenfa_dispatch_ejections_total Times that a worker was kept from the tasks of a queue for a while, by reason.
# TYPE fenfa_dispatch_ejections_total counter
fenfa_dispatch_ejections_total{reason="failures"} 0
fenfa_dispatch_ejections_total{reason="flapping"} 0
# HELP fenfa_dispatch_heartbeat_age_seconds Longest time since a connected worker was heard.
# TYPE fenfa_dispatch_heartbeat_age_seconds gauge
fenfa_dispatch_heartbeat_age_seconds 1
# HELP fenfa_dispatch_prefetch Leases that connected workers may hold beyond their slots.
# TYPE fenfa_dispatch_prefetch gauge
fenfa_dispatch_prefetch 3
# HELP fenfa_dispatch_sessions_ended_total Worker sessions that ended, by reason.
# TYPE fenfa_dispatch_sessions_ended_total counter
fenfa_dispatch_sessions_ended_total{reason="left"} 1
# HELP fenfa_dispatch_slots Slots of all connected workers.
# TYPE fenfa_dispatch_slots gauge
fenfa_dispatch_slots 4
# HELP fenfa_dispatch_slots_in_flight Slots taken by leases.
# TYPE fenfa_dispatch_slots_in_flight gauge
fenfa_dispatch_slots_in_flight 1
# HELP fenfa_dispatch_waiting_partitions Partitions that wait for a free slot, once for each placement.
# TYPE fenfa_dispatch_waiting_partitions gauge
fenfa_dispatch_waiting_partitions{queue="q"} 0
# HELP fenfa_dispatch_weight Weights of all connected workers.
# TYPE fenfa_dispatch_weight gauge
fenfa_dispatch_weight 2
# HELP fenfa_dispatch_workers Connected workers by state.
# TYPE fenfa_dispatch_workers gauge
fenfa_dispatch_workers{state="active"} 1
fenfa_dispatch_workers{state="draining"} 0
fenfa_dispatch_workers{state="quiet"} 0
fenfa_dispatch_workers{state="suspect"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestScrapesAtTheSameTimeAreComplete(t *testing.T) {
	registry := prometheus.NewRegistry()
	b := newBench(t, func(cfg *Config) { cfg.Registerer = registry })
	b.worker("w", 1)
	b.assign(0, settings("q"), "")
	var scrapers sync.WaitGroup
	for range 4 {
		scrapers.Go(func() {
			for range 200 {
				n, err := testutil.GatherAndCount(registry, "fenfa_dispatch_waiting_partitions")
				if err != nil || n != 1 {
					t.Errorf("%d queues are in a scrape: %v", n, err)
					return
				}
			}
		})
	}
	scrapers.Wait()
}

func TestOnlyADrainedWorkerThatSaysGoodbyeHasFinished(t *testing.T) {
	for name, c := range map[string]struct {
		end      func(*Session)
		finished bool
	}{
		"drained and left":  {func(s *Session) { s.Drain(); s.Leave() }, true},
		"left":              {func(s *Session) { s.Leave() }, false},
		"drained and lost":  {func(s *Session) { s.Drain(); s.Lost() }, false},
		"drained, replaced": {func(s *Session) { s.Drain() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			s := b.worker("w", 1)
			b.assign(0, settings("q"), "")
			b.engine.take()
			c.end(s)
			if name == "drained, replaced" {
				b.worker("w", 1)
			}
			b.clock.Advance(2 * time.Second)
			for _, told := range b.engine.take() {
				if told.what == "gone" {
					if told.session != s.Ref().Session || told.finished != c.finished {
						t.Errorf("told %+v, want finished %v", told, c.finished)
					}
					return
				}
			}
			t.Error("the engine heard of no end")
		})
	}
}
