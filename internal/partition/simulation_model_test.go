package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/ledger"
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
}

// model watches everything that becomes durable and everything that is said, and
// knows nothing of how the core works.
type model struct {
	w     *world
	tasks map[task.ID]*life
	order []task.ID
	lines map[[2]string][]task.ID // by queue and key, in the order of the log
	parts [simPartitions]*modelPart
	runs  map[string]*execution
	wrote map[string]bool // direct writes, true once durable
	held  map[task.LeaseRef]uint64
	sends map[task.LeaseRef]*task.Lease
}

type modelPart struct {
	fence   store.Fence
	token   uint64
	epoch   uint64
	serial  int
	pending []started // admitted, not known to be durable
	records map[cellName]*history
	oplog   []*store.OpLog
	rows    [store.TableDead + 1]map[string]store.Row
}

type started struct {
	serial int
	batch  store.Batch
	late   bool // its owner had been replaced
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
		w: w, tasks: map[task.ID]*life{}, lines: map[[2]string][]task.ID{}, runs: map[string]*execution{}, wrote: map[string]bool{},
		held: map[task.LeaseRef]uint64{}, sends: map[task.LeaseRef]*task.Lease{},
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
func (m *model) logged(queue string, id task.ID, body []byte) {
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
	if t.Key != "" && queue != "loose" && t.RunAt.IsZero() {
		line := [2]string{queue, t.Key}
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
	c := checking{m: m, p: p, part: part, epoch: b.Next.Epoch, changed: map[cellName]*store.OpLog{}, ops: map[task.ID][]op{}, emits: map[task.ID]bool{}}
	for _, row := range b.Puts {
		c.put(row)
	}
	for _, row := range b.Deletes {
		c.remove(row)
	}
	c.end(&b)
	p.fence = b.Next
}

// checking is one batch under examination.
type checking struct {
	m       *model
	p       *modelPart
	part    int
	epoch   uint64
	changed map[cellName]*store.OpLog
	records map[cellName]store.Row
	ops     map[task.ID][]op // of tasks whose mark did not come yet
	order   []task.ID
	emits   map[task.ID]bool
}

// op is one change of a record with the state before it.
type op struct {
	row    *store.OpLog
	before state
}

func (c *checking) failf(format string, args ...any) {
	c.m.w.failf("part %d: %s", c.part, fmt.Sprintf(format, args...))
}

func (c *checking) put(row store.Row) {
	switch r := row.(type) {
	case *store.OpLog:
		c.change(r)
	case *store.Record:
		if c.records == nil {
			c.records = map[cellName]store.Row{}
		}
		c.records[cellName{r.Key, r.Name}] = r
	case *store.Dedup:
		c.mark(r)
	case *store.Outbox:
		t, err := task.Decode(r.Body)
		c.m.w.must(err)
		c.emits[t.ID] = true
		if c.m.tasks[t.ID] == nil {
			c.m.tasks[t.ID] = &life{}
			c.m.order = append(c.m.order, t.ID)
		}
		c.m.tasks[t.ID].confirmed = true
	case *store.Attempt:
		l := c.m.tasks[r.ID]
		if l == nil || l.state.Final() {
			c.failf("an attempt of task %v, which is not open", r.ID)
		}
		if r.Attempts < l.attempts {
			c.failf("task %v had %d failed attempts, now %d", r.ID, l.attempts, r.Attempts)
		}
		l.attempts = r.Attempts
	}
	c.p.rows[row.Table()][rowName(row)] = row
}

func (c *checking) remove(row store.Row) {
	if r, ok := row.(*store.Record); ok {
		if c.records == nil {
			c.records = map[cellName]store.Row{}
		}
		c.records[cellName{r.Key, r.Name}] = nil
	}
	if r, ok := row.(*store.Dedup); ok {
		c.failf("the mark of task %v is removed", r.ID)
	}
	delete(c.p.rows[row.Table()], rowName(row))
}

// rowName is the key of a row, as text.
func rowName(row store.Row) string {
	switch r := row.(type) {
	case *store.Record:
		return r.Key + "/" + r.Name
	case *store.Dedup:
		return r.ID.String()
	case *store.OpLog:
		return fmt.Sprint(r.Seq)
	case *store.Outbox:
		return fmt.Sprint(r.Seq)
	case *store.Schedule:
		return fmt.Sprint(r.Due.UnixMicro(), r.Seq)
	case *store.Parked:
		return fmt.Sprint(r.Queue, "/", r.Key, "/", r.Seq)
	case *store.Attempt:
		return r.ID.String()
	case *store.Dead:
		return fmt.Sprint(r.Queue, "/", r.Seq)
	}
	return "?"
}

// change takes an op-log row.
func (c *checking) change(r *store.OpLog) {
	n := cellName{r.Key, r.Name}
	h := c.p.records[n]
	if h == nil {
		h = &history{}
		c.p.records[n] = h
	}
	before := h.now()
	last := uint64(0)
	var hash [32]byte
	if k := len(c.p.oplog); k > 0 {
		last, hash = c.p.oplog[k-1].Seq, c.p.oplog[k-1].Hash
	}
	if r.Seq != last+1 {
		c.failf("op-log row %d follows %d", r.Seq, last)
	}
	if want, _ := ledger.Chain(hash, r, nil); want != r.Hash {
		c.failf("op-log row %d is not chained to the one before", r.Seq)
	}
	if r.Before != before.version {
		c.failf("op-log row %d says that %v had version %d, it has %d", r.Seq, n, r.Before, before.version)
	}
	after := state{r.After, string(r.Value)}
	switch {
	case r.Op == store.OpPut && r.After != r.Seq, r.Op == store.OpDelete && (r.After != 0 || r.Before == 0 || r.Value != nil):
		c.failf("op-log row %+v", r)
	}
	h.states = append(h.states, after)
	c.p.oplog = append(c.p.oplog, r)
	c.changed[n] = r
	if r.TaskID.IsZero() {
		c.direct(r)
		return
	}
	if len(c.ops[r.TaskID]) == 0 {
		c.order = append(c.order, r.TaskID)
	}
	c.ops[r.TaskID] = append(c.ops[r.TaskID], op{r, before})
}

func (c *checking) direct(r *store.OpLog) {
	if r.Op == store.OpDelete {
		return
	}
	done, known := c.m.wrote[string(r.Value)]
	if !known || done {
		c.failf("direct write %q took effect twice or came from nowhere", r.Value)
	}
	c.m.wrote[string(r.Value)] = true
}

// mark takes the mark of a task that waits or ended.
func (c *checking) mark(r *store.Dedup) {
	l := c.m.tasks[r.ID]
	if l == nil {
		c.failf("a mark of task %v from nowhere", r.ID)
	}
	if l.state.Final() {
		c.failf("task %v ended as %v and again as %v", r.ID, l.state, r.State)
	}
	if !r.State.Final() {
		l.waits = true
		return
	}
	l.state = r.State
	c.m.w.tally.ended[r.State]++
	if r.Attempts < l.attempts || r.Attempts > r.Deliveries {
		c.failf("task %v ended after %d attempts and %d deliveries, %d attempts were durable", r.ID, r.Attempts, r.Deliveries, l.attempts)
	}
	c.inOrder(l)
	switch r.State {
	case task.StateDone:
		c.done(r, l)
	case task.StateExpired:
		if l.task.ExpiresAt.IsZero() || l.task.ExpiresAt.After(c.m.w.latest) {
			c.failf("task %v expired before its time", r.ID)
		}
	case task.StateDead:
		c.dead(r, l)
	default:
		c.failf("task %v ended as %v", r.ID, r.State)
	}
}

// inOrder holds that tasks of one key end in the order of the log.
func (c *checking) inOrder(l *life) {
	if l.task.Key == "" || l.task.Queue == "loose" || !l.task.RunAt.IsZero() {
		return
	}
	line := [2]string{l.task.Queue, l.task.Key}
	for _, id := range c.m.lines[line] {
		if id == l.task.ID {
			return
		}
		if !c.m.tasks[id].state.Final() {
			c.failf("task %v of %v ended before task %v, which came first", l.task.ID, line, id)
		}
	}
}

func (c *checking) dead(r *store.Dedup, l *life) {
	row, ok := c.p.rows[store.TableDead][fmt.Sprint(r.Queue, "/", r.Ref)].(*store.Dead)
	if !ok || row.Reason != r.Error {
		c.failf("the mark of dead task %v points to no dead letter", r.ID)
	}
	sp := c.m.w.specOf(&l.task)
	if !sp.dead && sp.bad == 0 && r.Attempts < 2 && r.Deliveries < 2 {
		c.failf("task %v is dead after %d attempts and %d deliveries: %s", r.ID, r.Attempts, r.Deliveries, r.Error)
	}
	if len(c.ops[r.ID]) > 0 {
		c.failf("dead task %v changed records", r.ID)
	}
}

// done holds that a done task took effect exactly as the execution says whose
// result its mark carries, and that this execution saw the records as they were.
func (c *checking) done(r *store.Dedup, l *life) {
	x := c.m.runs[string(r.Result)]
	if x == nil || x.task != r.ID {
		c.failf("task %v is done by no execution of it: %q", r.ID, r.Result)
	}
	if x.ref.Epoch != c.epoch || x.ref.Partition != c.part {
		c.failf("task %v is done by an execution of epoch %d in epoch %d", r.ID, x.ref.Epoch, c.epoch)
	}
	if l.epoch == c.epoch && x.ref.Token != l.token || x.worker != r.Worker {
		c.failf("task %v is done by lease %d of %s, its latest lease is %d", r.ID, x.ref.Token, x.worker, l.token)
	}
	sp := c.m.w.specOf(&l.task)
	if sp.dead || sp.bad != 0 {
		c.failf("task %v is done, yet no handler said so", r.ID)
	}
	ops := c.ops[r.ID]
	delete(c.ops, r.ID)
	for _, w := range x.writes {
		if !w.was && !w.is {
			continue // a delete of what is not there changes nothing
		}
		if len(ops) == 0 {
			c.failf("task %v wrote %v, the op log does not say so", r.ID, w.name)
		}
		o := ops[0]
		ops = ops[1:]
		if (cellName{o.row.Key, o.row.Name}) != w.name || string(o.row.Value) != w.after || (o.row.Op == store.OpPut) != w.is {
			c.failf("task %v wrote %+v, the op log says %+v", r.ID, w, o.row)
		}
		if o.before.value != w.before || (o.before.version != 0) != w.was {
			c.failf("lost update: task %v wrote %v over %q, it saw %q", r.ID, w.name, o.before.value, w.before)
		}
	}
	if len(ops) > 0 {
		c.failf("task %v changed more than it said: %+v", r.ID, ops[0].row)
	}
	for _, read := range x.reads {
		if now := c.p.records[read.name].now(); now.value != read.before || (now.version != 0) != read.was {
			c.failf("task %v depends on %v being %q, it is %q", r.ID, read.name, read.before, now.value)
		}
	}
	for _, id := range x.emits {
		if !c.emits[id] {
			c.failf("task %v emitted %v, which is not in the outbox", r.ID, id)
		}
	}
}

// end looks at the batch as a whole.
func (c *checking) end(b *store.Batch) {
	for _, id := range c.order {
		if len(c.ops[id]) > 0 {
			c.failf("task %v changed records and is not done", id)
		}
	}
	if last := len(c.p.oplog); last > 0 && (c.p.oplog[last-1].Seq != b.Next.Seq || c.p.oplog[last-1].Hash != b.Next.Chain) {
		c.failf("the fence %+v is not at the end of the op log %d", b.Next, c.p.oplog[last-1].Seq)
	}
	if len(c.records) != len(c.changed) {
		c.failf("the batch changes %d records and writes %d", len(c.changed), len(c.records))
	}
	for n := range c.changed {
		now := c.p.records[n].now()
		row, ok := c.records[n].(*store.Record)
		if ok != (now.version != 0) || ok && (row.Version != now.version || string(row.Value) != now.value) {
			c.failf("record %v is written as %+v, the op log says %+v", n, row, now)
		}
	}
}

// ran registers an execution.
func (m *model) ran(x *execution) { m.runs[x.id] = x }

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
	m.checkCore(o, lease)
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
		if lease.Ordered {
			m.startsInOrder(t, here)
		}
		here[t.ID] = true
	}
	if lease.Ordered {
		m.travels(p, lease)
	}
}

