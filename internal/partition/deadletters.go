package partition

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Bounds of one call that goes over dead letters.
const (
	deadPage = 500    // rows that are read, and changed in one commit, at a time
	deadScan = 20_000 // rows that are looked at
	deadTime = time.Second
)

// DeadLetter is a task that will not be tried again by itself.
type DeadLetter struct {
	Task       task.Task
	Reason     string
	DiedAt     time.Time
	Attempts   int // since it was requeued the last time
	Deliveries int // likewise
	Requeues   int // how often it was a dead letter before
	History    []Try
	// Halts says that its key waits for a decision about it. Only DeadLetter knows.
	Halts bool
}

// DeadFilter says which dead letters are meant. Its zero value means all of them.
type DeadFilter struct {
	Queue string
	Key   string
	Type  string
	Text  string    // is in the reason, in any case of letters
	Since time.Time // died then or later
	Until time.Time // died before
}

func (f *DeadFilter) match(row *store.Dead, t *task.Task) bool {
	died := row.DiedAt.Time()
	return (f.Key == "" || f.Key == t.Key) && (f.Type == "" || f.Type == t.Type) &&
		(f.Since.IsZero() || !died.Before(f.Since)) && (f.Until.IsZero() || died.Before(f.Until)) &&
		(f.Text == "" || containsFold(row.Reason, f.Text))
}

// containsFold reports whether s has the text, whatever the case of letters.
func containsFold(s, text string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(text))
}

// deadCursor is a place among the dead letters of all partitions.
type deadCursor struct {
	part  int
	queue string
	seq   uint64 // the next row may be this one
	// until is the moment, on the partition's clock, after which nothing counts that
	// died; 0: it was not asked yet.
	until task.Timestamp
}

func (cur *deadCursor) token() string {
	rest := binary.AppendUvarint(task.AppendBytes(nil, cur.queue), cur.seq)
	return pageOf(cur.part, string(binary.AppendUvarint(rest, uint64(cur.until))))
}

// deadFrom returns the place that a token names, the first one for none.
func (e *Engine) deadFrom(f *DeadFilter, token string) (*deadCursor, error) {
	if f.Queue != "" {
		if _, ok := e.Queue(f.Queue); !ok {
			return nil, e.unknownQueue(f.Queue)
		}
	}
	cur := &deadCursor{queue: f.Queue}
	if f.Key != "" {
		cur.part = task.PartitionOf(f.Key, e.cfg.Partitions)
	}
	if token == "" {
		return cur, nil
	}
	part, rest, err := e.parsePage(token)
	if err != nil {
		return nil, err
	}
	place := task.NewParser([]byte(rest))
	got := &deadCursor{part: part, queue: place.String(), seq: place.Uvarint(), until: task.Timestamp(place.Uvarint())}
	if place.End() != nil || f.Key != "" && part != cur.part || f.Queue != "" && f.Queue != got.queue {
		return nil, badPage(token)
	}
	return got, nil
}

// nextPart goes on to the next partition, and reports whether there is one.
func (e *Engine) nextPart(f *DeadFilter, cur *deadCursor) bool {
	*cur = deadCursor{part: cur.part + 1, queue: f.Queue}
	return f.Key == "" && cur.part < len(e.owners)
}

// deadRows reads the next rows of the partition at the cursor, and moves that behind
// them. Without rows the partition has no more.
func (e *Engine) deadRows(ctx context.Context, f *DeadFilter, cur *deadCursor, limit int) ([]*store.Dead, error) {
	scan := store.Scan{
		Part: cur.part, Table: store.TableDead, From: &store.Dead{Queue: cur.queue, Seq: cur.seq}, Limit: limit, Bytes: pageBytes,
	}
	if f.Queue != "" {
		scan.To = &store.Dead{Queue: f.Queue, Seq: math.MaxUint64}
	}
	rows, err := e.cfg.Store.Load(ctx, scan)
	if err != nil {
		return nil, fmt.Errorf("read dead letters: %w", err)
	}
	found := make([]*store.Dead, 0, len(rows))
	for _, row := range rows {
		if r, ok := row.(*store.Dead); ok {
			found = append(found, r)
			cur.queue, cur.seq = r.Queue, r.Seq+1
		}
	}
	return found, nil
}

// decodeDead returns the task of a dead letter, or reports that it cannot be read.
func (e *Engine) decodeDead(part int, row *store.Dead) (task.Task, bool) {
	t, err := task.Decode(row.Body)
	if err != nil {
		e.cfg.Logger.Error("dead letter cannot be read", "partition", part, "queue", row.Queue, "seq", row.Seq, "error", err)
		e.counts.corrupt.Inc()
		return task.Task{}, false
	}
	return t, true
}

// budget bounds what one call reads.
type budget struct {
	e     *Engine
	rows  int
	until time.Time
}

func (e *Engine) newBudget() *budget {
	return &budget{e: e, rows: deadScan, until: e.cfg.Clock.Now().Add(deadTime)}
}

