package partition

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// priorities are all there are, by the first letter of their tasks' names.
var priorities = map[byte]task.Priority{'h': task.PriorityHigh, 'n': task.PriorityNormal, 'l': task.PriorityLow}

// newPriorityRig returns a rig whose queues have priorities, and whose worker has one
// slot.
func newPriorityRig(t *testing.T, change func(*coreConfig)) *rig {
	t.Helper()
	r := newRig(t, change)
	r.prioritize(task.SwitchOn)
	r.slots = 1
	return r
}

func (r *rig) prioritize(to task.Switch) {
	for _, name := range []string{"keyed", "loose"} {
		r.settings(name, func(q *task.Queue) { q.Merge(task.Queue{Priorities: to}) })
	}
}

// urgent makes a task whose priority is told by its name.
func urgent(queue, key, name string) task.Task {
	t := newTask(queue, key, name)
	t.Priority = priorities[name[0]]
	return t
}

// starts finishes leases, one after another, until n tasks have started, and returns
// the first letters of their names.
func (r *rig) starts(n int) string {
	r.t.Helper()
	var b strings.Builder
	for b.Len() < n {
		sent := r.take()
		if len(sent) == 0 {
			r.t.Fatalf("nothing starts any more after %q: %s, %s", b.String(), leftOf(r.c.queues["loose"]), leftOf(r.c.queues["keyed"]))
		}
		for _, l := range sent {
			for i := range l.Tasks {
				b.WriteByte(l.Tasks[i].Payload[0])
			}
			r.finish(l)
		}
		r.room()
	}
	return b.String()
}

// room says that workers have some.
func (r *rig) room() {
	for _, name := range []string{"keyed", "loose"} {
		r.c.capacity(name, task.Placement{}, 0)
	}
	r.step()
	r.commit()
}

func counts(started string) [3]int {
	return [3]int{strings.Count(started, "h"), strings.Count(started, "n"), strings.Count(started, "l")}
}

// fill delivers n tasks of each of some priorities, those of the last ones first.
func (r *rig) fill(queue, of string, n int, keyed bool) {
	for _, letter := range slices.Backward([]byte(of)) {
		for i := range n {
			name, key := fmt.Sprintf("%c %s %d", letter, queue, i), ""
			if keyed {
				key = name
			}
			r.deliver(urgent(queue, key, name))
		}
	}
}

func TestPrioritiesTakeWeightedTurns(t *testing.T) {
	for _, c := range []struct {
		of    string
		tasks int // of each
		want  [3]int
	}{
		{"hnl", 700, [3]int{600, 300, 100}},
		{"hn", 700, [3]int{667, 333, 0}},
		{"nl", 800, [3]int{0, 750, 250}},
		{"hl", 900, [3]int{858, 0, 142}},
		{"l", 1000, [3]int{0, 0, 1000}},
	} {
		for _, queue := range []string{"loose", "keyed"} {
			t.Run(c.of+" "+queue, func(t *testing.T) {
				r := newPriorityRig(t, func(cfg *coreConfig) { cfg.Window.Tasks = 4000 })
				r.slots = 0
				r.fill(queue, c.of, c.tasks, queue == "keyed")
				r.slots = 1
				r.room()
				got := counts(r.starts(1000))
				for i := range got {
					if got[i] < c.want[i]-1 || got[i] > c.want[i]+1 {
						t.Errorf("%v of high, normal and low started, want %v", got, c.want)
					}
				}
			})
		}
	}
}

func TestAnUrgentTaskStartsBeforeABacklogThatCameFirst(t *testing.T) {
	r := newPriorityRig(t, nil)
	r.fill("loose", "l", 900, false)
	low := r.one()
	r.deliver(urgent("loose", "", "h"))
	r.finish(low)
	r.room()
	if next := r.one(); string(next.Tasks[0].Payload) != "h" {
		t.Errorf("%s is next", names([]*task.Lease{next}))
	}
}

func TestTurnsThatNobodyTookAreNotMadeUpForLater(t *testing.T) {
	r := newPriorityRig(t, nil)
	r.slots = 0
	r.fill("loose", "n", 900, false)
	r.slots = 1
	r.room()
	r.starts(300)
	r.fill("loose", "hl", 200, false)
	got := counts(r.starts(200))
	if got[0] < 118 || got[1] < 58 || got[2] < 18 {
		t.Errorf("%v of high, normal and low started after a time of normal ones only", got)
	}
}

