package partition

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

func wantCode(t *testing.T, err error, code task.Code, words string) {
	t.Helper()
	if err == nil || task.CodeOf(err) != code || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want code %v and words %q", err, code, words)
	}
}

func TestNewNeedsItsCollaborators(t *testing.T) {
	full := Config{Broker: newMemBroker(), Store: &flakyStore{}, Dispatch: newCrew()}
	for name, change := range map[string]func(*Config){
		"broker":     func(c *Config) { c.Broker = nil },
		"store":      func(c *Config) { c.Store = nil },
		"dispatch":   func(c *Config) { c.Dispatch = nil },
		"partitions": func(c *Config) { c.Partitions = 5000 },
	} {
		cfg := full
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "partition engine") {
			t.Errorf("%s: %v", name, err)
		}
	}
	e, err := New(full)
	if err != nil || len(e.owners) != task.DefaultPartitions {
		t.Fatal(err)
	}
	if err := e.Drain(t.Context()); err != nil {
		t.Errorf("drain before start: %v", err)
	}
}

func TestEngineCarriesTasksToTheirEnd(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		r.submit(many("keyed", 50)...)
		r.submit(many("loose", 50)...)
		r.work(done)
		for _, q := range []string{"keyed", "loose"} {
			st := r.wantState(q+" 49", task.StateDone)
			if string(st.Result) != "ok" || st.Worker != "w1" || st.Deliveries != 1 || st.FinishedAt.Before(st.CreatedAt) {
				t.Errorf("status %+v", st)
			}
			if s, err := r.e.QueueStats(t.Context(), q); err != nil || s.DoneTotal != 50 || s.BacklogTasks != 0 || s.Running != 0 {
				t.Errorf("stats %+v, %v", s, err)
			}
		}
		if p := r.e.Problems(); p != nil {
			t.Errorf("problems %v", p)
		}
	})
}

func TestSubmitRefusesHonestly(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		x := newTask("keyed", "k", "1")
		other := x
		other.Payload = []byte("another")
		r.submit(x)
		r.b.set(func() { r.b.refuse["loose"] = broker.ErrFull })
		results := r.e.Submit(t.Context(), []task.Task{
			x, other, newTask("keye", "k", "2"), newTask("bad name", "", "3"), newTask("loose", "", "4"),
			{Queue: "keyed", Payload: make([]byte, task.MaxPayload+1)},
			{Queue: "keyed"},
		})
		if results[0].Err != nil || !results[0].Duplicate || results[0].State != task.StateQueued {
			t.Errorf("repeat: %+v", results[0])
		}
		wantCode(t, results[1].Err, task.CodeAlreadyExists, "other content")
		wantCode(t, results[2].Err, task.CodeNotFound, `did you mean "keyed"`)
		wantCode(t, results[3].Err, task.CodeInvalidArgument, "queue name")
		wantCode(t, results[4].Err, task.CodeResourceExhausted, "no room")
		wantCode(t, results[5].Err, task.CodeTooLarge, "payload")
		if results[6].Err != nil || results[6].ID.IsZero() {
			t.Errorf("a task without an id: %+v", results[6])
		}
		r.b.set(func() { r.b.refuse["loose"] = store.ErrFull; r.b.failing = 0 })
		wantCode(t, r.e.Submit(t.Context(), []task.Task{newTask("loose", "", "5")})[0].Err, task.CodeResourceExhausted, "takes no new tasks")
		r.b.set(func() { r.b.refuse["loose"] = errors.New("oops") })
		wantCode(t, r.e.Submit(t.Context(), []task.Task{newTask("loose", "", "6")})[0].Err, task.CodeUnavailable, "submit it again")
		r.b.set(func() { r.b.failing = 1 })
		wantCode(t, r.e.Submit(t.Context(), []task.Task{newTask("keyed", "", "7")})[0].Err, task.CodeUnavailable, "is unknown")
		if got := r.e.Submit(t.Context(), nil); len(got) != 0 {
			t.Errorf("nothing gives %v", got)
		}
	})
}

