package partition

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// prioritize turns the priorities of both queues on or off.
func (r *engineRig) prioritize(to task.Switch) {
	r.t.Helper()
	for _, name := range []string{"keyed", "loose"} {
		if q := r.configure(task.Queue{Name: name, Priorities: to}); q.Priorities != to || !q.Banded {
			r.t.Errorf("queue %s: priorities %q, banded %v", name, q.Priorities, q.Banded)
		}
	}
}

// logged returns what a log holds, over all partitions.
func (r *engineRig) logged(log string) (tasks string) {
	r.b.set(func() {
		for part := range r.e.owners {
			if l := r.b.logs[logName{log, part}]; l != nil {
				for i := range l.messages {
					t, err := task.Decode(l.messages[i].Body)
					if err != nil {
						r.t.Fatal(err)
					}
					tasks += string(t.Payload) + " "
				}
			}
		}
	})
	return tasks
}

func TestEveryPriorityHasALogOfItsOwnForTasksWithoutOrder(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		t := r.t
		r.w.setClosed(true)
		r.submit(urgent("loose", "", "h before"))
		r.prioritize(task.SwitchOn)
		r.submit(urgent("loose", "", "h1"), urgent("loose", "k", "l1"), urgent("loose", "", "n1"), urgent("keyed", "k", "h2"), urgent("keyed", "", "l2"))
		r.prioritize(task.SwitchOff)
		r.submit(urgent("loose", "", "h after"))
		for log, want := range map[string]string{
			"loose": "h before n1 h after ", "fenfa.high.loose": "h1 ", "fenfa.low.loose": "l1 ",
			"keyed": "h2 ", "fenfa.high.keyed": "", "fenfa.low.keyed": "l2 ",
		} {
			if got := r.logged(log); got != want {
				t.Errorf("log %s has %q, want %q", log, got, want)
			}
		}
		for _, name := range []string{"h1", "l1", "h2"} {
			if st := r.status(name); task.Reserved(st.Queue) {
				t.Errorf("%s is in queue %s", name, st.Queue)
			}
		}
		if s, err := r.e.QueueStats(t.Context(), "loose"); err != nil || s.BacklogTasks != 5 || s.Ready != 5 {
			t.Errorf("stats %+v, %v", s, err)
		}
	})
}

func TestAllLogsAreReadAfterARestartAlsoWithPrioritiesOff(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		r.w.setClosed(true)
		r.prioritize(task.SwitchOn)
		r.submit(urgent("loose", "", "h1"), urgent("loose", "", "n1"), urgent("loose", "", "l1"), urgent("keyed", "k", "l2"), urgent("keyed", "k", "h2"))
		r.stop()
		r.start(2)
		r.w.setClosed(true)
		r.prioritize(task.SwitchOff)
		r.submit(urgent("loose", "", "l3"))
		r.stop()
		r.start(2)
		r.work(done)
		for _, name := range []string{"h1", "n1", "l1", "l2", "h2", "l3"} {
			r.wantState(name, task.StateDone)
		}
	})
}

func TestAnEmittedTaskGoesIntoTheLogOfItsPriority(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		r.prioritize(task.SwitchOn)
		r.submit(urgent("loose", "", "n1"))
		r.work(func(l *task.Leased) task.Outcome {
			if string(l.Payload) != "n1" {
				return task.Outcome{}
			}
			return task.Outcome{Emits: []task.Task{{Queue: "loose", Payload: []byte("emitted"), Priority: task.PriorityHigh}}}
		})
		if got := r.logged("fenfa.high.loose"); got != "emitted " {
			r.t.Errorf("the log of high tasks has %q", got)
		}
	})
}

func TestAnotherPriorityIsOtherContent(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		r.prioritize(task.SwitchOn)
		x := urgent("loose", "", "h1")
		r.submit(x)
		again, other := x, x
		other.Priority = task.PriorityLow
		results := r.e.Submit(t.Context(), []task.Task{again, other})
		if results[0].Err != nil || !results[0].Duplicate {
			t.Errorf("the repeat: %+v", results[0])
		}
		wantCode(t, results[1].Err, task.CodeAlreadyExists, "other content")
	})
}