func TestABandThatWasAloneOwesNoMoreThanATurn(t *testing.T) {
	r := newPriorityRig(t, func(cfg *coreConfig) { cfg.Window.Tasks = 4000 })
	r.slots = 0
	r.fill("loose", "h", maxLeaseTasks, false)
	r.slots = maxLeaseTasks
	r.room()
	alone := r.one()
	if len(alone.Tasks) != maxLeaseTasks {
		t.Fatalf("%d tasks in one lease", len(alone.Tasks))
	}
	r.slots = 0
	r.finish(alone)
	r.slots = 0
	r.fill("loose", "l", 200, false)
	r.deliver(urgent("loose", "", "h urgent"))
	r.slots = 1
	r.room()
	started := r.starts(100)
	if at := strings.IndexByte(started, 'h'); at < 0 || at > turnTasks {
		t.Errorf("%d low ones started before an urgent one", at)
	}
}

func TestALargeWorkerIsNotFilledByOneBandWhileOthersWait(t *testing.T) {
	r := newPriorityRig(t, func(cfg *coreConfig) { cfg.Window.Tasks = 4000 })
	r.slots = 0
	r.fill("loose", "hnl", 900, false)
	r.slots = 320
	r.room()
	var started string
	for _, l := range r.take() {
		for i := range l.Tasks {
			started += string(l.Tasks[i].Payload[:1])
		}
	}
	if got := counts(started); got != [3]int{192, 96, 32} {
		t.Errorf("%v of high, normal and low started at once, want 6:3:1", got)
	}
}

func TestTheOrderOfAKeyIsKeptWhateverThePriorities(t *testing.T) {
	r := newPriorityRig(t, nil)
	var want []string
	for i := range 60 {
		name := fmt.Sprintf("%c%d", "lnh"[i%3], i)
		want = append(want, name)
		r.deliver(urgent("keyed", "k", name), urgent("keyed", "other", "h other "+name))
	}
	var got []string
	for len(got) < len(want) {
		for _, l := range r.take() {
			if l.Tasks[0].Key == "k" {
				for i := range l.Tasks {
					got = append(got, string(l.Tasks[i].Payload))
				}
			}
			r.finish(l)
		}
		r.room()
	}
	if !slices.Equal(got, want) {
		t.Errorf("they ran as %v", got)
	}
}

func TestALaneTakesTheTurnsOfItsFirstTask(t *testing.T) {
	r := newPriorityRig(t, nil)
	r.settings("keyed", func(q *task.Queue) { q.Batch = 1 })
	r.slots = 0
	r.deliver(urgent("keyed", "mixed", "l1"), urgent("keyed", "mixed", "h1"), urgent("keyed", "high", "h2"), urgent("keyed", "high", "l2"), urgent("keyed", "normal", "n1"))
	r.slots = 1
	r.room()
	if got := r.starts(5); got != "hnlhl" {
		t.Errorf("they ran as %s: h2 is first, then n1 and l1 of the lanes that have none before; then what they held up", got)
	}
	r.wantEmpty()
}

func TestWithoutPrioritiesOneLogIsReadInOrder(t *testing.T) {
	r := newRig(t, nil)
	r.slots = 0
	r.deliver(urgent("loose", "", "l1"), urgent("loose", "", "n1"), urgent("loose", "", "h1"))
	r.slots = 1
	r.room()
	if got := r.starts(3); got != "lnh" {
		t.Errorf("they ran as %s", got)
	}
	if n := len(r.c.queues["loose"].bands); n != 1 {
		t.Errorf("%d bands", n)
	}
	r.wantEmpty()
}

func TestWhatTheBandsHoldDrainsAfterPrioritiesAreOff(t *testing.T) {
	r := newPriorityRig(t, nil)
	r.slots = 0
	r.fill("loose", "hnl", 5, false)
	r.fill("keyed", "hnl", 5, true)
	r.prioritize(task.SwitchOff)
	r.deliver(urgent("loose", "", "h late"), urgent("keyed", "late", "l late"))
	r.slots = 1
	r.room()
	if got := counts(r.starts(32)); got != [3]int{11, 10, 11} {
		t.Errorf("%v ran", got)
	}
	r.wantEmpty()
}

