package partition

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Bounds of one call that searches tasks.
const (
	searchPage = 256  // rows that are read at a time
	memoryPage = 1024 // tasks in memory that are looked at at a time: all of them are passed over for each page
	searchScan = 5000
	searchTime = 250 * time.Millisecond
)

// TaskFilter says which tasks are meant. Its zero value means all of them.
type TaskFilter struct {
	Queue string
	State task.State // StateUnknown: any
	Key   string
	Type  string
	Text  string    // is in the payload, byte by byte
	Since time.Time // was accepted then or later
	Until time.Time // was accepted before
}

func (f *TaskFilter) wants(states ...task.State) bool {
	return f.State == task.StateUnknown || slices.Contains(states, f.State)
}

// place reports whether what is kept of every task is as the filter says.
func (f *TaskFilter) place(queue, key string, created time.Time) bool {
	return (f.Queue == "" || f.Queue == queue) && (f.Key == "" || f.Key == key) &&
		(f.Since.IsZero() || !created.Before(f.Since)) && (f.Until.IsZero() || created.Before(f.Until))
}

func (f *TaskFilter) match(t *task.Task) bool {
	return f.place(t.Queue, t.Key, t.CreatedAt.Time()) && (f.Type == "" || f.Type == t.Type) &&
		(f.Text == "" || bytes.Contains(t.Payload, []byte(f.Text)))
}

// TaskPage is what one call of a search found.
type TaskPage struct {
	Tasks []TaskStatus
	Next  string // goes on from here; empty: this was the last call
	// Incomplete says what of the tasks that the filter may mean is not looked at, one
	// sentence each.
	Incomplete []string
}

// stage is where a search looks.
type searchStage uint8

const (
	inLog searchStage = iota
	inMemory
	inParkedRows
	inScheduleRows
	inDeadRows
	inMarks
	stages
)

// searchCursor is a place among all tasks. The fields are those of the stage's rows.
type searchCursor struct {
	part  int
	stage searchStage
	id    task.ID
	queue string
	key   string
	class string // in a log: its name at the broker
	seq   uint64
	due   int64 // in microseconds
}

func (cur *searchCursor) token() string {
	b := append([]byte{byte(cur.stage)}, cur.id[:]...)
	b = task.AppendBytes(task.AppendBytes(task.AppendBytes(b, cur.queue), cur.key), cur.class)
	return pageOf(cur.part, string(binary.AppendVarint(binary.AppendUvarint(b, cur.seq), cur.due)))
}

func (e *Engine) searchFrom(f *TaskFilter, token string) (*searchCursor, error) {
	if f.Queue != "" {
		if _, ok := e.Queue(f.Queue); !ok {
			return nil, e.unknownQueue(f.Queue)
		}
	}
	first := &searchCursor{queue: f.Queue}
	if f.Key != "" {
		first.part = task.PartitionOf(f.Key, e.cfg.Partitions)
	}
	if token == "" {
		return first, nil
	}
	part, rest, err := e.parsePage(token)
	if err != nil {
		return nil, err
	}
	p := task.NewParser([]byte(rest))
	cur := &searchCursor{part: part, stage: searchStage(p.Byte())}
	for i := range cur.id {
		cur.id[i] = p.Byte()
	}
	cur.queue, cur.key, cur.class, cur.seq, cur.due = p.String(), p.String(), p.String(), p.Uvarint(), p.Varint()
	if p.End() != nil || cur.stage >= stages || f.Key != "" && part != first.part || f.Queue != "" && f.Queue != cur.queue {
		return nil, badPage(token)
	}
	return cur, nil
}

// next goes on to the next stage, or partition, and reports whether there is one.
func (e *Engine) nextStage(f *TaskFilter, cur *searchCursor) bool {
	*cur = searchCursor{part: cur.part, stage: cur.stage + 1, queue: f.Queue}
	if cur.stage == stages {
		cur.part, cur.stage = cur.part+1, inLog
		return f.Key == "" && cur.part < len(e.owners)
	}
	return true
}

