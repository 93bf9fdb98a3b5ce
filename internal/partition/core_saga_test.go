package partition

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// newSagaRig returns a rig whose core works on sagas.
func newSagaRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, nil)
	r.openSagas()
	return r
}

func (r *rig) openSagas() {
	r.c.configure(sagaQueue())
	r.c.sagas.loaded()
	r.step()
}

// twoSteps is a saga of a then b, both in a queue that keeps no order.
func twoSteps() *saga.Definition {
	retry := &saga.Retry{MaxAttempts: 1}
	return &saga.Definition{Name: "two", Stages: []saga.Stage{
		{{Name: "a", Queue: "loose", Retry: retry, Compensation: &saga.Compensation{}}},
		{{Name: "b", Queue: "loose", Retry: retry}},
	}}
}

// startSaga starts the saga "s".
func (r *rig) startSaga(d *saga.Definition) sagaAnswer {
	r.t.Helper()
	answers := make(chan sagaAnswer, 1)
	r.c.startSaga(r.now, saga.Start{ID: "s", Definition: d, Input: []byte(`{}`)}, func(a sagaAnswer) { answers <- a })
	r.step()
	select {
	case a := <-answers:
		if a.err == nil && !a.same {
			r.t.Error("a start was answered before it was durable")
		}
		return a
	default:
	}
	r.commit()
	select {
	case a := <-answers:
		return a
	default:
		r.t.Fatal("a start was not answered")
		return sagaAnswer{}
	}
}

// emitted takes the follow-up tasks that are to be published now.
func (r *rig) emitted() (tasks []task.Task) {
	r.t.Helper()
	for _, row := range r.outbox {
		t, err := task.Decode(row.Body)
		if err != nil {
			r.t.Fatal(err)
		}
		tasks = append(tasks, t)
	}
	r.outbox = nil
	return tasks
}

// pump delivers what was emitted, but for what is to come later, until a lease is sent
// or nothing more happens.
func (r *rig) pump() {
	r.t.Helper()
	for range 100 {
		r.commit()
		tasks := r.emitted()
		if len(tasks) == 0 {
			return
		}
		for _, t := range tasks {
			if t.RunAt.IsZero() {
				r.deliver(t)
			}
		}
	}
	r.t.Fatal("emits without end")
}

func (r *rig) sagaState() *saga.State {
	r.t.Helper()
	for _, row := range r.table(store.TableRecord) {
		if rec := row.(*store.Record); rec.Key == saga.KeyOf("s") && rec.Name == saga.RecordState {
			s, err := saga.DecodeState(rec.Value)
			if err != nil {
				r.t.Fatal(err)
			}
			return s
		}
	}
	return nil
}

func TestASagasTransitionIsOneCommit(t *testing.T) {
	r := newSagaRig(t)
	if a := r.startSaga(twoSteps()); a.err != nil || a.same {
		t.Fatalf("start: %+v", a)
	}
	r.pump()
	l := r.one()
	// The commit that ends the task holds the message to the saga.
	r.answer(l, 0, task.Outcome{Result: []byte(`1`)})
	if r.batch == nil {
		t.Fatal("nothing is committed")
	}
	tables := tablesOf(r.batch)
	if tables[store.TableDedup] != 1 || tables[store.TableOutbox] != 1 {
		t.Errorf("the end of a step commits %v", tables)
	}
	r.commitOne()
	message := r.emitted()
	if len(message) != 1 || message[0].Queue != saga.Queue || message[0].Key != saga.KeyOf("s") {
		t.Fatalf("it emitted %+v", message)
	}
	// The commit that takes the message holds the state, the next task and the mark.
	r.deliver(message[0])
	tables = tablesOf(r.batch)
	if tables[store.TableRecord] != 1 || tables[store.TableOpLog] != 1 || tables[store.TableOutbox] != 1 || tables[store.TableDedup] != 1 {
		t.Errorf("a transition commits %v", tables)
	}
	r.commit()
	// The broker delivers the message again: its mark knows it.
	before := r.fence.Seq
	again := arrivalOf(message[0])
	again.known = r.rows[fmt.Sprint(store.TableDedup, " ", message[0].ID)].(*store.Dedup)
	r.c.delivered(r.now, saga.Queue, rankNormal, []arrival{again})
	r.step()
	r.commit()
	if r.fence.Seq != before {
		t.Error("a repeated message changed records")
	}
	// Also without its mark nothing changes.
	forgotten := message[0]
	forgotten.ID = task.DeriveID("another")
	r.deliver(forgotten)
	r.commit()
	if r.fence.Seq != before {
		t.Error("a message about what has ended changed records")
	}
}

