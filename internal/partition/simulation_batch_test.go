package partition

import (
	"fmt"
	"slices"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

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
	batch   *store.Batch
	notes   []string // names of rows that are put of keys that wait for a person
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
		if isIndex(r) {
			return // It is compared with the log by audits.
		}
		if c.records == nil {
			c.records = map[cellName]store.Row{}
		}
		c.records[cellName{r.Key, r.Name}] = r
	case *store.Dedup:
		c.mark(r)
	case *store.Parked:
		c.parked(r)
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
	if noteOf(row) {
		c.notes = append(c.notes, rowName(row))
	}
}

// parked holds that a task waits in the lane of its key, or of what it asks, or of both.
func (c *checking) parked(r *store.Parked) {
	if noteOf(r) {
		h := parseHalted(r.Body)
		if dead, ok := c.p.rows[store.TableDead][rowName(&store.Dead{Queue: r.Queue, Seq: h.seq})].(*store.Dead); !ok || dead.DiedAt != h.at {
			c.failf("key %s of queue %s waits for dead letter %d, which is not there", r.Key, r.Queue, h.seq)
		}
		return
	}
	t, err := task.Decode(r.Body)
	c.m.w.must(err)
	mark := ""
	if t.Queue == "loose" && r.Key == "" {
		t.Key = ""
	} else if t.Queue == "loose" {
		mark = keyWaitMark
	}
	classes := []string{""} // of a key with order
	if t.Queue == "loose" || r.Key == "" {
		classes = []string{mark + nameOf(rankNormal, t.Placement), mark + nameOf(rankOf(t.Priority), t.Placement)}
	}
	if r.Queue != t.Queue || r.Key != t.Key || !slices.Contains(classes, r.Class) {
		c.failf("task %v that asks %+v is parked as %s, %q, %q", t.ID, t.Placement, r.Queue, r.Key, r.Class)
	}
	if t.Placement != (task.Placement{}) {
		c.m.w.tally.aside++
	}
}

func (c *checking) remove(row store.Row) {
	if noteOf(row) && slices.Contains(c.notes, rowName(row)) {
		c.failf("one batch notes that a key waits, and that it does not: %s", rowName(row))
	}
	if r, ok := row.(*store.Record); ok && !isIndex(row) {
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
		return fmt.Sprint(r.Queue, "/", r.Key, "/", r.Class, "/", r.Seq)
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
	if c.again(r, l) {
		return
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
	if r.State != task.StateExpired {
		c.inOrder(l)
	}
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
		if o := c.m.tasks[id]; !o.state.Final() && !o.moved && !l.moved {
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