func TestEachLogHasAWindowOfItsOwn(t *testing.T) {
	r := newPriorityRig(t, func(cfg *coreConfig) { cfg.Window.Tasks = 10 })
	r.slots = 0
	r.fill("loose", "hnl", 8, false)
	for _, b := range r.c.queues["loose"].bands {
		if b.held.Tasks != 8 {
			t.Errorf("log %s: %d tasks are held", b.log, b.held.Tasks)
		}
	}
}

func TestWhatWaitsForItsTurnForLongIsNotSetAside(t *testing.T) {
	r := newPriorityRig(t, func(cfg *coreConfig) { cfg.Window.Tasks = 10 })
	r.slots = 0
	r.fill("loose", "hl", 10, false)
	r.slots = 1
	r.room()
	first := r.one()
	for turn := range 9 {
		r.now = r.now.Add(time.Second)
		r.finish(first)
		r.room()
		if first = r.one(); turn > 3 && first.Tasks[0].Payload[0] == 'l' {
			break
		}
	}
	if n := len(r.table(store.TableParked)); n != 0 || first.Tasks[0].Payload[0] != 'l' {
		t.Errorf("%d tasks were parked, though workers take tasks that ask the same; %s is next", n, names([]*task.Lease{first}))
	}
}

func TestParkedTasksKeepTheirPriorityOverARestart(t *testing.T) {
	r := newPriorityRig(t, func(cfg *coreConfig) { cfg.Window.Tasks = 8 })
	r.slots = 0
	for _, name := range []string{"l1", "l2", "n1", "n2", "h1", "h2"} {
		x := urgent("loose", "", name)
		x.Placement.Require = "gpu"
		r.deliver(x)
	}
	q := r.c.queues["loose"]
	for _, cl := range q.classes {
		r.c.evict(r.now, cl.shared, 0)
	}
	r.step()
	r.commit()
	classes := map[string]int{}
	for _, row := range r.table(store.TableParked) {
		classes[row.(*store.Parked).Class]++
	}
	if fmt.Sprint(classes) != "map[gpu:2 gpu  high:2 gpu  low:2]" {
		t.Errorf("they are parked as %v", classes)
	}
	r.now = r.now.Add(time.Minute)
	r.claim(nil)
	r.prioritize(task.SwitchOn)
	r.restore()
	w := r.join(6, map[string]string{"gpu": ""})
	r.c.capacity("loose", task.Placement{Require: "gpu"}, 0)
	r.step()
	for len(r.parked) > 0 {
		r.page(10)
	}
	if got := names(r.take()); got != "[[h1 h2] [l1 l2] [n1 n2]]" {
		t.Errorf("%s, %d slots are left", got, w.slots)
	}
}

func TestRowsOfBeforePrioritiesAreReadAsNormal(t *testing.T) {
	q := &queue{Queue: task.DefaultQueue("q"), kept: 9, sweepAt: 9}
	q.addBand(rankNormal)
	for _, c := range []struct {
		class string
		rank  rank
		own   task.Placement
	}{
		{"", rankNormal, task.Placement{}},
		{"gpu", rankNormal, task.Placement{Require: "gpu"}},
		{"gpu zone=a", rankNormal, task.Placement{Require: "gpu", Prefer: "zone=a"}},
		{" zone=a", rankNormal, task.Placement{Prefer: "zone=a"}},
		{"  high", rankHigh, task.Placement{}},
		{"gpu zone=a low", rankLow, task.Placement{Require: "gpu", Prefer: "zone=a"}},
		{" zone=a high", rankHigh, task.Placement{Prefer: "zone=a"}},
	} {
		cl := q.classNamed(c.class)
		if cl.band.rank != c.rank || cl.own != c.own || cl.name != c.class || q.classNamed(c.class) != cl {
			t.Errorf("class %q: %+v of band %d, named %q", c.class, cl.own, cl.band.rank, cl.name)
		}
	}
}