func tablesOf(b *store.Batch) map[store.Table]int {
	counts := map[store.Table]int{}
	for _, row := range b.Puts {
		if !isIndex(row) {
			counts[row.Table()]++
		}
	}
	return counts
}

func TestASagaGoesOnWithTheNextOwner(t *testing.T) {
	r := newSagaRig(t)
	r.startSaga(twoSteps())
	r.pump()
	r.answer(r.one(), 0, task.Outcome{})
	r.commitOne()
	message := r.emitted()
	r.deliver(message...) // and the owner is lost before it commits
	r.batch = nil
	r.fence.Epoch++
	r.claim(nil)
	r.openSagas()
	r.deliver(message...)
	for range 2 {
		for _, k := range r.loads {
			var rows []*store.Record
			for _, row := range r.table(store.TableRecord) {
				if rec := row.(*store.Record); rec.Key == k.Key && (k.Name == "" || rec.Name == k.Name) {
					rows = append(rows, rec)
				}
			}
			r.c.recordsLoaded(r.now, k.Key, k.Name, rows, k.Name == "")
		}
		r.loads = nil
		r.step()
	}
	r.pump()
	l := r.one()
	if ref, ok := saga.RefOf(&l.Tasks[0].Task); !ok || ref.Step != "b" {
		t.Errorf("the next step is %+v", ref)
	}
	r.finish(l)
	r.pump()
	if s := r.sagaState(); s.Status != saga.StatusDone {
		t.Errorf("the saga is %s", s.Status)
	}
}

func TestEveryEndOfAStepReachesItsSaga(t *testing.T) {
	for name, end := range map[string]func(r *rig, l *task.Lease){
		"rejected":         func(r *rig, l *task.Lease) { r.answer(l, 0, reject()) },
		"failed":           func(r *rig, l *task.Lease) { r.answer(l, 0, retry(0)) },
		"refused":          func(r *rig, l *task.Lease) { r.answer(l, 0, task.Outcome{Result: make([]byte, saga.MaxResult+1)}) },
		"invalid":          func(r *rig, l *task.Lease) { r.answer(l, 0, task.Outcome{Emits: []task.Task{{Queue: saga.Queue}}}) },
		"out of time":      func(r *rig, _ *task.Lease) { r.pass(time.Minute) },
		"killed its hosts": func(r *rig, l *task.Lease) { r.loseTwenty(l) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newSagaRig(t)
			r.startSaga(twoSteps())
			r.pump()
			end(r, r.one())
			r.pump()
			if s := r.sagaState(); s.Status != saga.StatusCompensated || s.Steps[0].Do.Error == "" {
				t.Errorf("the saga is %s, its step %+v", s.Status, s.Steps[0].Do)
			}
			if dead := r.table(store.TableDead); len(dead) != 0 || r.c.stats("loose").Dead != 0 || r.c.stats("loose").DeadTotal != 1 {
				t.Errorf("%d dead letters, counted %+v", len(dead), r.c.stats("loose"))
			}
		})
	}
}

// loseTwenty has the worker of every lease lost until the task is given up.
func (r *rig) loseTwenty(l *task.Lease) {
	for range task.DefaultQueue("").MaxDeliveries {
		r.c.workerGone(r.now, r.holder[l.LeaseRef], false)
		r.step()
		r.commit()
		sent := r.take()
		if len(sent) == 0 {
			return
		}
		l = sent[0]
	}
}

func TestAStepInAQueueThatIsNotThereIsDead(t *testing.T) {
	r := newSagaRig(t)
	d := twoSteps()
	d.Stages[1][0].Queue = "gone"
	r.startSaga(d)
	r.pump()
	r.finish(r.one())
	r.pump()
	l := r.one()
	if ref, _ := saga.RefOf(&l.Tasks[0].Task); !ref.Undo || ref.Step != "a" {
		t.Errorf("what follows is %+v", ref)
	}
	r.finish(l)
	r.pump()
	if s := r.sagaState(); s.Status != saga.StatusCompensated || !strings.Contains(s.Reason, `no queue "gone"`) {
		t.Errorf("the saga is %s: %s", s.Status, s.Reason)
	}
}

func TestAStepThatTheBrokerRefusesIsDead(t *testing.T) {
	r := newSagaRig(t)
	r.startSaga(twoSteps())
	row := r.outbox[0]
	refused, err := task.Decode(row.Body)
	if err != nil {
		t.Fatal(err)
	}
	r.outbox = nil
	r.c.emitRefused(r.now, row, refused, errors.New("no such queue"))
	r.step()
	r.pump()
	if s := r.sagaState(); s.Status != saga.StatusCompensated || !strings.Contains(s.Reason, "the broker refused the task") {
		t.Errorf("the saga is %s: %s", s.Status, s.Reason)
	}
}