// skips reports whether nothing that is meant can be at a stage.
func (f *TaskFilter) skips(s searchStage) bool {
	switch s {
	case inLog:
		return !f.wants(task.StateQueued, task.StateScheduled)
	case inMemory, inParkedRows:
		return !f.wants(task.StateQueued, task.StateReady, task.StateRunning, task.StateScheduled)
	case inScheduleRows:
		return !f.wants(task.StateScheduled)
	case inDeadRows:
		return !f.wants(task.StateDead)
	default: // marks keep no payload
		return f.Text != "" || !f.wants(task.StateDone, task.StateCancelled, task.StateExpired)
	}
}

// Tasks searches tasks, a bounded number of rows at a time, in no particular order. A
// page may be short, or empty, and not be the last. A task that moves between two
// calls may be found twice, or not.
func (e *Engine) Tasks(ctx context.Context, f TaskFilter, limit int, pageToken string) (TaskPage, error) {
	if limit < 1 {
		return TaskPage{}, badLimit(limit)
	}
	cur, err := e.searchFrom(&f, pageToken)
	if err != nil {
		return TaskPage{}, err
	}
	page := TaskPage{Incomplete: e.unseen(ctx, &f)}
	b := &budget{e: e, rows: searchScan, until: e.cfg.Clock.Now().Add(searchTime)}
	size := 0
	for {
		if f.skips(cur.stage) {
			if !e.nextStage(&f, cur) {
				return page, nil
			}
			continue
		}
		began := e.cfg.Clock.Now()
		found, examined, err := e.searchStep(ctx, &f, cur, limit-len(page.Tasks))
		if err == nil {
			err = e.rest(ctx, e.cfg.Clock.Now().Sub(began))
		}
		if err != nil {
			return TaskPage{}, err
		}
		page.Tasks = append(page.Tasks, found...)
		for i := range found {
			if found[i].Task != nil {
				size += len(found[i].Task.Payload)
			}
			size += len(found[i].Result)
		}
		if examined == 0 && !e.nextStage(&f, cur) {
			return page, nil
		}
		if b.spent(examined) || len(page.Tasks) >= limit || size >= pageBytes {
			page.Next = cur.token()
			return page, nil
		}
	}
}

