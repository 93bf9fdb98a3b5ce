package partition

import (
	"fmt"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/txn"
)

// add is an outcome that raises record "a", which has the given version.
func add(version uint64) task.Outcome { return task.Outcome{Writes: []task.Write{put(version)}} }

// ahead makes a rig whose worker has done task 1 of a key, and begins a batch that is
// in flight with that: what is delivered from now on may go ahead.
func ahead(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, nil)
	r.deliver(newTask("keyed", "k", "1"))
	r.answer(r.one(), 0, add(0))
	return r
}

func TestAKeyGoesAheadWithItsWorkerOverWhatThatWrote(t *testing.T) {
	r := ahead(t)
	r.deliver(newTask("keyed", "k", "2"))
	second := r.one()
	if !second.Complete || len(second.Records) != 1 || second.Records[0].Version != 1 || string(second.Records[0].Value) != "after 0" {
		t.Errorf("records %+v", second.Records)
	}
	if r.asked != 1 || r.holder[second.LeaseRef] != r.worker.Session {
		t.Errorf("the policy was asked %d times, session %d has the lease", r.asked, r.holder[second.LeaseRef])
	}
	r.answer(second, 0, add(1))
	if len(r.verdicts)+len(r.settled) != 0 {
		t.Fatal("something was said before it was durable")
	}
	r.commitOne()
	if len(r.verdicts) != 1 || len(r.settled) != 1 || r.state("1") != task.StateDone || r.state("2") != task.StateUnknown {
		t.Errorf("verdicts %+v, settled %v", r.verdicts, r.settled)
	}
	r.commitOne()
	if len(r.verdicts) != 2 || len(r.settled) != 2 || r.state("2") != task.StateDone || len(r.table(store.TableOpLog)) != 2 {
		t.Errorf("verdicts %+v, settled %v", r.verdicts, r.settled)
	}
	r.wantEmpty()
}

func TestAKeyIsAFewLeasesAheadAtMost(t *testing.T) {
	r := ahead(t)
	for n := 2; n <= maxAhead+1; n++ {
		r.deliver(newTask("keyed", "k", fmt.Sprint(n)))
		r.answer(r.one(), 0, add(uint64(n-1)))
	}
	r.deliver(newTask("keyed", "k", "x"), newTask("keyed", "k", "y"))
	if len(r.sent) != 0 {
		t.Fatalf("%s went out while %d leases are not durable", names(r.sent), maxAhead+1)
	}
	r.commitOne() // of task 1
	next := r.one()
	if got := names([]*task.Lease{next}); got != "[[x y]]" || next.Records[0].Version != maxAhead+1 {
		t.Errorf("lease %s over %+v", got, next.Records)
	}
	r.answer(next, 0, add(maxAhead+1), task.Outcome{})
	if len(r.verdicts) != 1 {
		t.Errorf("verdicts %+v", r.verdicts)
	}
	r.commit()
	if r.state("y") != task.StateDone || len(r.verdicts) != maxAhead+2 {
		t.Errorf("task y is %v, verdicts %+v", r.state("y"), r.verdicts)
	}
	r.wantEmpty()
}

// TestAKeyWaitsForDurability lists after what nothing goes ahead.
func TestAKeyWaitsForDurability(t *testing.T) {
	for name, first := range map[string]task.Outcome{
		"a retry":        retry(0),
		"a dead letter":  reject(),
		"a refusal":      {Emits: []task.Task{{Queue: "nowhere"}}},
		"an escrow":      {Writes: []task.Write{{Name: "e", Escrow: task.EscrowDeclare, Value: []byte(`{"value":1}`)}}},
		"another's work": add(0),
		"a full worker":  add(0),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.slots = 1
			r.deliver(newTask("keyed", "k", "1"))
			r.answer(r.one(), 0, first)
			switch name {
			case "another's work":
				r.c.putRecord(r.now, &task.Write{Key: "k", Name: "b", Value: []byte("x")}, true, func(uint64, error) {})
			case "a full worker":
				r.slots = 0
			}
			r.deliver(newTask("keyed", "k", "2"))
			if len(r.sent) != 0 {
				t.Errorf("lease %s goes ahead over %+v", names(r.sent), r.sent[0].Records)
			}
			r.slots++
			r.c.capacity("keyed", task.Placement{}, 0)
			r.step()
			r.commit()
			for range 4 {
				for _, l := range r.take() {
					r.finish(l)
				}
			}
			if got := r.state("2"); got != task.StateDone {
				t.Errorf("task 2 is %v", got)
			}
		})
	}
}