func TestAFullLogOfOnePriorityRefusesNoOther(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		r.prioritize(task.SwitchOn)
		r.b.set(func() { r.b.refuse["fenfa.low.loose"] = broker.ErrFull })
		results := r.e.Submit(t.Context(), []task.Task{urgent("loose", "", "l1"), urgent("loose", "", "h1")})
		wantCode(t, results[0].Err, task.CodeResourceExhausted, `queue "loose"`)
		if results[1].Err != nil {
			t.Error(results[1].Err)
		}
	})
}

func TestPurgeAndCancelReachAllPriorities(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		r.prioritize(task.SwitchOn)
		r.w.setClosed(true)
		r.submit(urgent("loose", "", "h1"), urgent("loose", "", "h2"), urgent("loose", "", "n1"), urgent("loose", "", "l1"), urgent("loose", "", "l2"))
		for i, res := range r.e.Cancel(t.Context(), []task.ID{task.DeriveID("h1"), task.DeriveID("l1")}, "not needed") {
			if res.Err != nil || res.State != task.StateCancelled {
				t.Errorf("cancel %d: %+v", i, res)
			}
		}
		p := Purge{Queue: "loose", Queued: true, Scheduled: true, Reason: "not needed"}
		if would, err := r.e.PreviewPurge(t.Context(), p); err != nil || would.Queued != 3 {
			t.Errorf("preview: %+v, %v", would, err)
		}
		if got, err := r.e.PurgeQueue(t.Context(), p); err != nil || got.Queued != 3 || got.More {
			t.Errorf("purge: %+v, %v", got, err)
		}
		for _, name := range []string{"h1", "h2", "n1", "l1", "l2"} {
			r.wantState(name, task.StateCancelled)
		}
		if b, err := r.e.backlog(t.Context(), "loose"); err != nil || b.Tasks != 0 {
			t.Errorf("the backlog is %+v, %v", b, err)
		}
	})
}

func TestATaskThatTakesTurnsIsExplainedSo(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		r.prioritize(task.SwitchOn)
		r.w.setClosed(true)
		r.submit(urgent("loose", "", "l1"))
		if x := r.wantWhy("l1", ReasonWorkers, ""); x.Turns {
			r.t.Error("it takes turns with none")
		}
		r.submit(urgent("loose", "", "h1"))
		if x := r.wantWhy("l1", ReasonWorkers, ""); !x.Turns {
			r.t.Error("it is not said to take turns")
		}
	})
}

func TestLogsOfBandsHaveNamesThatNoQueueHas(t *testing.T) {
	long := strings.Repeat("q", task.MaxQueueName)
	e := &Engine{cfg: Config{}, counts: newCounters(prometheus.NewRegistry())}
	all := map[string]*registered{}
	names := map[string]bool{}
	for _, name := range []string{"orders", "fenfa.saga", long, long[1:], long[:120]} {
		q := task.DefaultQueue(name)
		q.Banded = true
		all[name] = e.register(q, 1)
		for r, log := range logs(&q) {
			if err := task.ValidateQueueName(log); err != nil || names[log] {
				t.Errorf("log %q: %v", log, err)
			}
			names[log] = true
			if rank(r) != rankNormal && !task.Reserved(log) {
				t.Errorf("a queue could be named %q", log)
			}
		}
	}
	e.queues.Store(&all)
	for name, q := range all {
		for r, log := range q.logs {
			if p, ok := e.placeIn(broker.Located{Queue: log}); !ok || p.Queue != name || p.rank != rank(r) {
				t.Errorf("log %s is that of rank %d of queue %s, %v", log, p.rank, p.Queue, ok)
			}
		}
	}
	if p, ok := e.placeIn(broker.Located{Queue: "fenfa.high.-0123"}); ok {
		t.Errorf("a log that is none is that of %+v", p)
	}
}
