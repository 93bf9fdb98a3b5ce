package partition

import (
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/cron"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// cronRig is a rig whose core keeps schedules.
type cronRig struct {
	*rig
	published int // outbox rows that were handed to the broker
	fired     map[task.ID]int
}

func newCronRig(t *testing.T) *cronRig {
	t.Helper()
	r := &cronRig{rig: newRig(t, nil).begin(), fired: map[task.ID]int{}}
	r.c.configure(cronQueue())
	r.settings("loose", func(q *task.Queue) { q.Timeout = time.Hour })
	r.c.cronsLoaded(nil)
	return r
}

func (r *cronRig) create(d cron.Definition) cronAnswer {
	r.t.Helper()
	if err := d.Normalize(); err != nil {
		r.t.Fatal(err)
	}
	return r.call(func(answer func(cronAnswer)) { r.c.createCron(r.now, &d, answer) })
}

func (r *cronRig) operate(do cron.Do) cronAnswer {
	r.t.Helper()
	return r.call(func(answer func(cronAnswer)) { r.c.operateCron(r.now, "minutely", &cron.Operation{Do: do}, answer) })
}

// call asks the core for something, and answers its reads until it has answered.
func (r *cronRig) call(ask func(func(cronAnswer))) (got cronAnswer) {
	r.t.Helper()
	answered := false
	ask(func(a cronAnswer) { got, answered = a, true })
	r.settle()
	if !answered {
		r.t.Fatal("the core does not answer")
	}
	return got
}

// settle answers reads of records, commits, and gives what is emitted to the broker.
func (r *cronRig) settle() {
	r.t.Helper()
	for range 20 {
		r.read()
		r.commit()
		for ; r.published < len(r.outbox); r.published++ {
			row := r.outbox[r.published]
			x, err := task.Decode(row.Body)
			if err != nil {
				r.t.Fatal(err)
			}
			r.c.published([]*store.Outbox{row})
			if r.fired[x.ID]++; r.fired[x.ID] == 1 { // the broker knows repeats
				r.deliver(x)
			}
		}
	}
}

// read answers reads of records.
func (r *cronRig) read() {
	r.t.Helper()
	r.step()
	loads := r.loads
	r.loads = nil
	for _, k := range loads {
		var found []*store.Record
		for _, row := range r.table(store.TableRecord) {
			if record := row.(*store.Record); record.Key == k.Key && (k.Name == "" || record.Name == k.Name) {
				found = append(found, record)
			}
		}
		r.c.recordsLoaded(r.now, k.Key, k.Name, found, true)
	}
	r.step()
}

// until lets time pass to a moment.
func (r *cronRig) until(at time.Time) {
	r.t.Helper()
	r.pass(at.Sub(r.now))
	r.settle()
}

// again drops the core and claims the partition over what is durable.
func (r *cronRig) again() {
	r.t.Helper()
	r.batch, r.loads, r.schedule, r.sent = nil, nil, nil, nil
	r.outbox, r.published = nil, 0
	r.fence.Epoch++
	r.claim(nil)
	r.c.configure(cronQueue())
	values := map[string][]byte{} // there is one schedule
	for _, row := range r.table(store.TableRecord) {
		values[row.(*store.Record).Name] = row.(*store.Record).Value
	}
	s, err := cron.Decode(values[cron.RecordDefinition], values[cron.RecordState])
	if err != nil {
		r.t.Fatal(err)
	}
	r.c.cronsLoaded([]*cron.Schedule{s})
	for _, row := range r.table(store.TableOutbox) { // an owner publishes what is left
		r.outbox = append(r.outbox, row.(*store.Outbox))
	}
	r.settle()
}

func minutely() cron.Definition {
	return cron.Definition{Name: "minutely", Spec: "* * * * *", Queue: "loose", Payload: []byte("tick")}
}

func TestEachTickOfAScheduleIsOneTask(t *testing.T) {
	r := newCronRig(t)
	if a := r.create(minutely()); a.err != nil || a.same || !a.s.Next.Equal(rigStart.Add(time.Minute)) {
		t.Fatalf("created %+v", a)
	}
	for i := range 3 {
		r.until(rigStart.Add(time.Duration(i+1) * time.Minute))
		l := r.one()
		if string(l.Tasks[0].Payload) != "tick" {
			t.Fatalf("task %+v", l.Tasks[0].Task)
		}
		r.finish(l)
		r.settle()
	}
	s := r.call(func(answer func(cronAnswer)) { r.c.getCron("minutely", answer) }).s
	if s.Counts.Fired != 3 || len(s.Runs) != 3 || s.Runs[2].State != task.StateDone || s.Runs[2].EndedAt.IsZero() {
		t.Errorf("schedule %+v", s)
	}
}

func TestATickIsNotLostOrDoubledByACrash(t *testing.T) {
	r := newCronRig(t)
	d := minutely()
	d.Overlap = cron.OverlapAllow
	r.create(d)
	r.slots = 0
	for i := range 6 {
		at := rigStart.Add(time.Duration(i+1) * time.Minute)
		switch i % 3 {
		case 0: // the commit of the tick never happens
			r.now = at
			r.read()
			if r.batch == nil {
				t.Fatal("the tick is in no batch")
			}
			r.again()
		case 1: // it happens, and what is emitted is not published
			r.now = at
			r.read()
			r.commit()
			if r.published == len(r.outbox) {
				t.Fatal("nothing was emitted")
			}
			r.again()
		case 2: // the owner is another one after everything
			r.until(at)
			r.again()
		}
		r.until(at.Add(time.Second))
	}
	if len(r.fired) != 6 {
		t.Errorf("%d tasks for 6 ticks", len(r.fired))
	}
}

func TestOverlapsAreKnownByTheEndsOfTasks(t *testing.T) {
	for _, tc := range []struct {
		overlap cron.Overlap
		most    int
		tasks   int
	}{{cron.OverlapSkip, 1, 2}, {cron.OverlapQueue, 1, 4}, {cron.OverlapAllow, 3, 4}} {
		t.Run(string(tc.overlap), func(t *testing.T) {
			r := newCronRig(t)
			d := minutely()
			d.Overlap = tc.overlap
			r.create(d)
			r.until(rigStart.Add(time.Minute))
			r.until(rigStart.Add(2 * time.Minute))
			r.until(rigStart.Add(3 * time.Minute))
			if n := len(r.sent); n != tc.most {
				t.Fatalf("%d tasks run at a time, want %d", n, tc.most)
			}
			for range 4 {
				for _, l := range r.take() {
					r.finish(l)
				}
				r.settle()
			}
			r.until(rigStart.Add(4 * time.Minute))
			if len(r.fired)-messages(r) != tc.tasks {
				t.Errorf("%d tasks in all, want %d", len(r.fired)-messages(r), tc.tasks)
			}
		})
	}
}

// messages counts those to the schedule.
func messages(r *cronRig) (n int) {
	for _, row := range r.outbox {
		if x, err := task.Decode(row.Body); err == nil && x.Queue == cron.Queue {
			n++
		}
	}
	return n
}

func TestAScheduleOfAQueueThatIsGoneSaysSo(t *testing.T) {
	r := newCronRig(t)
	d := minutely()
	d.Queue = "nowhere"
	r.create(d)
	r.until(rigStart.Add(time.Minute))
	s := r.call(func(answer func(cronAnswer)) { r.c.getCron("minutely", answer) }).s
	if !strings.Contains(s.Problem, "nowhere") || len(r.fired) != 0 || s.Runs[0].State != task.StateDead {
		t.Errorf("schedule %+v", s)
	}
}

func TestOperationsOnSchedules(t *testing.T) {
	r := newCronRig(t)
	r.create(minutely())
	if a := r.create(minutely()); a.err != nil || !a.same {
		t.Errorf("created again: %+v", a)
	}
	other := minutely()
	other.Spec = "@hourly"
	if a := r.create(other); task.CodeOf(a.err) != task.CodeAlreadyExists {
		t.Errorf("another one: %v", a.err)
	}
	if a := r.operate(cron.DoPause); a.err != nil || !a.s.Paused {
		t.Errorf("paused: %+v", a)
	}
	r.until(rigStart.Add(5 * time.Minute))
	if len(r.fired) != 0 {
		t.Error("a paused schedule ticked")
	}
	if a := r.operate(cron.DoRun); a.err != nil || len(r.fired) != 1 {
		t.Errorf("run: %+v, %d tasks", a, len(r.fired))
	}
	r.finish(r.one())
	r.settle()
	r.operate(cron.DoResume)
	r.until(rigStart.Add(6 * time.Minute))
	r.finish(r.one())
	r.settle()
	if a := r.call(func(answer func(cronAnswer)) { r.c.deleteCron(r.now, "minutely", answer) }); a.err != nil {
		t.Errorf("deleted: %v", a.err)
	}
	n := len(r.fired)
	r.until(rigStart.Add(10 * time.Minute))
	if a := r.operate(cron.DoPause); task.CodeOf(a.err) != task.CodeNotFound || len(r.fired) != n {
		t.Errorf("a deleted schedule goes on: %v", a.err)
	}
	if left := len(r.table(store.TableRecord)); left != 0 {
		t.Errorf("%d records are left", left)
	}
}

func TestASchedulesThatWereFoundLateDoNotHideNewerOnes(t *testing.T) {
	r := newCronRig(t)
	r.create(minutely())
	old := r.call(func(answer func(cronAnswer)) { r.c.getCron("minutely", answer) }).s
	r.c.crons.loaded = false
	r.c.crons.gone = map[string]struct{}{}
	r.operate(cron.DoPause)
	r.c.cronsLoaded([]*cron.Schedule{old})
	if !r.c.crons.open["minutely"].Paused {
		t.Error("an older state is taken")
	}
	r.c.crons.loaded = false
	r.c.crons.gone = map[string]struct{}{}
	r.call(func(answer func(cronAnswer)) { r.c.deleteCron(r.now, "minutely", answer) })
	r.c.cronsLoaded([]*cron.Schedule{old})
	if len(r.c.crons.open) != 0 {
		t.Error("a deleted schedule came back")
	}
}

func (r *cronRig) minutely() *cron.Schedule {
	r.t.Helper()
	return r.call(func(answer func(cronAnswer)) { r.c.getCron("minutely", answer) }).s
}

// One round of the core has one time, and both calls are taken in it.
func TestTwoRunsByHandAtOneMomentDoNotStopASchedule(t *testing.T) {
	r := newCronRig(t)
	r.create(minutely())
	first := r.operate(cron.DoRun).s.Runs
	second := r.operate(cron.DoRun).s.Runs
	if a, b := first[len(first)-1], second[len(second)-1]; a.TaskID == b.TaskID {
		t.Errorf("both runs are task %s", a.TaskID)
	}
	for _, l := range r.take() {
		r.finish(l)
	}
	r.settle()
	for i := range 3 {
		r.until(rigStart.Add(time.Duration(i+1) * time.Minute))
		r.finish(r.one())
		r.settle()
	}
	if s := r.minutely(); s.Counts.Skipped != 0 || s.Counts.Fired != 5 {
		t.Errorf("its tasks have ended, and its counts are %+v", s.Counts)
	}
}

func TestAScheduleWakesThePartitionOnceHoweverOftenItChanges(t *testing.T) {
	r := newCronRig(t)
	d := minutely()
	d.Spec = "@yearly"
	r.create(d)
	before := len(r.c.alarms.heap)
	for range 50 {
		r.now = r.now.Add(time.Second)
		r.operate(cron.DoRun)
		r.finish(r.one())
		r.settle()
		r.operate(cron.DoPause)
		r.operate(cron.DoResume)
	}
	if n := len(r.c.alarms.heap); n != before {
		t.Errorf("%d alarms, %d before", n, before)
	}
	if n := len(r.c.crons.times.heap); n != 1 {
		t.Errorf("%d times for one schedule", n)
	}
	r.call(func(answer func(cronAnswer)) { r.c.deleteCron(r.now, "minutely", answer) })
	if at := r.c.crons.times.next(); !at.IsZero() {
		t.Errorf("it is deleted, and wakes the partition at %v", at)
	}
}

func TestTheTimesOfSchedulesComeInOrder(t *testing.T) {
	var x cronTimes
	at := func(minutes int) time.Time { return rigStart.Add(time.Duration(minutes) * time.Minute) }
	for i, name := range []string{"e", "b", "d", "a", "c"} {
		x.set(name, at(100-i))
	}
	x.set("gone", at(3))
	for i, name := range []string{"a", "b", "c", "d", "e"} {
		x.set(name, at(i))
	}
	x.set("gone", time.Time{})
	x.set("never there", time.Time{})
	for i, want := range []string{"a", "b", "c", "d", "e"} {
		if _, _, early := x.due(at(i).Add(-time.Second)); early || !x.next().Equal(at(i)) {
			t.Errorf("the next is at %v, want %v", x.next(), at(i))
		}
		if name, when, ok := x.due(at(i)); !ok || name != want || !when.Equal(at(i)) {
			t.Errorf("%q at %v, want %q at %v", name, when, want, at(i))
		}
	}
	if len(x.of)+len(x.heap) != 0 || !x.next().IsZero() {
		t.Error("something is left")
	}
}

// The schedule is on a node whose time zone database is too old for it, and then on
// one that knows the zone.
func TestAScheduleGoesOnWhenItsZoneIsKnownAgain(t *testing.T) {
	r := newCronRig(t)
	s := r.create(minutely()).s
	s.Definition.Zone = "Europe/Atlantis"
	definition, err := s.Definition.Encode()
	if err != nil {
		t.Fatal(err)
	}
	state, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if r.c.crons.open["minutely"], err = cron.Decode(definition, state); err != nil {
		t.Fatal(err)
	}
	r.until(rigStart.Add(3 * time.Minute))
	if s := r.minutely(); !strings.Contains(s.Problem, "Atlantis") || len(r.fired) != 0 || !r.c.crons.times.next().IsZero() {
		t.Fatalf("without its zone: %+v", s)
	}
	r.again() // what is durable has the zone that the definition had first
	r.until(rigStart.Add(4 * time.Minute))
	if s := r.minutely(); s.Problem != "" || s.Counts.Missed != 2 || s.Counts.Fired == 0 || !s.Next.Equal(rigStart.Add(5*time.Minute)) {
		t.Errorf("with its zone: %+v", s)
	}
}