func TestAMessageThatCannotBeReadIsADeadLetter(t *testing.T) {
	r := newSagaRig(t)
	r.startSaga(twoSteps())
	r.emitted()
	broken := task.Task{ID: task.DeriveID("broken"), Queue: saga.Queue, Key: saga.KeyOf("s"), Type: "ended", Payload: []byte{1}, CreatedAt: task.TimestampAt(r.now)}
	nobody := task.Task{ID: task.DeriveID("nobody"), Queue: saga.Queue, Key: saga.KeyOf("x"), Type: "ended", CreatedAt: task.TimestampAt(r.now)}
	r.deliver(broken, nobody)
	r.commit()
	if dead := r.table(store.TableDead); len(dead) != 1 || !strings.Contains(dead[0].(*store.Dead).Reason, "read message") {
		t.Errorf("dead letters: %+v", dead)
	}
}

func TestASagaIsForgottenAfterItsRetention(t *testing.T) {
	r := newSagaRig(t)
	d := twoSteps()
	d.Stages = d.Stages[:1]
	d.Retention = saga.Duration(time.Hour)
	r.startSaga(d)
	r.pump()
	r.finish(r.one())
	r.commit()
	r.deliver(r.emitted()...)
	r.commit()
	timers := r.emitted()
	if len(timers) != 1 || !timers[0].RunAt.Equal(r.now.Add(time.Hour)) {
		t.Fatalf("timers: %+v", timers)
	}
	due := timers[0]
	due.RunAt = time.Time{} // the schedule's part is tested elsewhere
	r.deliver(due)
	r.commit()
	if left := r.table(store.TableRecord); len(left) != 0 {
		t.Errorf("records that are left: %+v", left)
	}
	if a := r.startSaga(d); a.err != nil || a.same {
		t.Errorf("the same id again: %+v", a)
	}
}

func TestManyMessagesToASagaStayWithinABatch(t *testing.T) {
	r := newSagaRig(t)
	r.startSaga(twoSteps())
	r.emitted()
	r.c.led.Put(&store.Parked{Queue: "loose", Body: make([]byte, maxBatchBytes+1)}) // a large batch gathers
	r.batch = &store.Batch{}                                                        // and waits for one in flight
	message := task.Task{ID: task.DeriveID("m"), Queue: saga.Queue, Key: saga.KeyOf("s"), Type: "deadline", Payload: []byte{1}, CreatedAt: task.TimestampAt(r.now)}
	a := arrivalOf(message)
	r.c.delivered(r.now, saga.Queue, rankNormal, []arrival{a})
	if _, ended := r.rows[fmt.Sprint(store.TableDedup, " ", message.ID)]; ended || r.c.tasks[message.ID] == nil {
		t.Fatal("the message was worked on beyond the bound of a batch")
	}
	r.batch = nil
	r.step()
	r.commit()
	if r.c.tasks[message.ID] != nil {
		t.Error("the message still waits after the commit")
	}
}

func TestOpenSagasAreCounted(t *testing.T) {
	r := newSagaRig(t)
	reg := prometheus.NewRegistry()
	shared := newSagaCounters(reg)
	book := shared.book(0)
	state := func(id string, status saga.Status) *saga.State {
		return &saga.State{ID: id, Status: status, StartedAt: r.now}
	}
	book.note(state("new", saga.StatusRunning))
	book.note(state("ended", saga.StatusDone)) // while the store is read
	book.found("ended", openSaga{status: saga.StatusRunning, since: r.now})
	book.found("old", openSaga{status: saga.StatusHalted, since: r.now})
	book.found("new", openSaga{status: saga.StatusHalted, since: r.now})
	book.found("over", openSaga{status: saga.StatusCompensated, since: r.now})
	book.loaded()
	want := `
# HELP fenfa_saga_open Sagas that have not ended, by status: running, compensating or halted.
# TYPE fenfa_saga_open gauge
fenfa_saga_open{status="compensating"} 0
fenfa_saga_open{status="halted"} 1
fenfa_saga_open{status="running"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "fenfa_saga_open"); err != nil {
		t.Error(err)
	}
	book.note(state("new", saga.StatusDone))
	book.note(state("old", saga.StatusCompensating))
	if len(book.open) != 1 || book.open["old"].status != saga.StatusCompensating {
		t.Errorf("open: %+v", book.open)
	}
	next := shared.book(0)
	book.close() // the earlier owner goes after the next one came
	if shared.parts[0] != next {
		t.Error("an owner that went took the list of the next one along")
	}
	next.close()
	if len(shared.parts) != 0 {
		t.Error("a list is left")
	}
}