func TestAKeyWaitsForItsTransactionToBeDurable(t *testing.T) {
	x := newCrossing(t)
	x.deliver(newTask("keyed", "k", "1"))
	x.answer(x.one(), 0, task.Outcome{Writes: []task.Write{x.away}})
	x.deliver(newTask("keyed", "k", "2"))
	m := x.told[len(x.told)-1]
	x.c.hear(x.now, txn.Message{Kind: txn.Voted, Tx: m.Tx, From: 1, To: 0, Began: m.Began})
	x.step()
	if x.batch == nil || len(x.sent) != 0 {
		t.Fatalf("lease %s goes ahead of the decision in batch %+v", names(x.sent), x.batch)
	}
	x.commit()
	x.finish(x.one())
	if got := x.state("2"); got != task.StateDone {
		t.Errorf("task 2 is %v", got)
	}
}

func TestThePolicyPicksAWorkerAnewAfterARun(t *testing.T) {
	for name, d := range map[string]time.Duration{"time passes": maxRun, "the clock goes back": -time.Second} {
		t.Run(name, func(t *testing.T) {
			r := ahead(t)
			for n := range 10 {
				r.deliver(newTask("keyed", "k", fmt.Sprint("next ", n)))
				l := r.one()
				r.commitOne()
				r.answer(l, 0, add(uint64(n+1)))
			}
			if r.asked != 1 {
				t.Fatalf("the policy was asked %d times within a run", r.asked)
			}
			r.now = r.now.Add(d)
			r.deliver(newTask("keyed", "k", "last"))
			if len(r.sent) != 0 {
				t.Fatalf("%s goes ahead after the run is over", names(r.sent))
			}
			r.commit()
			r.finish(r.one())
			if r.asked != 2 {
				t.Errorf("the policy was asked %d times, want 2", r.asked)
			}
			r.wantEmpty()
		})
	}
}

// lose drops everything that is not durable, as a crash or a commit that fails does,
// and claims the partition anew.
func (r *rig) lose() {
	r.batch, r.sent, r.verdicts, r.assigned = nil, nil, nil, map[uint64]int{}
	r.slots = 100
	r.fence.Epoch++
	r.claim(nil)
}

func TestNothingOfALeaseAheadHoldsWithoutWhatItWasBuiltOn(t *testing.T) {
	for name, durable := range map[string]int{"the first commit fails": 0, "the second commit fails": 1} {
		t.Run(name, func(t *testing.T) {
			r := ahead(t)
			r.deliver(newTask("keyed", "k", "2"))
			second := r.one()
			for range durable {
				r.commitOne()
			}
			r.answer(second, 0, add(1))
			r.lose()
			r.answer(second, 0, add(1)) // it is told again, to the new owner
			if len(r.verdicts) != 1 || r.verdicts[0].Kind != task.VerdictStale || r.batch != nil {
				t.Fatalf("verdicts %+v, batch %+v", r.verdicts, r.batch)
			}
			if got := len(r.table(store.TableOpLog)); got != durable || r.state("2") != task.StateUnknown {
				t.Errorf("%d changes are durable, task 2 is %v", got, r.state("2"))
			}
			for n := durable; n < 2; n++ { // the broker gives what was not settled again
				r.deliver(newTask("keyed", "k", fmt.Sprint(n+1)))
			}
			r.c.recordsLoaded(r.now, "k", "", r.records("k"), true)
			r.step()
			for n := durable; n < 2; {
				l := r.one()
				for i := range l.Tasks {
					r.answer(l, i, task.Outcome{Writes: []task.Write{{Name: "a", Expected: r.version(l, i, n), Chained: i > 0, Value: []byte("x")}}})
					n++
				}
				r.commit()
			}
			if got := len(r.table(store.TableOpLog)); got != 2 || r.state("2") != task.StateDone {
				t.Errorf("%d changes are durable, task 2 is %v", got, r.state("2"))
			}
		})
	}
}

// records are those of a key that are durable.
func (r *rig) records(key string) (found []*store.Record) {
	for _, row := range r.table(store.TableRecord) {
		if rec := row.(*store.Record); rec.Key == key {
			found = append(found, rec)
		}
	}
	return found
}

// version is what the i-th task of a lease expects of record "a" after n changes.
func (r *rig) version(l *task.Lease, i, n int) uint64 {
	if i > 0 {
		return 0
	}
	if len(l.Records) == 0 && n > 0 {
		r.t.Fatalf("lease %s has no records after %d changes", names([]*task.Lease{l}), n)
	}
	return uint64(n)
}

func TestAWorkerLostAheadKeepsWhatItDidBefore(t *testing.T) {
	r := ahead(t)
	r.deliver(newTask("keyed", "k", "2"), newTask("keyed", "k", "3"))
	r.take()
	other := r.join(1, nil)
	r.c.workerGone(r.now, r.worker.Session, false)
	r.slots = 0
	r.step()
	if len(r.sent) != 0 {
		t.Fatalf("%s goes to another worker before task 1 is durable", names(r.sent))
	}
	r.commit()
	next := r.one()
	if r.holder[next.LeaseRef] != other.ref.Session || r.state("1") != task.StateDone || next.Records[0].Version != 1 {
		t.Errorf("session %d has the next lease over %+v, task 1 is %v", r.holder[next.LeaseRef], next.Records, r.state("1"))
	}
	if first := next.Tasks[0]; string(first.Payload) != "2" || first.Delivery != 2 || first.Attempt != 1 {
		t.Errorf("the first task is %+v", first)
	}
}