// rest waits as long as the step of a search took, so that whoever searches takes half
// of the time of one processor at most.
func (e *Engine) rest(ctx context.Context, took time.Duration) error {
	if took <= 0 {
		return nil
	}
	over := make(chan struct{})
	timer := e.cfg.Clock.AfterFunc(took, func() { close(over) })
	defer timer.Stop()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// unseen says what a search does not see.
func (e *Engine) unseen(ctx context.Context, f *TaskFilter) (why []string) {
	if _, peeks := e.cfg.Broker.(broker.Peeker); !peeks && f.wants(task.StateQueued, task.StateReady) {
		for _, q := range e.Queues() {
			if f.Queue != "" && f.Queue != q.Name {
				continue
			}
			if backlog, err := e.backlog(ctx, q.Name); err != nil || backlog.Tasks > 0 {
				why = append(why, fmt.Sprintf("tasks of queue %q that the node has not read from the broker's log yet are not looked at; its log has about %d tasks, those that were read among them", q.Name, backlog.Tasks))
			}
		}
	}
	if f.Text != "" && f.wants(task.StateDone, task.StateCancelled, task.StateExpired) {
		why = append(why, "of tasks that are done, cancelled or expired the payload is not kept: they are not looked at")
	}
	return why
}

// searchStep looks at the next few tasks of a stage and moves the cursor behind them.
// When it looked at none the stage is at its end.
func (e *Engine) searchStep(ctx context.Context, f *TaskFilter, cur *searchCursor, limit int) ([]TaskStatus, int, error) {
	switch cur.stage {
	case inLog:
		return e.searchLog(ctx, f, cur, limit)
	case inMemory:
		return e.searchMemory(ctx, f, cur, limit)
	default:
		return e.searchRows(ctx, f, cur, limit)
	}
}

// searchRows looks at the next rows of a stage.
func (e *Engine) searchRows(ctx context.Context, f *TaskFilter, cur *searchCursor, limit int) ([]TaskStatus, int, error) {
	rows, err := e.cfg.Store.Load(ctx, cur.scan(f, searchPage))
	if err != nil {
		return nil, 0, fmt.Errorf("search tasks: %w", err)
	}
	var found []TaskStatus
	examined := 0
	for ; examined < len(rows) && len(found) < limit; examined++ {
		if st, ok := cur.take(f, rows[examined]); ok {
			found = append(found, st)
		}
	}
	if cur.stage == inParkedRows || cur.stage == inScheduleRows {
		found, err = e.waitingNow(ctx, f, cur.part, found)
	}
	return found, examined, err
}

// scan is for the next rows at the cursor.
func (cur *searchCursor) scan(f *TaskFilter, limit int) store.Scan {
	s := store.Scan{Part: cur.part, Limit: limit, Bytes: pageBytes}
	behind := f.Queue + "\x00"
	switch cur.stage {
	case inParkedRows:
		s.Table, s.From = store.TableParked, &store.Parked{Queue: cur.queue, Key: cur.key, Class: cur.class, Seq: cur.seq}
		if f.Queue != "" {
			s.To = &store.Parked{Queue: behind}
		}
	case inScheduleRows:
		s.Table, s.From = store.TableSchedule, &store.Schedule{Due: time.UnixMicro(cur.due).UTC(), Seq: cur.seq}
	case inDeadRows:
		s.Table, s.From = store.TableDead, &store.Dead{Queue: cur.queue, Seq: cur.seq}
		if f.Queue != "" {
			s.To = &store.Dead{Queue: behind}
		}
	default:
		s.Table, s.From = store.TableDedup, &store.Dedup{ID: cur.id}
	}
	return s
}

// take moves the cursor behind a row, and returns the row's task if that may be meant.
func (cur *searchCursor) take(f *TaskFilter, row store.Row) (TaskStatus, bool) {
	switch r := row.(type) {
	case *store.Parked:
		cur.queue, cur.key, cur.class, cur.seq = r.Queue, r.Key, r.Class, r.Seq+1
		if r.Seq == haltSeq && r.Key != "" {
			return TaskStatus{}, false
		}
		return bodyStatus(f, r.Body, task.StateQueued)
	case *store.Schedule:
		cur.due, cur.seq = r.Due.UnixMicro(), r.Seq+1
		st, ok := bodyStatus(f, r.Body, task.StateScheduled)
		st.NextAt = r.Due
		return st, ok
	case *store.Dead:
		cur.queue, cur.seq = r.Queue, r.Seq+1
		st, ok := bodyStatus(f, r.Body, task.StateDead)
		st.FinishedAt, st.Attempts, st.Deliveries, st.Error, st.History = r.DiedAt.Time(), r.Attempts, r.Deliveries, clipError(r.Reason), exportTries(r.Tries)
		return st, ok
	case *store.Dedup:
		cur.id = after(r.ID)
		ended := r.State == task.StateDone || r.State == task.StateCancelled || r.State == task.StateExpired
		return statusOf(r), r.Queue != "" && ended && f.wants(r.State) && f.place(r.Queue, r.Key, r.CreatedAt.Time()) && (f.Type == "" || f.Type == r.Type)
	default:
		return TaskStatus{}, false
	}
}

// bodyStatus is the status of a stored task, if the filter means it.
func bodyStatus(f *TaskFilter, body []byte, state task.State) (TaskStatus, bool) {
	t, err := task.Decode(body)
	if err != nil || !f.match(&t) {
		return TaskStatus{}, false // what cannot be read is counted where it is read back
	}
	return TaskStatus{ID: t.ID, State: state, Queue: t.Queue, Key: t.Key, CreatedAt: t.CreatedAt.Time(), Task: &t}, true
}

// waitingNow adds the attempts of tasks that wait in the store, and leaves those out
// that are in memory by now: they are found there.
func (e *Engine) waitingNow(ctx context.Context, f *TaskFilter, part int, waiting []TaskStatus) ([]TaskStatus, error) {
	if len(waiting) == 0 {
		return nil, nil
	}
	held, err := look(ctx, e.owners[part], func(c *core, _ time.Time, answer func([]bool)) {
		held := make([]bool, len(waiting))
		for i := range waiting {
			held[i] = c.tasks[waiting[i].ID] != nil
		}
		answer(held)
	})
	if err != nil {
		return nil, err
	}
	keys := make([]store.Row, len(waiting))
	for i := range waiting {
		keys[i] = &store.Attempt{ID: waiting[i].ID}
	}
	rows, err := e.cfg.Store.Get(ctx, part, keys)
	if err != nil {
		return nil, fmt.Errorf("read attempts: %w", err)
	}
	now := e.cfg.Clock.Now()
	found := waiting[:0]
	for i, st := range waiting {
		if a, ok := rows[i].(*store.Attempt); ok && a != nil {
			st.Attempts, st.Deliveries, st.History = a.Attempts, a.Deliveries, exportTries(a.Tries)
			if st.State == task.StateQueued && a.NextAt.After(now) {
				st.State, st.NextAt = task.StateScheduled, a.NextAt
			}
			if st.State == task.StateScheduled && a.NextAt.After(st.NextAt) {
				st.NextAt = a.NextAt // Its row stands where it expires, which is before that.
			}
		}
		if !held[i] && f.wants(st.State) {
			found = append(found, st)
		}
	}
	return found, nil
}

// searchMemory looks at the next tasks in memory, by ID. The core only compares what
// is cheap.
func (e *Engine) searchMemory(ctx context.Context, f *TaskFilter, cur *searchCursor, limit int) ([]TaskStatus, int, error) {
	snapshot, err := look(ctx, e.owners[cur.part], func(c *core, now time.Time, answer func([]TaskStatus)) {
		answer(c.snapshot(now, f, cur.id, memoryPage))
	})
	if err != nil {
		return nil, 0, err
	}
	var found []TaskStatus
	for i, st := range snapshot {
		if len(found) == limit {
			return found, i, nil
		}
		if f.wants(st.State) && f.match(st.Task) {
			found = append(found, st)
		}
		if cur.id = after(st.ID); cur.id.IsZero() {
			return found, 0, nil // that was the last ID there is
		}
	}
	return found, len(snapshot), nil
}

// snapshot returns the first tasks in memory from an ID on, by ID.
func (c *core) snapshot(now time.Time, f *TaskFilter, from task.ID, limit int) []TaskStatus {
	compare := func(a, b task.ID) int { return bytes.Compare(a[:], b[:]) }
	var ids []task.ID
	last := task.ID{} // nothing behind it is among the first; zero: not known
	for id, it := range c.tasks {
		if compare(id, from) < 0 || !last.IsZero() && compare(id, last) > 0 || !f.place(it.Queue, it.Key, it.CreatedAt.Time()) || f.Type != "" && f.Type != it.Type {
			continue
		}
		if ids = append(ids, id); len(ids) == 2*limit {
			slices.SortFunc(ids, compare)
			ids = ids[:limit]
			last = ids[limit-1]
		}
	}
	slices.SortFunc(ids, compare)
	found := make([]TaskStatus, 0, min(len(ids), limit))
	for _, id := range ids[:min(len(ids), limit)] {
		st, _ := c.status(now, id)
		st.Key = strings.Clone(st.Key)
		found = append(found, st)
	}
	return found
}
