package partition

import (
	"fmt"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

func TestRecordsTravelWithTheLease(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"))
	r.answer(r.one(), 0, task.Outcome{Writes: []task.Write{put(0)}})
	r.commit()
	r.deliver(newTask("keyed", "k", "2"))
	l := r.one()
	if !l.Complete || len(l.Records) != 1 || l.Records[0].Version != 1 || string(l.Records[0].Value) != "after 0" {
		t.Errorf("records %+v", l.Records)
	}
	r.finish(l)
	r.wantEmpty()
}

func TestRecordsAreLoadedBeforeTheFirstLease(t *testing.T) {
	r := newRig(t, nil)
	r.fence.Seq = 9 // something was written by an earlier owner
	r.claim(nil)
	r.deliver(newTask("keyed", "k", "1"))
	if len(r.sent) != 0 || len(r.loads) != 1 || r.loads[0] != (ledger.RecordKey{Key: "k"}) {
		t.Fatalf("loads %v", r.loads)
	}
	r.c.recordsLoaded(r.now, "k", "", []*store.Record{{Key: "k", Name: "a", Version: 7, Value: []byte("x")}}, true)
	r.step()
	l := r.one()
	if len(l.Records) != 1 || l.Records[0].Version != 7 {
		t.Errorf("records %+v", l.Records)
	}
	r.finish(l)
	r.wantEmpty()
}

func TestOutcomesWaitForRecordsTheyTouch(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		t.Run(queue, func(t *testing.T) {
			r := newRig(t, nil)
			r.fence.Seq = 9
			r.claim(nil)
			r.deliver(newTask(queue, "k", "1"))
			if queue == "keyed" {
				r.c.recordsLoaded(r.now, "k", "", nil, false) // too many to load them all
				r.step()
			}
			r.loads = nil
			l := r.one()
			r.answer(l, 0, task.Outcome{Writes: []task.Write{put(7)}, Reads: []task.Read{{Name: "b"}}})
			if len(r.loads) != 2 || r.batch != nil {
				t.Fatalf("loads %v", r.loads)
			}
			if queue == "keyed" {
				r.answer(l, 0, task.Outcome{}) // more comes while it waits
			}
			r.c.recordsLoaded(r.now, "k", "a", []*store.Record{{Key: "k", Name: "a", Version: 7}}, false)
			r.step()
			if r.batch != nil {
				t.Fatal("only one of two is there")
			}
			r.c.recordsLoaded(r.now, "k", "b", nil, false)
			r.step()
			r.commit()
			if r.state("1") != task.StateDone || len(r.table(store.TableOpLog)) != 1 {
				t.Errorf("state %v, %d changes", r.state("1"), len(r.table(store.TableOpLog)))
			}
			r.wantEmpty()
		})
	}
}

func TestALeaseThatEndedDoesNotWakeWhenRecordsCome(t *testing.T) {
	r := newRig(t, nil)
	r.fence.Seq = 9
	r.claim(nil)
	r.deliver(newTask("keyed", "k", "1"))
	r.c.recordsLoaded(r.now, "k", "", nil, false)
	r.step()
	r.answer(r.one(), 0, task.Outcome{Writes: []task.Write{put(0)}})
	r.c.workerGone(r.now, 1, false)
	r.c.recordsLoaded(r.now, "k", "a", nil, false)
	r.step()
	r.commit()
	if len(r.table(store.TableOpLog)) != 0 {
		t.Fatal("the outcome of a lost worker took effect")
	}
	r.finish(r.one())
	r.wantEmpty()
}

func TestAConflictAsksForAnotherExecution(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"), newTask("keyed", "k", "3"))
	r.slots = 1
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	l := r.one()
	var version uint64
	r.c.putRecord(r.now, &task.Write{Key: "k", Name: "a", Value: []byte("direct")}, false, func(v uint64, err error) {
		if version = v; err != nil {
			t.Error(err)
		}
	})
	chained := task.Outcome{Writes: []task.Write{{Name: "a", Chained: true, Value: []byte("2")}}}
	r.answer(l, 0, task.Outcome{}, task.Outcome{Writes: []task.Write{put(0)}}, chained)
	r.commit()
	if version != 1 {
		t.Fatalf("the direct write has version %d", version)
	}
	last := r.verdicts[len(r.verdicts)-1]
	if last.Kind != task.VerdictConflict || last.First != 1 || last.Count != 2 || !last.Complete || len(last.Records) != 1 || string(last.Records[0].Value) != "direct" {
		t.Fatalf("verdict %+v", last)
	}
	if r.state("1") != task.StateDone || r.state("2") != task.StateUnknown {
		t.Fatal("what came before the conflict is committed, what follows is not")
	}
	r.answer(l, 2, chained) // it was sent before the verdict came
	r.answer(l, 1, task.Outcome{Writes: []task.Write{put(1)}}, chained)
	r.commit()
	if m := r.mark("2"); m == nil || m.Attempts != 0 {
		t.Errorf("a conflict is no failure: %+v", m)
	}
	records := r.table(store.TableRecord)
	if len(records) != 1 || records[0].(*store.Record).Version != 3 || string(records[0].(*store.Record).Value) != "2" {
		t.Errorf("records %+v", records)
	}
	r.wantEmpty()
}