func TestARepeatedSubmitTellsTheStateOfTheFirst(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		x, dead := newTask("keyed", "k", "1"), newTask("keyed", "z", "dead")
		planned := newTask("loose", "", "planned")
		planned.RunAt = time.Now().Add(time.Hour)
		r.submit(x, dead, planned)
		r.work(func(l *task.Leased) task.Outcome {
			if l.ID == dead.ID {
				return reject()
			}
			return done(l)
		})
		got := r.e.Submit(t.Context(), []task.Task{x, dead, planned})
		for i, want := range []task.State{task.StateDone, task.StateDead, task.StateScheduled} {
			if !got[i].Duplicate || got[i].State != want || got[i].Err != nil {
				t.Errorf("repeat %d: %+v, want %v", i, got[i], want)
			}
		}
	})
}

func TestTaskStatusInEveryState(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		planned, fails, expires := newTask("keyed", "p", "planned"), newTask("keyed", "f", "fails"), newTask("keyed", "e", "expires")
		planned.RunAt = time.Now().Add(time.Hour)
		expires.ExpiresAt = time.Now().Add(time.Second)
		rejected := newTask("loose", "", "rejected")
		r.submit(planned, fails, rejected, newTask("keyed", "d", "done"))
		r.work(func(l *task.Leased) task.Outcome {
			switch string(l.Payload) {
			case "fails":
				return retry(time.Minute)
			case "rejected":
				return reject()
			}
			return done(l)
		})
		if st := r.wantState("planned", task.StateScheduled); !st.NextAt.Equal(planned.RunAt.Truncate(time.Microsecond)) {
			t.Errorf("planned: %+v", st)
		}
		if st := r.wantState("fails", task.StateScheduled); st.Attempts != 1 || len(st.History) != 1 || st.NextAt.Before(time.Now()) {
			t.Errorf("fails: %+v", st)
		}
		if st := r.wantState("rejected", task.StateDead); st.Error != "never" || len(st.History) != 1 || st.Task == nil || string(st.Task.Payload) != "rejected" {
			t.Errorf("rejected: %+v", st)
		}
		r.wantState("done", task.StateDone)
		r.submit(newTask("keyed", "r", "running"))
		if st := r.wantState("running", task.StateRunning); st.Worker != "w1" {
			t.Errorf("running: %+v", st)
		}
		r.w.setClosed(true)
		r.submit(newTask("keyed", "x", "ready"), expires)
		r.wantState("ready", task.StateReady)
		r.rest(2 * time.Second)
		r.work(done)
		r.wantState("ready", task.StateDone)
		r.wantState("expires", task.StateExpired)
		_, err := r.e.TaskStatus(t.Context(), task.DeriveID("nobody"))
		wantCode(t, err, task.CodeNotFound, "is not known")
	})
}

func TestAFailedCommitLosesNothing(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprint("applied ", applied), func(t *testing.T) {
			inBubble(t, 2, func(r *engineRig) {
				t := r.t
				count := func(l *task.Leased) task.Outcome {
					return task.Outcome{Writes: []task.Write{{Name: string(l.Payload), Value: []byte("x")}}}
				}
				for round := range 6 {
					r.s.set(func(s *flakyStore) { s.commits, s.applied = 1, applied })
					var tasks []task.Task
					for i := range 20 {
						tasks = append(tasks, newTask("keyed", fmt.Sprint("k", i%3), fmt.Sprint(round, " ", i)))
					}
					r.submit(tasks...)
					r.work(count)
					r.wait(5 * time.Second) // claims again
					r.work(count)
				}
				for round := range 6 {
					for i := range 20 {
						r.wantState(fmt.Sprint(round, " ", i), task.StateDone)
					}
				}
				found := 0
				for token := ""; ; {
					records, next, err := r.e.ScanRecords(t.Context(), "k", "", 50, token)
					if err != nil {
						t.Fatal(err)
					}
					if found += len(records); next == "" {
						break
					}
					token = next
				}
				if found != 120 {
					t.Errorf("%d records, want 120", found)
				}
				for part := range 2 {
					rows, err := r.fk.Load(t.Context(), store.Scan{Part: part, Table: store.TableOpLog, Limit: 1000})
					if err != nil {
						t.Fatal(err)
					}
					found -= len(rows)
				}
				if found != 0 {
					t.Errorf("effects were lost or doubled: %d", found)
				}
			})
		})
	}
}

