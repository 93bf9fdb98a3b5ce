package partition

import (
	"errors"
	"fmt"
	"slices"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// execution is one run of a handler that ended well.
type execution struct {
	id      string
	task    task.ID
	ref     task.LeaseRef
	session uint64
	worker  string
	reads   []change
	writes  []change
	emits   []task.ID
}

// change is what a handler saw of a record, and what it made of it.
type change struct {
	name   cellName
	before string
	was    bool
	after  string
	is     bool
}

// life is what the model knows of a task.
type life struct {
	task      task.Task
	confirmed bool
	state     task.State // final, or zero
	waits     bool       // in a schedule or parked row
	attempts  int        // durable
	token     uint64     // of its latest lease
	epoch     uint64
	sends     int        // hand-outs by owners that were not replaced
	returns   int        // of them, those that were given back unbegun
	ran       *execution // the latest that ended well
	moved     bool       // it was a dead letter, and came back behind others of its key
	revived   bool       // it was a dead letter, and came back: a time that was over does not end it
	back      uint64     // token of its latest lease when it was a dead letter that came back
}

// model watches everything that becomes durable and everything that is said, and
// knows nothing of how the core works.
type model struct {
	w       *world
	tasks   map[task.ID]*life
	order   []task.ID
	lines   map[[2]string][]task.ID // by queue and key, in the order of the log
	parts   [simPartitions]*modelPart
	runs    map[string]*execution
	deleted map[deletion]*execution // latest that said so
	wrote   map[string]bool         // direct writes, true once durable
	held    map[task.LeaseRef]uint64
	sends   map[task.LeaseRef]*task.Lease
	given   map[givenBack]bool
	valid   map[task.LeaseRef]bool // was sent by an owner that was not replaced
}

// deletion names a record that a session deleted: two queues may have tasks of its
// key, at two workers.
type deletion struct {
	name    cellName
	session uint64
}

// givenBack names a task of a lease.
type givenBack struct {
	ref   task.LeaseRef
	index int
}

type modelPart struct {
	fence   store.Fence
	token   uint64
	epoch   uint64
	serial  int
	pending []started // admitted, not known to be durable
	early   []early
	records map[cellName]*history
	oplog   []*store.OpLog
	rows    [store.TableDead + 1]map[string]store.Row
}

type started struct {
	serial int
	batch  store.Batch
	late   bool // its owner had been replaced
}

// early is a record that travelled before it was durable.
type early struct {
	name  cellName
	state state
	epoch uint64
}

// history is every state that a record durably had, oldest first.
type history struct{ states []state }

type state struct {
	version uint64
	value   string
}

func (h *history) now() state {
	if h == nil || len(h.states) == 0 {
		return state{}
	}
	return h.states[len(h.states)-1]
}

func newModel(w *world) *model {
	m := &model{
		w: w, tasks: map[task.ID]*life{}, lines: map[[2]string][]task.ID{}, runs: map[string]*execution{}, deleted: map[deletion]*execution{}, wrote: map[string]bool{},
		held: map[task.LeaseRef]uint64{}, sends: map[task.LeaseRef]*task.Lease{},
		given: map[givenBack]bool{}, valid: map[task.LeaseRef]bool{},
	}
	for i := range m.parts {
		m.parts[i] = &modelPart{records: map[cellName]*history{}}
		for t := range m.parts[i].rows {
			m.parts[i].rows[t] = map[string]store.Row{}
		}
	}
	return m
}

// logged says that the broker has a task.
func (m *model) logged(id task.ID, body []byte) {
	if m.tasks[id] != nil && m.tasks[id].task.Queue != "" {
		return
	}
	t, err := task.Decode(body)
	m.w.must(err)
	if l := m.tasks[id]; l != nil {
		l.task = t
	} else {
		m.tasks[id] = &life{task: t}
		m.order = append(m.order, id)
	}
	if t.Key != "" && t.Queue != "loose" && t.RunAt.IsZero() {
		line := [2]string{t.Queue, t.Key}
		m.lines[line] = append(m.lines[line], id)
	}
}

func (m *model) confirmed(id task.ID) { m.tasks[id].confirmed = true }

// open returns the tasks that did not end yet.
func (m *model) open() (open []task.ID) {
	for _, id := range m.order {
		if !m.tasks[id].state.Final() {
			open = append(open, id)
		}
	}
	return open
}

// others returns the open tasks that need no gpu, and come after none that does.
func (m *model) others() (others []task.ID) {
	needs := func(t *task.Task) bool {
		return !slices.ContainsFunc(m.w.needed(), func(labels map[string]string) bool { return t.Placement.Require.Matches(labels) })
	}
	behind := map[[2]string]bool{}
	open := m.open()
	for _, id := range open {
		if t := &m.tasks[id].task; needs(t) && t.Key != "" && t.Queue != "loose" {
			behind[[2]string{t.Queue, t.Key}] = true
		}
	}
	for _, id := range open {
		if t := &m.tasks[id].task; t.Queue == "" || !needs(t) && !behind[[2]string{t.Queue, t.Key}] {
			others = append(others, id)
		}
	}
	return others
}

func (m *model) describe(id task.ID) string {
	l := m.tasks[id]
	return fmt.Sprintf("%v of queue %s, key %q, run at %v, %d attempts, waits %v, spec %+v", id, l.task.Queue, l.task.Key, l.task.RunAt,
		l.attempts, l.waits, m.w.specOf(&l.task))
}

// claimed says that a partition was claimed with this fence. What of the batches
// before is not behind it never happened.
func (m *model) claimed(part int, fence store.Fence) {
	p := m.parts[part]
	for len(p.pending) > 0 {
		first := p.pending[0]
		if !first.late && first.batch.Next.HLC <= fence.HLC {
			m.durable(part, first.serial)
			continue
		}
		p.pending = p.pending[1:]
	}
	if fence.Epoch <= p.epoch {
		m.w.failf("epoch %d was claimed after %d", fence.Epoch, p.epoch)
	}
	p.epoch = fence.Epoch
}

// started says that a batch was handed to the store.
func (m *model) started(part int, b store.Batch) int {
	p := m.parts[part]
	p.serial++
	p.pending = append(p.pending, started{p.serial, b, b.Next.Epoch != p.epoch})
	return p.serial
}

func (m *model) refused(part, serial int) {
	p := m.parts[part]
	p.pending = slices.DeleteFunc(p.pending, func(s started) bool { return s.serial == serial })
}

// durable says that a batch happened: everything that it says is checked.
func (m *model) durable(part, serial int) {
	p := m.parts[part]
	i := slices.IndexFunc(p.pending, func(s started) bool { return s.serial == serial })
	if i < 0 {
		m.w.failf("part %d: a batch became durable after it was lost", part)
	}
	b, late := p.pending[i].batch, p.pending[i].late
	p.pending = slices.Delete(p.pending, i, i+1)
	if late {
		m.w.failf("part %d: a commit of epoch %d, which had been replaced", part, b.Next.Epoch)
	}
	if b.Prev.Seq != p.fence.Seq || b.Prev.HLC != p.fence.HLC || b.Next.HLC <= b.Prev.HLC {
		m.w.failf("part %d: a batch follows %+v, the head is %+v", part, b.Prev, p.fence)
	}
	c := checking{m: m, p: p, batch: &b, part: part, epoch: b.Next.Epoch, changed: map[cellName]*store.OpLog{}, ops: map[task.ID][]op{}, emits: map[task.ID]bool{}}
	for _, row := range b.Puts {
		c.put(row)
	}
	for _, row := range b.Deletes {
		c.remove(row)
	}
	c.end(&b)
	p.arrives(m, &b)
	p.fence = b.Next
}

// ran registers an execution.
func (m *model) ran(x *execution) {
	m.runs[x.id] = x
	if l := m.tasks[x.task]; x.ref.Token == l.token { // Else it is that of a worker that lost it.
		l.ran = x
	}
	for _, c := range x.writes {
		if !c.is {
			m.deleted[deletion{c.name, x.session}] = x
		}
	}
}

// sent checks a lease as it leaves the owner.
func (m *model) sent(o *simOwner, session uint64, lease *task.Lease) {
	p := m.parts[lease.Partition]
	m.sends[lease.LeaseRef] = lease
	m.w.tally.leases++
	if lease.Epoch == p.epoch && lease.Token <= p.token {
		m.w.failf("token %d was given after %d", lease.Token, p.token)
	}
	if lease.Epoch != p.epoch {
		return // it was replaced and does not know; nothing of this can commit
	}
	p.token = lease.Token
	m.valid[lease.LeaseRef] = true
	m.checkCore(o, lease)
	m.fits(o, session, lease)
	m.mayStart(o, lease)
	here := map[task.ID]bool{}
	for i := range lease.Tasks {
		t := &lease.Tasks[i]
		l := m.tasks[t.ID]
		switch {
		case l == nil:
			m.w.failf("task %v from nowhere is leased", t.ID)
		case l.state.Final():
			m.w.failf("task %v is leased after it ended as %v", t.ID, l.state)
		case t.Attempt <= l.attempts:
			m.w.failf("task %v is leased as attempt %d after %d failed", t.ID, t.Attempt, l.attempts)
		case t.RunAt.After(m.w.latest):
			m.w.failf("task %v is leased before its time", t.ID)
		case !t.ExpiresAt.IsZero() && !t.ExpiresAt.After(m.w.Now()):
			m.w.failf("task %v is leased after it expired", t.ID)
		}
		l.token, l.epoch = lease.Token, lease.Epoch
		l.sends++
		if counted := l.sends - l.returns; t.Delivery > counted || t.Attempt > counted {
			m.w.failf("task %v is leased as delivery %d and attempt %d, it was handed out %d times and given back %d times",
				t.ID, t.Delivery, t.Attempt, l.sends, l.returns)
		}
		if lease.Ordered {
			m.startsInOrder(session, lease, t, here)
		}
		here[t.ID] = true
	}
	if lease.Ordered {
		m.travels(p, session, lease)
	}
}

// fits holds that a worker has the labels that all tasks of a lease, and their
// queue, ask for, and that these tasks ask for the same.
func (m *model) fits(o *simOwner, session uint64, lease *task.Lease) {
	labels := m.w.pool.sessions[session].labels
	for i := range lease.Tasks {
		t := &lease.Tasks[i]
		if t.Placement != lease.Tasks[0].Placement {
			m.w.failf("tasks %v and %v of one lease ask for %+v and %+v", lease.Tasks[0].ID, t.ID, lease.Tasks[0].Placement, t.Placement)
		}
		if !t.Placement.Require.Matches(labels) || !o.core.queues[lease.Queue].Placement.Require.Matches(labels) {
			m.w.failf("task %v goes to session %d with labels %v, it asks for %+v and its queue for %+v",
				t.ID, session, labels, t.Placement, o.core.queues[lease.Queue].Placement)
		}
		if t.Placement != (task.Placement{}) {
			m.w.tally.placed++
		}
	}
}

// gives says that a worker gives a task back. It may still run it, when it is told
// of a conflict a second time.
func (m *model) gives(ref task.LeaseRef, index int) { m.given[givenBack{ref, index}] = true }

// took says that a task was accepted back, and in an ordered lease all after it.
func (m *model) took(lease *task.Lease, index int) {
	if !m.valid[lease.LeaseRef] {
		return
	}
	back := lease.Tasks[index : index+1]
	if lease.Ordered {
		back = lease.Tasks[index:]
	}
	for i := range back {
		m.tasks[back[i].ID].returns++
	}
	m.w.tally.returned++
}

// startsInOrder holds that everything that came before a task of its key ended
// durably, or goes before it in the same lease, or was done by the same worker in
// one of the few leases before.
func (m *model) startsInOrder(session uint64, lease *task.Lease, t *task.Leased, here map[task.ID]bool) {
	if !t.RunAt.IsZero() {
		return
	}
	ahead := map[uint64]bool{}
	for _, id := range m.lines[[2]string{t.Queue, t.Key}] {
		if id == t.ID {
			return
		}
		l := m.tasks[id]
		if l.moved || m.tasks[t.ID].moved {
			continue
		}
		expired := !l.task.ExpiresAt.IsZero() && !l.task.ExpiresAt.After(m.w.latest)
		if l.state.Final() || here[id] || expired {
			continue
		}
		if !m.justDone(l, session, lease) {
			m.w.failf("task %v starts before task %v of the same key, which came first", t.ID, id)
		}
		if len(ahead) == 0 {
			m.w.tally.ahead++
		}
		if ahead[l.token] = true; len(ahead) > maxAhead {
			m.w.failf("task %v starts before %d leases of the same key are durable", t.ID, len(ahead))
		}
	}
}

// justDone reports whether the worker that gets a lease says of itself that it has
// done a task, under the same owner.
func (m *model) justDone(l *life, session uint64, lease *task.Lease) bool {
	x := l.ran
	return x != nil && x.session == session && x.ref.Epoch == lease.Epoch && x.ref.Token == l.token && l.epoch == lease.Epoch
}

// travels holds that records that travel with a lease are current, and durable but
// for what the same worker wrote just before.
func (m *model) travels(p *modelPart, session uint64, lease *task.Lease) {
	for _, r := range lease.Records {
		n := cellName{r.Key, r.Name}
		now := p.records[n].now()
		if now.version == r.Version && now.value == string(r.Value) {
			continue
		}
		if r.Version <= now.version || !m.justWrote(&r, session, lease) {
			m.w.failf("record %s/%s travels with version %d, durable is %d", r.Key, r.Name, r.Version, now.version)
		}
		p.early = append(p.early, early{n, state{r.Version, string(r.Value)}, lease.Epoch})
		m.w.tally.early++
	}
	if !lease.Complete {
		return
	}
	for _, name := range simNames {
		n := cellName{lease.Tasks[0].Key, name}
		if p.records[n].now().version != 0 && !slices.ContainsFunc(lease.Records, func(r task.Record) bool { return r.Name == name }) && !m.justDeleted(n, session, lease) {
			m.w.failf("record %v is missing from a lease that says it has all", n)
		}
	}
}

// justWrote reports whether a record is what the worker wrote that gets a lease.
func (m *model) justWrote(r *task.Record, session uint64, lease *task.Lease) bool {
	l := m.tasks[r.TaskID]
	return l != nil && m.justDone(l, session, lease) && slices.ContainsFunc(l.ran.writes, func(c change) bool {
		return c.name == cellName{r.Key, r.Name} && c.is && c.after == string(r.Value)
	})
}

// justDeleted reports whether the worker that gets a lease has deleted a record in a
// task that is not durable yet.
func (m *model) justDeleted(n cellName, session uint64, lease *task.Lease) bool {
	x := m.deleted[deletion{n, session}]
	return x != nil && x.session == session && x.ref.Epoch == lease.Epoch && !m.tasks[x.task].state.Final() && m.tasks[x.task].ran == x
}

// arrives holds that what travelled early became durable as it was, before anything
// after it did.
func (p *modelPart) arrives(m *model, b *store.Batch) {
	p.early = slices.DeleteFunc(p.early, func(e early) bool {
		if e.epoch == b.Next.Epoch && e.state.version <= b.Next.Seq && !slices.Contains(p.records[e.name].states, e.state) {
			m.w.failf("record %v travelled with version %d, and never had it", e.name, e.state.version)
		}
		return e.epoch != b.Next.Epoch || e.state.version <= b.Next.Seq
	})
}

// checkCore looks into the core: one lease a key.
func (m *model) checkCore(o *simOwner, lease *task.Lease) {
	if !lease.Ordered {
		return
	}
	for token, ls := range o.core.leases {
		if token != lease.Token && ls.lane.ordered && ls.lane.key == lease.Tasks[0].Key && ls.lane.q.Name == lease.Queue {
			m.w.failf("leases %d and %d of key %s are open at a time", token, lease.Token, ls.lane.key)
		}
	}
	if len(lease.Tasks) > o.core.queues[lease.Queue].Batch {
		m.w.failf("lease %d has %d tasks", lease.Token, len(lease.Tasks))
	}
}

// begun says that a worker received a lease.
func (m *model) begun(s *simSession, lease *task.Lease) {
	if other, ok := m.held[lease.LeaseRef]; ok {
		m.w.failf("lease %d was given to sessions %d and %d", lease.Token, other, s.id)
	}
	m.held[lease.LeaseRef] = s.id
}

// answered checks that what a verdict promises is durable.
func (m *model) answered(v task.Verdict) {
	m.w.tally.verdicts[v.Kind]++
	if v.Kind != task.VerdictCommitted && v.Kind != task.VerdictRefused {
		return
	}
	lease := m.sends[v.LeaseRef]
	for i := v.First; i < v.First+v.Count; i++ {
		t := &lease.Tasks[i]
		l := m.tasks[t.ID]
		// An owner that was replaced may be told late of what was durable before a dead
		// letter came back.
		durable := l.state.Final() || l.attempts >= t.Attempt || v.Token <= l.back
		switch {
		case !durable && v.Kind == task.VerdictCommitted && m.given[givenBack{v.LeaseRef, i}]:
			m.took(lease, i)
		case !durable:
			m.w.failf("the outcome of task %v was confirmed and is not durable", t.ID)
		}
	}
}

// settled checks that the store has what the broker may forget.
func (m *model) settled(e *simEntry) {
	l := m.tasks[e.id]
	if l.state.Final() || l.waits {
		return
	}
	for _, name := range m.w.broker.names {
		for _, other := range m.w.broker.logs[name].entries {
			if other != e && other.id == e.id && !other.settled {
				return // another copy
			}
		}
	}
	m.w.failf("task %v was settled with the broker, and the store does not have it", e.id)
}

// record is a record's durable state.
func (m *model) record(part int, key, name string) state {
	return m.parts[part].records[cellName{key, name}].now()
}

// mark is a place in a record's history.
func (m *model) mark(part int, key, name string) int {
	if h := m.parts[part].records[cellName{key, name}]; h != nil {
		return len(h.states)
	}
	return 0
}

// sawRecord checks an answer: a durable state, not older than the question.
func (m *model) sawRecord(part int, key, name string, since int, r task.Record) {
	states := []state{{}}
	if h := m.parts[part].records[cellName{key, name}]; h != nil {
		states = append(states, h.states...)
	}
	if !slices.Contains(states[since:], state{r.Version, string(r.Value)}) {
		m.w.failf("a reader saw record %s/%s with version %d, which is not durable or too old", key, name, r.Version)
	}
}

func (m *model) direct(wr task.Write) {
	if !wr.Delete {
		m.wrote[string(wr.Value)] = false
	}
}

func (m *model) wroteRecord(part int, wr task.Write, version uint64, err error) {
	var refusal *task.Error
	switch {
	case errors.As(err, &refusal) && refusal.Code == task.CodeConflict:
	case err != nil:
		m.w.failf("direct write: %v", err)
	case wr.Delete:
	default:
		if h := m.parts[part].records[cellName{wr.Key, wr.Name}]; h == nil || !slices.Contains(h.states, state{version, string(wr.Value)}) {
			m.w.failf("a direct write of %s/%s was confirmed with version %d and is not durable", wr.Key, wr.Name, version)
		}
	}
}

// finish holds what must be true when every task ended.
func (m *model) finish() {
	for part, p := range m.parts {
		m.nothingExpires(part)
		for table := store.TableRecord; table <= store.TableDead; table++ {
			m.compare(part, table, p.rows[table])
		}
		for _, table := range []store.Table{store.TableSchedule, store.TableParked, store.TableAttempt, store.TableOutbox} {
			for name := range p.rows[table] {
				m.w.failf("part %d: %s row %s is left behind", part, table, name)
			}
		}
		for _, row := range p.rows[store.TableDedup] {
			if r := row.(*store.Dedup); !r.State.Final() {
				m.w.failf("part %d: task %v ended and is marked as %v", part, r.ID, r.State)
			}
		}
	}
	for _, o := range m.w.current {
		o.checkEmpty()
	}
	for _, id := range m.w.pool.order {
		if n := m.w.pool.balance[id]; n != 0 {
			m.w.failf("%d slots of session %d were never released", n, id)
		}
	}
	if len(m.order) < m.w.plan.tasks {
		m.w.failf("%d of %d tasks were submitted", len(m.order), m.w.plan.tasks)
	}
}