// A worker that sends the same outcomes twice hears of one conflict. A second one would
// make it go back when its next run has taken effect already, and go on over a run that
// never does.
func TestARepeatOfWhatConflictedAsksForNothing(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"))
	r.slots = 1
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	l := r.one()
	write := func(run uint32, expected uint64, chained bool, value string) task.Outcome {
		return task.Outcome{Writes: []task.Write{{Name: "a", Expected: expected, Chained: chained, Value: []byte(value)}}, Run: run}
	}
	direct := func(w task.Write) {
		w.Key, w.Name = "k", "a"
		r.c.putRecord(r.now, &w, true, func(_ uint64, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	direct(task.Write{Value: []byte("direct")})
	r.answer(l, 0, write(1, 0, false, "lost"))
	r.answer(l, 0, write(1, 0, false, "lost"))
	direct(task.Write{Delete: true})           // It would fit now,
	r.answer(l, 0, write(1, 0, false, "lost")) // but the worker runs the task again.
	direct(task.Write{Value: []byte("direct")})
	r.commit()
	if len(r.verdicts) != 1 || r.verdicts[0].Kind != task.VerdictConflict {
		t.Fatalf("verdicts %+v", r.verdicts)
	}
	r.answer(l, 0, write(2, 3, false, "first"))
	r.answer(l, 1, write(1, 0, true, "lost")) // of a run that nobody knows
	r.answer(l, 1, write(2, 0, true, "second"))
	r.commit()
	if r.state("1") != task.StateDone || r.state("2") != task.StateDone {
		t.Errorf("verdicts %+v", r.verdicts)
	}
	if records := r.table(store.TableRecord); len(records) != 1 || string(records[0].(*store.Record).Value) != "second" || len(r.table(store.TableOpLog)) != 5 {
		t.Errorf("records %+v after %d changes", records, len(r.table(store.TableOpLog)))
	}
	r.wantEmpty()
}

func TestAWorkerNeverSeesWhatIsNotDurable(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	r.deliver(newTask("keyed", "k", "1"))
	r.c.putRecord(r.now, &task.Write{Key: "k", Name: "a", Value: []byte("x")}, true, func(uint64, error) {})
	r.slots = 1
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	if len(r.sent) != 0 {
		t.Fatalf("the lease carries %+v", r.sent[0].Records)
	}
	r.commit()
	if l := r.one(); len(l.Records) != 1 {
		t.Errorf("records %+v", l.Records)
	}
}

func TestAKeyThatIsWrittenAllTheTimeDoesNotWaitForEver(t *testing.T) {
	r := newRig(t, nil)
	write := func() {
		r.c.putRecord(r.now, &task.Write{Key: "k", Name: "a", Value: []byte("x")}, true, func(uint64, error) {})
	}
	write()
	r.deliver(newTask("keyed", "k", "1"))
	for range 3 {
		write() // before the commit of the last one is there
		b := r.batch
		r.batch = nil
		r.fence = b.Next
		r.c.committed(r.now)
		r.step()
	}
	if l := r.one(); l.Complete || len(l.Records) != 0 {
		t.Errorf("records that are not durable travel: %+v", l.Records)
	}
}

func TestEmitsGoThroughTheOutbox(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"))
	own := task.DeriveID("own id")
	r.answer(r.one(), 0, task.Outcome{Emits: []task.Task{{Queue: "loose"}, {Queue: "keyed", Key: "z", ID: own}}})
	if len(r.outbox) != 0 {
		t.Fatal("published before it was durable")
	}
	r.commit()
	if len(r.outbox) != 2 || len(r.table(store.TableOutbox)) != 2 {
		t.Fatalf("%d rows to publish", len(r.outbox))
	}
	first, _ := task.Decode(r.outbox[0].Body)
	second, _ := task.Decode(r.outbox[1].Body)
	if first.ID != task.DeriveID("emit", task.DeriveID("1").String(), "0") || second.ID != own || first.CreatedAt == 0 {
		t.Errorf("tasks %+v, %+v", first, second)
	}
	r.c.published(r.outbox[:1])
	r.c.emitRefused(r.now, r.outbox[1], second, broker.ErrNoQueue)
	r.step()
	r.commit()
	if len(r.table(store.TableOutbox)) != 0 {
		t.Error("outbox rows stay")
	}
	if dead := r.table(store.TableDead); len(dead) != 1 || dead[0].(*store.Dead).Queue != "keyed" {
		t.Errorf("dead letters %+v", dead)
	}
	r.wantEmpty()
}

func TestAnswersOfRecordsWaitForDurability(t *testing.T) {
	r := newRig(t, nil)
	var got []string
	w := &task.Write{Key: "k", Name: "a", Value: []byte("x")}
	r.c.putRecord(r.now, w, false, func(v uint64, err error) { got = append(got, fmt.Sprint("put ", v, err)) })
	r.c.getRecord(r.now, "k", "a", func(rec task.Record, _ error) { got = append(got, fmt.Sprint("get ", rec.Version)) })
	r.c.putRecord(r.now, w, false, func(_ uint64, err error) { got = append(got, fmt.Sprint("conflict ", task.CodeOf(err))) })
	r.step()
	if fmt.Sprint(got) != "[conflict conflict]" {
		t.Fatalf("before the commit: %q", got)
	}
	r.commit()
	if fmt.Sprint(got[1:]) != "[put 1 <nil> get 1]" {
		t.Errorf("after the commit: %q", got)
	}
}

func TestAReadOfARecordLoadsIt(t *testing.T) {
	r := newRig(t, nil)
	r.fence.Seq = 9
	r.claim(nil)
	var got []uint64
	for range 2 {
		r.c.getRecord(r.now, "k", "a", func(rec task.Record, _ error) { got = append(got, rec.Version) })
	}
	if len(r.loads) != 1 || r.loads[0] != (ledger.RecordKey{Key: "k", Name: "a"}) {
		t.Fatalf("loads %v", r.loads)
	}
	r.c.recordsLoaded(r.now, "k", "a", []*store.Record{{Key: "k", Name: "a", Version: 4}}, false)
	if fmt.Sprint(got) != "[4 4]" {
		t.Errorf("answers %v", got)
	}
}

func TestTokensGrowFromOwnerToOwner(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"))
	first := r.one()
	r.now = r.now.Add(-time.Hour) // and nothing was committed
	r.fence.Epoch++
	r.claim(nil)
	r.deliver(newTask("keyed", "k", "1"))
	if second := r.one(); second.Token <= first.Token || second.Epoch <= first.Epoch {
		t.Errorf("token %d after %d", second.Token, first.Token)
	}
}

func TestRepeatsAreSettledWithoutEffect(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) { cfg.Repeats = true })
	x := newTask("keyed", "k", "1")
	r.deliver(x)
	l := r.one()
	r.deliver(x) // a second copy while the first runs
	if len(r.settled) != 1 || r.settled[0] != 2 {
		t.Errorf("settled %v, want the copy", r.settled)
	}
	r.finish(l)
	r.deliver(x) // its mark was looked up before it was written
	known := arrivalOf(x)
	known.item.pos, known.known = 9, &store.Dedup{ID: x.ID, State: task.StateDone}
	r.c.delivered(r.now, "keyed", rankNormal, []arrival{known})
	r.step()
	r.commit()
	if fmt.Sprint(r.settled) != "[2 1 3 9]" || len(r.sent) != 0 {
		t.Errorf("settled %v, %d leases", r.settled, len(r.sent))
	}
	r.wantEmpty()
}

func TestTheMessageThatIsHeldIsNotSettledWhenItComesAgain(t *testing.T) {
	r := newRig(t, func(cfg *coreConfig) { cfg.Repeats = true })
	x := newTask("keyed", "k", "1")
	r.deliver(x)
	r.pos-- // the reader reconnected
	r.deliver(x)
	r.commit()
	if len(r.settled) != 0 {
		t.Fatal("a task is settled while it runs")
	}
	r.finish(r.one())
	if fmt.Sprint(r.settled) != "[1]" {
		t.Errorf("settled %v", r.settled)
	}
	r.wantEmpty()
}

func TestCreditBalancesToZero(t *testing.T) {
	r := newRig(t, nil)
	want := broker.Limit{}
	for i := range 20 {
		x := newTask("keyed", fmt.Sprint(i%3), fmt.Sprint(i))
		if i%5 == 0 {
			x.RunAt = r.now.Add(time.Hour)
		}
		a := arrivalOf(x)
		want.Tasks++
		want.Bytes += a.item.size
		r.deliver(x)
	}
	for range 20 {
		for _, l := range r.take() {
			r.finish(l)
		}
		r.commit()
	}
	if r.credited != want {
		t.Errorf("credited %+v, want %+v", r.credited, want)
	}
}

func TestStatusTellsWhereATaskIs(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	r.deliver(newTask("keyed", "k", "1"), newTask("keyed", "k", "2"))
	want := func(name string, state task.State, worker string) TaskStatus {
		t.Helper()
		st, ok := r.c.status(r.now, task.DeriveID(name))
		if !ok || st.State != state || st.Worker != worker || st.Task == nil || st.Key != "k" {
			t.Errorf("%s: %+v, %v", name, st, ok)
		}
		return st
	}
	want("1", task.StateReady, "")
	r.slots = 1
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	want("1", task.StateRunning, "w1")
	r.answer(r.one(), 0, retry(time.Second))
	r.commit()
	if st := want("1", task.StateScheduled, ""); st.Error != "not yet" || st.Attempts != 1 || len(st.History) != 1 || !st.NextAt.Equal(r.now.Add(time.Second)) {
		t.Errorf("status %+v", st)
	}
	want("2", task.StateReady, "")
	if _, ok := r.c.status(r.now, task.DeriveID("3")); ok {
		t.Error("an unknown task has a status")
	}
}

func TestARejectionOverAStaleRecordIsRunAgain(t *testing.T) {
	for _, queue := range []string{"keyed", "loose"} {
		t.Run(queue, func(t *testing.T) {
			r := newRig(t, nil)
			r.deliver(newTask(queue, "k", "1"))
			l := r.one()
			r.c.putRecord(r.now, &task.Write{Key: "k", Name: "a", Value: []byte("late")}, true, func(uint64, error) {})
			rejection := task.Outcome{Kind: task.OutcomeDead, Error: "no such customer", Reads: []task.Read{{Name: "a"}}}
			r.answer(l, 0, rejection)
			r.commit()
			if last := r.verdicts[len(r.verdicts)-1]; last.Kind != task.VerdictConflict {
				t.Fatalf("verdict %+v", last)
			}
			rejection.Reads[0].Version = 1
			r.answer(l, 0, rejection)
			r.commit()
			if got := r.state("1"); got != task.StateDead {
				t.Errorf("state %v after a rejection over what is there now", got)
			}
			r.wantEmpty()
		})
	}
}

func TestAnIDThatIsUsedAgainAfterItsWindowRunsAgain(t *testing.T) {
	hour := time.Hour
	cases := []struct {
		name    string
		repeats bool
		mark    store.Dedup
		age     task.Timestamp // of the mark's task, before the one that is delivered
		runs    bool
	}{
		{"the same submit", false, store.Dedup{State: task.StateDone}, 0, false},
		{"a later submit that the broker took", false, store.Dedup{State: task.StateDone}, 5, true},
		{"a later submit while the first one waits", false, store.Dedup{State: task.StateScheduled}, 5, false},
		{"a repeat that the broker cannot tell", true, store.Dedup{State: task.StateDone, Expires: time.Unix(0, 0).Add(1 << 62)}, 5, false},
		{"a later submit to a broker that cannot tell", true, store.Dedup{State: task.StateDone, Expires: time.Unix(0, 0).Add(hour)}, 5, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, func(cfg *coreConfig) { cfg.Repeats = c.repeats })
			x := newTask("keyed", "k", "1")
			x.CreatedAt = 100
			a := arrivalOf(x)
			c.mark.ID, c.mark.CreatedAt = x.ID, x.CreatedAt-c.age
			a.item.pos, a.known = 9, &c.mark
			r.c.delivered(r.now, "keyed", rankNormal, []arrival{a})
			r.step()
			if got := len(r.sent) == 1; got != c.runs {
				t.Fatalf("runs: %v, want %v", got, c.runs)
			}
			if c.runs {
				r.finish(r.one())
			}
			r.commit()
			if fmt.Sprint(r.settled) != "[9]" {
				t.Errorf("settled %v", r.settled)
			}
			r.wantEmpty()
		})
	}
}

func TestATaskWhoseRetryIsDueIsReady(t *testing.T) {
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"))
	r.answer(r.one(), 0, retry(time.Second))
	r.commit()
	state := func() task.State {
		st, _ := r.c.status(r.now, task.DeriveID("1"))
		return st.State
	}
	if got := state(); got != task.StateScheduled {
		t.Errorf("%v while the backoff runs", got)
	}
	r.slots = 0
	r.pass(2 * time.Second)
	if got := state(); got != task.StateReady {
		t.Errorf("%v when the backoff is over and no worker is there", got)
	}
	r.slots = 1
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	r.finish(r.one())
	r.wantEmpty()
}