func TestAPartitionThatCannotBeClaimedIsTriedAgain(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		r.s.set(func(s *flakyStore) { s.commits, s.claims = 1, errors.New("no store") })
		r.submit(newTask("keyed", "k", "1"))
		r.work(done)
		if p := r.e.Problems(); len(p) != 1 || !strings.Contains(p[0], "is not owned") {
			t.Errorf("problems %v", p)
		}
		_, err := r.e.GetRecord(t.Context(), "k", "a")
		wantCode(t, err, task.CodeUnavailable, "try again")
		if r.w.said(task.VerdictStale) != 1 {
			t.Errorf("the outcome of the batch that failed has the verdicts %+v", r.w.verdicts)
		}
		r.e.Outcomes(WorkerRef{Session: 1}, task.LeaseRef{Partition: task.PartitionOf("k", 2)}, 0, make([]task.Outcome, 1))
		r.e.Outcomes(WorkerRef{Session: 1}, task.LeaseRef{Partition: 99}, 0, make([]task.Outcome, 1))
		if r.w.said(task.VerdictStale) != 3 {
			t.Errorf("verdicts %+v", r.w.verdicts)
		}
		r.s.set(func(s *flakyStore) { s.claims = nil })
		r.wait(10 * time.Second)
		r.work(done)
		r.wantState("1", task.StateDone)
	})
}

func TestAnEngineThatRefusesTakesNothingNewAndGoesOnWithTheRest(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		r.submit(newTask("keyed", "k", "1"))
		r.e.Refuse()
		wantCode(r.t, r.e.Submit(r.t.Context(), many("loose", 1))[0].Err, task.CodeUnavailable, "draining")
		r.work(done)
		r.wantState("1", task.StateDone)
	})
}

func TestDrainLetsLeasesFinish(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		r.submit(many("keyed", 20)...)
		leases := r.w.take()
		drained := make(chan error, 1)
		go func() { drained <- r.e.Drain(context.WithoutCancel(t.Context())) }()
		synctest.Wait()
		r.e.owners[0].post(func(c *core, _ time.Time) {
			if !c.draining {
				t.Error("a partition still hands out tasks while another one drains")
			}
		})
		wantCode(t, r.e.Submit(t.Context(), many("loose", 1))[0].Err, task.CodeUnavailable, "draining")
		if p := r.e.Problems(); len(p) == 0 || p[0] != "the node is draining" {
			t.Errorf("problems %v", p)
		}
		for _, l := range leases {
			select {
			case err := <-drained:
				t.Fatalf("drained while leases are open: %v", err)
			default:
			}
			r.e.Outcomes(WorkerRef{Session: 1, ID: "w1"}, l.LeaseRef, 0, make([]task.Outcome, len(l.Tasks)))
			synctest.Wait()
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
		finished := r.w.said(task.VerdictCommitted)
		if finished != len(leases) || r.w.assigned != 0 {
			t.Errorf("%d of %d leases were answered", finished, len(leases))
		}
		if err := r.e.Drain(t.Context()); err != nil {
			t.Errorf("a second drain: %v", err)
		}
		_, err := r.e.GetRecord(t.Context(), "k", "a")
		wantCode(t, err, task.CodeUnavailable, "not served")
		r.start(4)
		r.work(done)
		for i := range 20 {
			r.wantState(fmt.Sprint("keyed ", i), task.StateDone)
		}
	})
}