// spent counts rows and reports whether the call is to end.
func (b *budget) spent(rows int) bool {
	b.rows -= rows
	return b.rows <= 0 || b.e.cfg.Clock.Now().After(b.until)
}

// DeadLetters lists dead letters, oldest first within each queue and partition, and
// returns the token of the next page, empty after the last. A page may be short, or
// empty, and not be the last.
func (e *Engine) DeadLetters(ctx context.Context, f DeadFilter, limit int, pageToken string) ([]DeadLetter, string, error) {
	if limit < 1 {
		return nil, "", badLimit(limit)
	}
	cur, err := e.deadFrom(&f, pageToken)
	if err != nil {
		return nil, "", err
	}
	var found []DeadLetter
	size := 0
	for b := e.newBudget(); ; {
		at := *cur
		rows, err := e.deadRows(ctx, &f, cur, min(deadPage, max(limit-len(found), 16)))
		if err != nil {
			return nil, "", err
		}
		if len(rows) == 0 {
			if !e.nextPart(&f, cur) {
				return found, "", nil
			}
			continue
		}
		for _, row := range rows {
			at.queue, at.seq = row.Queue, row.Seq+1
			t, ok := e.decodeDead(cur.part, row)
			if !ok || !f.match(row, &t) {
				continue
			}
			found = append(found, exportDead(row, t))
			size += len(row.Body)
			if len(found) == limit || size >= pageBytes {
				return found, at.token(), nil
			}
		}
		if b.spent(len(rows)) {
			return found, cur.token(), nil
		}
	}
}

func exportDead(row *store.Dead, t task.Task) DeadLetter {
	return DeadLetter{
		Task: t, Reason: row.Reason, DiedAt: row.DiedAt.Time(), Attempts: row.Attempts, Deliveries: row.Deliveries,
		Requeues: row.Requeues, History: exportTries(row.Tries),
	}
}

// DeadLetter returns one dead letter by its task's ID, of a queue about which may does
// not fail.
func (e *Engine) DeadLetter(ctx context.Context, id task.ID, may func(queue string) error) (DeadLetter, error) {
	o, row, err := e.findDead(ctx, id, may)
	if err != nil {
		return DeadLetter{}, err
	}
	t, err := task.Decode(row.Body)
	if err != nil {
		return DeadLetter{}, fmt.Errorf("read dead letter %d of queue %s: %w", row.Seq, row.Queue, err)
	}
	d := exportDead(row, t)
	note, err := e.haltNote(ctx, o.part, row.Queue, t.Key)
	if err != nil {
		return DeadLetter{}, err
	}
	d.Halts = note != nil && note.seq == row.Seq
	return d, nil
}

// findDead finds a dead letter by its mark. An ID that was used again after its
// window may have a mark in two partitions: the first one is meant about whose queue
// may does not fail.
func (e *Engine) findDead(ctx context.Context, id task.ID, may func(queue string) error) (*owner, *store.Dead, error) {
	var refusal error
	for _, o := range e.owners {
		rows, err := e.cfg.Store.Get(ctx, o.part, []store.Row{&store.Dedup{ID: id}})
		if err != nil {
			return nil, nil, fmt.Errorf("read mark of task %s: %w", id, err)
		}
		mark, ok := rows[0].(*store.Dedup)
		if !ok || mark == nil || mark.State != task.StateDead {
			continue
		}
		if err := may(mark.Queue); err != nil {
			refusal = err
			continue
		}
		row, err := e.deadOf(ctx, o.part, mark)
		if task.CodeOf(err) == task.CodeNotFound {
			refusal = err
			continue
		}
		return o, row, err
	}
	if refusal != nil {
		return nil, nil, refusal
	}
	return nil, nil, task.Errorf(task.CodeNotFound, "task %s is not a dead letter: see `fenfa task get %s`", id, id).WithField("id")
}

func (e *Engine) deadOf(ctx context.Context, part int, mark *store.Dedup) (*store.Dead, error) {
	rows, err := e.cfg.Store.Get(ctx, part, []store.Row{&store.Dead{Queue: mark.Queue, Seq: mark.Ref}})
	if err != nil {
		return nil, fmt.Errorf("read dead letter: %w", err)
	}
	if row, ok := rows[0].(*store.Dead); ok && row != nil {
		return row, nil
	}
	return nil, task.Errorf(task.CodeNotFound, "the dead letter of task %s is not kept any more: it was deleted, or kept for as long as its queue says", mark.ID).WithField("id")
}

// RequeueDead takes one dead letter, of a queue about which may does not fail, back into
// its queue, with another payload unless that is nil.
func (e *Engine) RequeueDead(ctx context.Context, id task.ID, payload []byte, may func(queue string) error) error {
	if len(payload) > task.MaxPayload {
		return task.Errorf(task.CodeTooLarge, "payload has %d bytes; at most %d are allowed", len(payload), task.MaxPayload).WithField("payload")
	}
	return e.changeOne(ctx, id, may, (*ownership).reviveDead, func(c *core, now time.Time, d *letter) error {
		if payload != nil {
			d.task.Payload = payload
			d.body = nil
		}
		return c.requeue(now, c.revived(now, d))
	})
}