func TestAFailureAheadHoldsItsKeyBack(t *testing.T) {
	for _, onDead := range []task.OnDead{task.OnDeadSkip, task.OnDeadHalt} {
		t.Run(string(onDead), func(t *testing.T) {
			r := newRig(t, nil)
			r.settings("keyed", func(q *task.Queue) { q.OnDead = onDead })
			r.deliver(newTask("keyed", "k", "1"))
			r.answer(r.one(), 0, add(0))
			r.deliver(newTask("keyed", "k", "2"))
			second := r.one()
			r.deliver(newTask("keyed", "k", "3"))
			r.answer(second, 0, reject())
			r.commitOne() // of task 1
			if len(r.sent) != 0 {
				t.Fatalf("%s goes out before the dead letter is durable", names(r.sent))
			}
			r.commit()
			if r.state("1") != task.StateDone || r.state("2") != task.StateDead {
				t.Errorf("task 1 is %v, task 2 is %v", r.state("1"), r.state("2"))
			}
			if halts := onDead == task.OnDeadHalt; halts != (len(r.sent) == 0) || halts != (r.c.stats("keyed").HaltedLanes == 1) {
				t.Errorf("leases %s, %d lanes are halted", names(r.sent), r.c.stats("keyed").HaltedLanes)
			}
		})
	}
}

func TestAStaleReadAheadIsAConflict(t *testing.T) {
	r := ahead(t)
	r.deliver(newTask("keyed", "k", "2"))
	second := r.one()
	r.c.putRecord(r.now, &task.Write{Key: "k", Name: "a", Value: []byte("x")}, true, func(uint64, error) {})
	r.answer(second, 0, add(1))
	r.commit()
	if n := len(r.verdicts); n != 2 || r.verdicts[1].Kind != task.VerdictConflict || r.verdicts[1].Records[0].Version != 2 {
		t.Fatalf("verdicts %+v", r.verdicts)
	}
	r.answer(second, 0, add(2))
	r.commit()
	if got := r.c.led.Record("k", "a").Version; got != 3 || r.state("2") != task.StateDone {
		t.Errorf("version %d, task 2 is %v", got, r.state("2"))
	}
	r.wantEmpty()
}

func TestALaneThatWasSetAsideAheadWaitsForDurability(t *testing.T) {
	r := ahead(t)
	r.slots = 0
	r.c.queues["keyed"].bands[rankNormal].plain.starved = true
	r.deliver(newTask("keyed", "k", "2"))
	l := r.c.queues["keyed"].lanes["k"]
	r.c.evict(r.now, l, 0) // its memory is wanted
	r.slots = 1
	r.step()
	r.c.capacity("keyed", task.Placement{}, 0)
	r.step()
	if len(r.sent) != 0 {
		t.Fatalf("%s went out", names(r.sent))
	}
	r.commit()
	for len(r.parked) > 0 {
		r.page(10)
	}
	r.finish(r.one())
	if r.state("1") != task.StateDone || r.state("2") != task.StateDone {
		t.Errorf("task 1 is %v, task 2 is %v", r.state("1"), r.state("2"))
	}
	r.wantEmpty()
}

func TestOnlyByTellsWhoChangedWhatIsNotDurable(t *testing.T) {
	now := rigStart
	led := ledger.New(ledger.Config{Partitions: 1, Node: "node"}, store.Fence{Epoch: 1})
	write := func(run uint64, name string) {
		x := newTask("keyed", "k", name)
		o := task.Outcome{Writes: []task.Write{{Name: name, Expected: led.Record("k", name).Version, Value: []byte("x")}}}
		led.Apply(now, ledger.Author{TaskID: x.ID, Token: 100 + run, Run: run}, &x, &o)
	}
	want := func(run uint64, only bool) {
		t.Helper()
		if got := led.OnlyBy("k", run); got != only {
			t.Errorf("only by the leases of run %d: %v", run, got)
		}
	}
	want(1, true) // nothing was written
	write(1, "a")
	want(1, true)
	want(2, false)
	led.Seal(now)
	write(1, "b")
	want(1, true)
	led.Committed()
	write(2, "b")
	want(1, false) // both, in one batch
	want(2, false)
	led.Seal(now)
	led.Committed()
	want(3, true)
	write(2, "a")
	led.Seal(now)
	write(3, "a")
	want(3, false)
	led.Committed()
	want(3, true)
}