func TestDrainStopsAtItsDeadline(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		r.submit(many("keyed", 20)...)
		r.w.take() // and never answers
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		if err := r.e.Drain(ctx); err != nil || time.Since(began) != 3*time.Second {
			t.Errorf("drain: %v after %v", err, time.Since(began))
		}
		if r.w.assigned != 0 {
			t.Errorf("%d slots are not released", r.w.assigned)
		}
		r.start(2)
		r.work(done)
		for i := range 20 {
			if st := r.wantState(fmt.Sprint("keyed ", i), task.StateDone); st.Attempts != 0 {
				t.Errorf("a drained task counts a failure: %+v", st)
			}
		}
	})
}

func TestDrainReachesAPartitionThatIsBeingClaimed(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		t := r.t
		hold := make(chan struct{})
		r.s.set(func(s *flakyStore) { s.commits, s.hold = 1, hold })
		r.submit(newTask("keyed", "k", "1"))
		r.e.Outcomes(WorkerRef{Session: 1, ID: "w1"}, r.w.take()[0].LeaseRef, 0, make([]task.Outcome, 1))
		synctest.Wait()
		r.s.set(func(s *flakyStore) { s.hold = nil })
		close(hold)
		synctest.Wait() // the partition stopped and waits before it claims
		r.e.draining.Store(true)
		r.wait(time.Minute)
		if leases := r.w.take(); len(leases) != 0 {
			t.Errorf("%d leases after the drain began", len(leases))
		}
	})
}

func TestAnEngineStartsOverWhatAnotherLeft(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		planned := newTask("keyed", "k", "planned")
		planned.RunAt = time.Now().Add(time.Hour)
		fails := newTask("keyed", "f", "fails")
		r.submit(planned, fails, newTask("keyed", "f", "behind"), newTask("loose", "", "open"))
		r.work(func(l *task.Leased) task.Outcome {
			switch string(l.Payload) {
			case "fails":
				return retry(30 * time.Minute)
			case "open":
				return retry(20 * time.Minute)
			}
			return done(l)
		})
		r.stop()
		r.start(4)
		if q, ok := r.e.Queue("keyed"); !ok || q.Order != task.OrderKey || len(r.e.Queues()) != 2 {
			t.Errorf("queue %+v, %v", q, ok)
		}
		synctest.Wait()
		s, err := r.e.QueueStats(t.Context(), "keyed")
		if err != nil || s.Scheduled != 1 || s.Parked != 2 {
			t.Errorf("stats %+v, %v", s, err)
		}
		r.work(done)
		r.wantState("behind", task.StateQueued)
		r.rest(31 * time.Minute)
		r.work(done)
		for _, name := range []string{"fails", "behind", "open"} {
			r.wantState(name, task.StateDone)
		}
		r.wantState("planned", task.StateScheduled)
		r.rest(time.Hour)
		r.work(done)
		r.wantState("planned", task.StateDone)
	})
}

func TestHaltedKeysStayHaltedAfterARestart(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		for _, q := range []string{"keyed", "loose"} {
			r.configure(task.Queue{Name: q, OnDead: task.OnDeadHalt})
		}
		handle := func(l *task.Leased) task.Outcome {
			if strings.HasPrefix(string(l.Payload), "bad") {
				return reject()
			}
			return done(l)
		}
		r.submit(newTask("keyed", "k", "bad"), newTask("keyed", "k", "next"), newTask("loose", "k", "bad loose"))
		r.work(handle)
		r.stop()
		r.start(2)
		r.submit(newTask("keyed", "k", "later"), newTask("keyed", "j", "free"), newTask("loose", "k", "loose goes on"))
		r.work(handle)
		r.wantState("free", task.StateDone)
		r.wantState("loose goes on", task.StateDone)
		for _, name := range []string{"next", "later"} {
			if st := r.status(name); st.State.Final() {
				t.Errorf("%s is %v while its key is halted", name, st.State)
			}
		}
		r.configure(task.Queue{Name: "keyed", OnDead: task.OnDeadSkip})
		r.work(handle)
		r.wantState("later", task.StateDone)
	})
}