// DeleteDead removes one dead letter, of a queue about which may does not fail.
func (e *Engine) DeleteDead(ctx context.Context, id task.ID, may func(queue string) error) error {
	return e.changeOne(ctx, id, may, (*ownership).changeDead, deleteLetter)
}

// letterChange changes a dead letter that was read, or says why not.
type letterChange = func(c *core, now time.Time, d *letter) error

// lettersChange is changeDead, or reviveDead.
type lettersChange = func(own *ownership, ctx context.Context, letters []*letter, change letterChange) ([]error, error)

func (e *Engine) changeOne(ctx context.Context, id task.ID, may func(queue string) error, changeAll lettersChange, change letterChange) error {
	o, row, err := e.findDead(ctx, id, may)
	if err != nil {
		return err
	}
	own := o.serving(ctx)
	if own == nil {
		return notServed(o.part)
	}
	release, err := own.holdDead(ctx)
	if err != nil {
		return err
	}
	defer release()
	// Somebody else may have changed it until now.
	rows, err := e.cfg.Store.Get(ctx, o.part, []store.Row{row})
	if err != nil {
		return fmt.Errorf("read dead letter: %w", err)
	}
	row, ok := rows[0].(*store.Dead)
	if !ok || row == nil {
		return task.Errorf(task.CodeNotFound, "task %s is not a dead letter any more: see `fenfa task get %s`", id, id).WithField("id")
	}
	t, err := task.Decode(row.Body)
	if err != nil {
		return fmt.Errorf("read dead letter %d of queue %s: %w", row.Seq, row.Queue, err)
	}
	errs, err := changeAll(own, context.WithoutCancel(ctx), []*letter{{row: row, task: t, body: row.Body}}, change)
	if err != nil {
		return err
	}
	return errs[0]
}

// holdDead makes the caller the only one who removes dead letters of the partition,
// once those are counted that were there before, and returns what ends that.
func (own *ownership) holdDead(ctx context.Context) (release func(), err error) {
	select {
	case <-own.counted:
	case <-own.gone:
		return nil, notServed(own.part)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	release, err = own.mark(ctx)
	if err != nil {
		return nil, err
	}
	if _, err = askIn(ctx, own, func(c *core, _ time.Time, answer func(struct{})) {
		c.watchMarks()
		answer(struct{}{})
	}); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// changeDead changes dead letters that were just read under holdDead, and returns,
// when that is durable, for each what prevented it. Until then nobody else may read
// them: the caller releases its hold only after an answer, or when there never will
// be one because the ownership has ended.
func (own *ownership) changeDead(ctx context.Context, letters []*letter, change letterChange) ([]error, error) {
	if err := own.markLetters(ctx, letters); err != nil {
		return nil, err
	}
	return askIn(ctx, own, func(c *core, now time.Time, answer func([]error)) {
		errs := make([]error, len(letters))
		for i, d := range letters {
			errs[i] = change(c, now, d)
		}
		c.afterDurable(func() { answer(errs) })
	})
}

// markLetters looks up the marks of dead letters. Where that of one is out of date,
// the broker may have taken another task with its ID.
func (own *ownership) markLetters(ctx context.Context, letters []*letter) error {
	keys := make([]store.Row, len(letters))
	for i, d := range letters {
		keys[i] = &store.Dedup{ID: d.task.ID}
	}
	rows, err := own.e.cfg.Store.Get(ctx, own.part, keys)
	if err != nil {
		return fmt.Errorf("read marks of dead letters: %w", err)
	}
	now := own.e.cfg.Clock.Now()
	for i, d := range letters {
		d.mark, _ = rows[i].(*store.Dedup)
		if d.ownMark() && now.Before(d.mark.Expires) || !d.ran() {
			continue
		}
		located, found, err := own.e.locate(ctx, d.task.ID)
		if err != nil {
			return err
		}
		if found && !located.Settled && located.Position != 0 {
			d.mark = &store.Dedup{ID: d.task.ID, State: task.StateQueued, Queue: located.Queue}
		}
	}
	return nil
}

// revived makes a dead letter's task one that can run: a time that is over does not
// end it again.
func (c *core) revived(now time.Time, d *letter) *letter {
	if !d.task.ExpiresAt.IsZero() && !now.Before(d.task.ExpiresAt) {
		d.task.ExpiresAt = time.Time{}
		d.body = nil
	}
	if d.body != nil {
		return d
	}
	d.body = d.task.Append(nil)
	if again, err := task.Decode(d.body); err == nil {
		d.task = again // its strings share the memory of the body
	}
	return d
}

// ResumeKey lets a key go on that waits for a person, and leaves its dead letter
// where it is.
func (e *Engine) ResumeKey(ctx context.Context, queue, key string) error {
	if _, ok := e.Queue(queue); !ok {
		return e.unknownQueue(queue)
	}
	reply, err := ask(ctx, e.of(key), func(c *core, _ time.Time, answer func(error)) { c.resumeKey(queue, key, answer) })
	return errors.Join(err, reply)
}