// startsInOrder holds that everything that came before a task of its key ended
// durably, or goes before it in the same lease.
func (m *model) startsInOrder(t *task.Leased, here map[task.ID]bool) {
	if !t.RunAt.IsZero() {
		return
	}
	for _, id := range m.lines[[2]string{t.Queue, t.Key}] {
		if id == t.ID {
			return
		}
		l := m.tasks[id]
		expired := !l.task.ExpiresAt.IsZero() && !l.task.ExpiresAt.After(m.w.latest)
		if !l.state.Final() && !here[id] && !expired {
			m.w.failf("task %v starts before task %v of the same key, which came first", t.ID, id)
		}
	}
}

// travels holds that records that travel with a lease are durable and current.
func (m *model) travels(p *modelPart, lease *task.Lease) {
	for _, r := range lease.Records {
		if now := p.records[cellName{r.Key, r.Name}].now(); now.version != r.Version || now.value != string(r.Value) {
			m.w.failf("record %s/%s travels with version %d, durable is %d", r.Key, r.Name, r.Version, now.version)
		}
	}
	if !lease.Complete {
		return
	}
	for _, name := range simNames {
		n := cellName{lease.Tasks[0].Key, name}
		if p.records[n].now().version != 0 && !slices.ContainsFunc(lease.Records, func(r task.Record) bool { return r.Name == name }) {
			m.w.failf("record %v is missing from a lease that says it has all", n)
		}
	}
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
		if !l.state.Final() && l.attempts < t.Attempt {
			m.w.failf("the outcome of task %v was confirmed and is not durable", t.ID)
		}
	}
}