func TestEmitsArePublishedUntilTheBrokerHasThem(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		r.submit(newTask("keyed", "k", "source"))
		r.b.set(func() { r.b.failing = 3 })
		emit := func(l *task.Leased) task.Outcome {
			if string(l.Payload) != "source" {
				return done(l)
			}
			return task.Outcome{Emits: []task.Task{newTask("loose", "", "follow-up"), newTask("keyed", "far", "far")}}
		}
		r.work(emit)
		if r.w.said(task.VerdictCommitted) != 1 {
			t.Errorf("verdicts %+v", r.w.verdicts)
		}
		r.wait(time.Minute)
		r.work(emit)
		r.wantState("follow-up", task.StateDone)
		r.wantState("far", task.StateDone)
		for part := range 4 {
			if rows, _ := r.fk.Load(t.Context(), store.Scan{Part: part, Table: store.TableOutbox, Limit: 10}); len(rows) != 0 {
				t.Errorf("outbox rows %v", rows)
			}
		}
	})
}

func TestALostWorkerGivesItsTasksBack(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		r.submit(many("keyed", 5)...)
		r.w.take()
		r.e.WorkerGone(1, false)
		r.work(done)
		if st := r.wantState("keyed 0", task.StateDone); st.Deliveries != 2 || st.Attempts != 0 {
			t.Errorf("status %+v", st)
		}
	})
}

func TestExpiredMarksAreSwept(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		t := r.t
		r.configure(task.Queue{Name: "loose", DedupeWindow: time.Hour, ResultTTL: time.Hour})
		ids := make([]task.ID, 0, 1200)
		for i := range 1200 {
			x := newTask("loose", "", fmt.Sprint("short ", i))
			if i%2 == 0 {
				x.ID = task.NewID(time.Now())
			}
			ids = append(ids, x.ID)
			r.submit(x)
		}
		r.submit(newTask("keyed", "k", "long"))
		r.work(done)
		marks := func() int {
			rows, err := r.fk.Load(t.Context(), store.Scan{Table: store.TableDedup, Limit: 10_000})
			if err != nil {
				t.Fatal(err)
			}
			return len(rows)
		}
		r.wait(50 * time.Minute)
		if n := marks(); n != 1201 {
			t.Fatalf("%d marks before their time, want 1201", n)
		}
		r.wait(30 * time.Minute)
		synctest.Wait()
		if n := marks(); n != 1 {
			t.Errorf("%d marks are left, want 1", n)
		}
		r.wantState("long", task.StateDone)
		_, err := r.e.TaskStatus(t.Context(), ids[0])
		wantCode(t, err, task.CodeNotFound, "longer ago than its queue keeps")
	})
}

func TestACallerThatGivesUpIsToldSo(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		t := r.t
		hold := make(chan struct{})
		r.s.set(func(s *flakyStore) { s.hold = hold })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.e.PutRecord(ctx, task.Write{Key: "k", Name: "a"}, true)
		wantCode(t, err, task.CodeUnavailable, "did not answer in time")
		r.s.set(func(s *flakyStore) { s.hold, s.commits = nil, 1 })
		close(hold)
		r.wait(10 * time.Second)
	})
}

func TestACallerIsToldWhenTheOutcomeIsUnknown(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		t := r.t
		r.s.set(func(s *flakyStore) { s.commits, s.applied = 1, true })
		_, err := r.e.PutRecord(t.Context(), task.Write{Key: "k", Name: "a"}, true)
		wantCode(t, err, task.CodeUnavailable, "is unknown")
		r.wait(10 * time.Second)
		if rec, err := r.e.GetRecord(t.Context(), "k", "a"); err != nil || rec.Version != 1 {
			t.Errorf("record %+v, %v", rec, err)
		}
	})
}