func TestAPurgeReachesTheEndOfEveryLog(t *testing.T) {
	r := newPriorityRig(t, nil)
	r.slots = 0
	p, reached := r.purging("loose", nil)
	marks := map[byte]task.Task{}
	for letter, priority := range priorities {
		m := marker("loose")
		m.ID, m.Priority = task.DeriveID("marker", string(letter)), priority
		marks[letter] = m
		p.markers[m.ID] = struct{}{}
	}
	delete(p.markers, task.DeriveID("marker"))
	r.fill("loose", "hnl", 2, false)
	for _, letter := range []byte("lnh") {
		if *reached {
			t.Fatalf("it ended before the marker of %c came", letter)
		}
		r.deliver(marks[letter])
		r.commit()
	}
	if !*reached || p.removed.Queued != 6 {
		t.Errorf("reached %v, %d tasks were taken out", *reached, p.removed.Queued)
	}
	r.wantCancelled("h loose 0", "h loose 1", "n loose 0", "n loose 1", "l loose 0", "l loose 1")
	r.c.queues["loose"].purge = nil
	r.wantEmpty()
}

func TestATaskIsCancelledThatIsNotReadFromTheLogOfItsBand(t *testing.T) {
	r := newPriorityRig(t, nil)
	call := &cancelCall{}
	x := &cancelling{why: "not needed", answer: func(results []CancelResult) { call.answered, call.results = true, results }}
	x.results = []CancelResult{{ID: task.DeriveID("h1")}}
	x.places = []place{{Located: broker.Located{Queue: "loose", Position: 7}, rank: rankHigh}}
	r.begun = 1
	r.c.cancel(r.now, x)
	r.step()
	if got := r.until(call); got[0].State != task.StateCancelled {
		t.Fatalf("%+v", got)
	}
	log := bandLog("loose", rankHigh)
	row, _ := r.rows[fmt.Sprint(store.TableDedup, " ", unreadID(log))].(*store.Dedup)
	if row == nil || row.Ref != 7 {
		t.Errorf("the row of log %s is %+v", log, row)
	}
	r.deliver(urgent("loose", "", "n1")) // a batch of another log does not make it known
	r.finish(r.one())
	r.deliver(urgent("loose", "", "h1"))
	if sent := r.take(); len(sent) != 0 {
		t.Errorf("%s is handed out", names(sent))
	}
	r.commit()
	r.wantCancelled("h1")
	r.wantEmpty()
}

func TestScheduledTasksOfABandFindRoomBesideThoseOfOthers(t *testing.T) {
	r := newPriorityRig(t, func(cfg *coreConfig) { cfg.Stored.Tasks, cfg.Stored.Bytes = 4, 1<<20 })
	r.slots = 0
	due := r.now.Add(time.Minute)
	for i := range 12 {
		x := urgent("loose", "", fmt.Sprintf("l%d", i))
		x.RunAt = due
		r.deliver(x)
	}
	high := urgent("loose", "", "h")
	high.RunAt = due.Add(time.Second)
	r.deliver(high)
	r.commit()
	for len(r.schedule) > 0 {
		r.rowsDue()
	}
	r.pass(2 * time.Minute)
	for len(r.schedule) > 0 {
		r.rowsDue()
	}
	b := r.c.queues["loose"].bands
	if b[rankHigh].stored.Tasks != 1 || b[rankNormal].stored.Tasks != 0 || b[rankLow].stored.Tasks == 0 {
		t.Errorf("stored: high %+v, normal %+v, low %+v", b[rankHigh].stored, b[rankNormal].stored, b[rankLow].stored)
	}
	r.slots = 1
	r.room()
	if got := r.one(); string(got.Tasks[0].Payload) != "h" {
		t.Errorf("%s is next", names([]*task.Lease{got}))
	}
}

func TestAParkedTaskIsCancelledInItsRowAlsoAfterPrioritiesAreOff(t *testing.T) {
	r := newPriorityRig(t, nil)
	r.slots = 0
	r.deliver(urgent("loose", "", "h1"), urgent("loose", "", "h2"))
	r.c.evict(r.now, r.c.queues["loose"].bands[rankHigh].plain.shared, 0)
	r.step()
	r.commit()
	r.prioritize(task.SwitchOff)
	if got := r.cancel("h1"); got[0].State != task.StateCancelled {
		t.Fatalf("%+v", got)
	}
	if rows := r.table(store.TableParked); len(rows) != 1 {
		t.Errorf("%d rows are parked", len(rows))
	}
	r.slots = 1
	r.room()
	for len(r.parked) > 0 {
		r.page(10)
	}
	if got := r.starts(1); got != "h" {
		t.Errorf("%s started", got)
	}
	r.wantEmpty()
}