// settled checks that the store has what the broker may forget.
func (m *model) settled(log *simLog, e *simEntry) {
	l := m.tasks[e.id]
	if l.state.Final() || l.waits {
		return
	}
	for _, other := range log.entries {
		if other != e && other.id == e.id && !other.settled {
			return // another copy
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

// compare holds that the store has exactly the rows that the batches said.
func (m *model) compare(part int, table store.Table, want map[string]store.Row) {
	rows, err := m.w.store.Load(context.Background(), store.Scan{Part: part, Table: table, Limit: 1 << 20})
	m.w.must(err)
	for _, row := range rows {
		name := rowName(row)
		if want[name] == nil {
			m.w.failf("part %d: the store has a %s row %s that it should not have", part, table, name)
		}
		if got, ok := row.(*store.Record); ok {
			if w := want[name].(*store.Record); got.Version != w.Version || string(got.Value) != string(w.Value) {
				m.w.failf("part %d: record %s is %+v, want %+v", part, name, got, w)
			}
		}
		if got, ok := row.(*store.OpLog); ok && got.Hash != want[name].(*store.OpLog).Hash {
			m.w.failf("part %d: op-log row %s differs", part, name)
		}
		if got, ok := row.(*store.Dedup); ok && got.State != want[name].(*store.Dedup).State {
			m.w.failf("part %d: the mark %s is %v", part, name, got.State)
		}
	}
	if len(rows) != len(want) {
		m.w.failf("part %d: the store has %d %s rows, the batches said %d", part, len(rows), table, len(want))
	}
}

// tally counts what runs went through, so that a test sees that they did.
type tally struct {
	leases, claims, crashes, lost, wrong int
	ended                                [task.StateExpired + 1]int
	verdicts                             [4]int
}

func (a *tally) add(b tally) {
	a.leases += b.leases
	a.claims += b.claims
	a.crashes += b.crashes
	a.lost += b.lost
	a.wrong += b.wrong
	for i := range a.ended {
		a.ended[i] += b.ended[i]
	}
	for i := range a.verdicts {
		a.verdicts[i] += b.verdicts[i]
	}
}

func (a *tally) String() string {
	return fmt.Sprintf("%d leases, %d claims, %d crashes, %d lost workers, %d wrong answers; %d done, %d dead, %d expired; %d committed, %d stale, %d conflicts, %d refused",
		a.leases, a.claims, a.crashes, a.lost, a.wrong, a.ended[task.StateDone], a.ended[task.StateDead], a.ended[task.StateExpired],
		a.verdicts[task.VerdictCommitted], a.verdicts[task.VerdictStale], a.verdicts[task.VerdictConflict], a.verdicts[task.VerdictRefused])
}

// check holds that enough seeds saw everything.
func (a *tally) check(t *testing.T, seeds int) {
	t.Helper()
	if seeds < 100 {
		return
	}
	counts := append([]int{a.crashes, a.lost, a.wrong, a.ended[task.StateDone], a.ended[task.StateDead], a.ended[task.StateExpired]}, a.verdicts[:]...)
	if slices.Contains(counts, 0) || a.claims < 3*seeds {
		t.Errorf("the simulation does not reach everything: %s", a)
	}
}

var _ broker.Broker = (*simBroker)(nil)

// mutant is a promise that the world around the core breaks on purpose.
type mutant int

const (
	mutantNone          mutant = iota
	mutantForgetsCommit        // the store says that a commit is durable before it is
	mutantLosesSettle          // the broker forgets a settle
	mutantLosesRelease         // the pool forgets that slots were given back
	mutantTwoWorkers           // a lease goes to two workers
	mutantForgetsMarks         // the marks of repeated tasks are not seen
	mutantHalfBatch            // half of a batch is written
)

// TestSimulationSeesMutants makes the world break one promise at a time: some
// seed must notice, or the simulation proves nothing.
func TestSimulationSeesMutants(t *testing.T) {
	for m, name := range map[mutant]string{
		mutantForgetsCommit: "a commit is confirmed before it is durable",
		mutantLosesSettle:   "a settle is lost",
		mutantLosesRelease:  "a release is lost",
		mutantTwoWorkers:    "a lease goes to two workers",
		mutantForgetsMarks:  "marks are not seen",
		mutantHalfBatch:     "half of a batch is written",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(200) {
				p := planOf(5000 + seed)
				p.mutant = m
				if _, err := simulate(p); err != nil {
					t.Logf("seed %d: %.200s", p.seed, err)
					return
				}
			}
			t.Error("no seed noticed")
		})
	}
}

var _ = time.Second
