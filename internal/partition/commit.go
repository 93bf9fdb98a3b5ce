package partition

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// commitTries bounds how often a commit is tried while records are held by others.
const commitTries = 20

// commitWindow is how long the mark of a commit lives.
const commitWindow = 24 * time.Hour

// committing is a commit of records by a caller, from its arrival at home to its
// answer.
type committing struct {
	req    *Commit
	sum    uint64       // of its content
	mark   *store.Dedup // of an earlier commit with its ID, if there was one
	until  time.Time
	tries  int
	answer func(CommitResult, error)
	none   task.Task // stands for a task that keeps nothing
	change task.Outcome
}

// commit takes a checked commit whose home is here, and answers once it is durable
// or nothing of it ever will be.
func (c *core) commit(now time.Time, req *Commit, until time.Time, answer func(CommitResult, error)) {
	x := &committing{req: req, sum: req.fingerprint(), until: until, change: task.Outcome{Reads: req.Reads, Writes: req.Writes}}
	if req.ID.IsZero() {
		x.answer = answer
		c.tryCommit(now, x)
		return
	}
	if waiting, underWay := c.commits[req.ID]; underWay {
		c.commits[req.ID] = append(waiting, func(mark *store.Dedup) { c.repeatCommit(x, mark, answer) })
		return
	}
	x.answer = func(r CommitResult, err error) {
		answer(r, err)
		c.endCommit(x, r, err)
	}
	c.commits[req.ID] = []func(*store.Dedup){func(mark *store.Dedup) {
		if x.mark = mark; mark != nil {
			c.repeatCommit(x, mark, x.answer)
			return
		}
		c.tryCommit(c.loadedAt, x)
	}}
	c.env.LoadMark(req.ID)
}

// markLoaded takes the mark of a commit that arrived, or that there is none.
func (c *core) markLoaded(now time.Time, id task.ID, mark *store.Dedup) {
	c.loadedAt = now
	waiting := c.commits[id]
	if len(waiting) == 0 {
		return
	}
	c.commits[id] = waiting[1:]
	waiting[0](mark)
}

// endCommit answers those who repeated a commit while it was under way.
func (c *core) endCommit(x *committing, r CommitResult, err error) {
	waiting := c.commits[x.req.ID]
	delete(c.commits, x.req.ID)
	for _, again := range waiting {
		if err != nil {
			again(x.mark)
			continue
		}
		again(&store.Dedup{ID: x.req.ID, State: task.StateDone, Fingerprint: x.sum, Result: resultOf(r)})
	}
}

// repeatCommit answers a commit from the mark of the first one under its ID.
func (c *core) repeatCommit(x *committing, mark *store.Dedup, answer func(CommitResult, error)) {
	switch {
	case mark == nil:
		answer(CommitResult{}, task.Errorf(task.CodeConflict, "commit %s was tried at the same time by another call, and had no effect: read the records again and decide anew", x.req.ID))
	case mark.Queue != "":
		answer(CommitResult{}, task.Errorf(task.CodeAlreadyExists, "%s is the id of a task: use another one for the commit", x.req.ID).WithField("id"))
	case mark.Fingerprint != x.sum:
		answer(CommitResult{}, task.Errorf(task.CodeAlreadyExists, "commit %s was made before with other content: use another id", x.req.ID).WithField("id"))
	default:
		r := CommitResult{Duplicate: true}
		copy(r.Tx[:], mark.Result)
		answer(r, nil)
	}
}

func resultOf(r CommitResult) []byte {
	if r.Tx.IsZero() {
		return nil
	}
	return r.Tx[:]
}

// tryCommit makes a commit part of the gathering batch, or begins its transaction.
func (c *core) tryCommit(now time.Time, x *committing) {
	if missing := c.led.Missing(&x.none, &x.change); len(missing) > 0 {
		c.loadAll(missing, func() { c.tryCommit(c.loadedAt, x) })
		return
	}
	if err := c.led.Check(&x.none, &x.change, 0); err != nil {
		c.commitHindered(now, x, err)
		return
	}
	if c.led.Crosses(&x.none, &x.change) {
		c.commitAcross(now, x)
		return
	}
	c.applyCommit(now, x, task.ID{})
}

// commitHindered takes why a commit has no effect as things are. What is held comes
// free; what has changed is for the caller to look at.
func (c *core) commitHindered(now time.Time, x *committing, err error) {
	var held *ledger.ConflictError
	switch {
	case errors.Is(err, ledger.ErrPinned) && errors.As(err, &held):
		c.await(now, held, false, func(now time.Time, why release) {
			if why == outWaited || overdue(now, x.until) {
				x.answer(CommitResult{}, commitConflict(held))
				return
			}
			c.tryCommit(now, x)
		})
	case errors.Is(err, ledger.ErrConflict):
		x.answer(CommitResult{}, commitConflict(err))
	default:
		x.answer(CommitResult{}, err)
	}
}

func commitConflict(err error) error {
	if c, ok := errors.AsType[*ledger.ConflictError](err); ok && c.Name == task.LockRecord && c.Tx.IsZero() {
		return task.Errorf(task.CodeStale, "aborted, nothing was changed: token %d of lock %q has ended", c.Expected, c.Key).WithField("fences")
	}
	if c, ok := errors.AsType[*ledger.ConflictError](err); ok && c.Bound {
		return task.Errorf(task.CodeFailedPrecondition, "aborted, nothing was changed: %w", err).WithField(task.FieldBound)
	}
	return task.Errorf(task.CodeConflict, "aborted, nothing was changed: %w: read the records again and decide anew", err)
}

// commitAcross begins a transaction for a commit.
func (c *core) commitAcross(now time.Time, x *committing) {
	plan := c.newPlan(now)
	plan.Worker = x.req.By
	var err error
	if plan.Shares, err = c.led.Shares(&x.none, &x.change, plan.Tx); err != nil {
		x.answer(CommitResult{}, err)
		return
	}
	t := newTransaction(plan)
	t.decide = func(now time.Time) {
		if missing := c.led.Missing(&x.none, &x.change); len(missing) > 0 {
			c.loadAll(missing, func() { c.decideAgain(t) })
			return
		}
		err := c.led.Check(&x.none, &x.change, 0)
		if err == nil {
			err = c.led.Decide(now, t.Row(store.TxCommitted))
		}
		if err != nil {
			c.giveUp(now, t, err)
			return
		}
		c.decided(now, t)
		c.applyCommit(now, x, plan.Tx)
	}
	t.refused = func(now time.Time, err error) { c.commitAborted(now, x, err) }
	c.begin(now, t)
}

// commitAborted tries a commit again whose transaction was aborted, unless that
// cannot help.
func (c *core) commitAborted(now time.Time, x *committing, err error) {
	delay := c.jitter(x.tries)
	x.tries++
	again := mayPass(err) && !errors.Is(err, ledger.ErrConflict)
	switch {
	case again && x.tries < commitTries && now.Add(delay).Before(x.until):
		c.counts.txnRetries.Inc()
		c.later(now, delay, func(now time.Time) { c.tryCommit(now, x) })
	case errors.Is(err, ledger.ErrConflict), errors.Is(err, ledger.ErrPinned):
		x.answer(CommitResult{}, commitConflict(err))
	case mayPass(err):
		x.answer(CommitResult{}, task.Errorf(task.CodeUnavailable, "aborted, nothing was changed: %w: try again", err).WithRetryAfter(reclaimMax))
	default:
		x.answer(CommitResult{}, err)
	}
}

// applyCommit makes this partition's part of a commit take effect with the gathering
// batch.
func (c *core) applyCommit(now time.Time, x *committing, tx task.ID) {
	c.led.Apply(now, ledger.Author{Tx: tx, Worker: x.req.By}, &x.none, &x.change)
	r := CommitResult{Tx: tx}
	if id := x.req.ID; !id.IsZero() {
		at := c.led.Stamp(now)
		c.putMark(&store.Dedup{
			ID: id, State: task.StateDone, Fingerprint: x.sum, CreatedAt: at, FinishedAt: at, Result: resultOf(r), Expires: now.Add(commitWindow),
		})
	}
	c.afterDurable(func() { x.answer(r, nil) })
}

// Commit is a change of records, of any keys, that happens wholly or not at all, and
// only if everything that it read is as it was.
type Commit struct {
	// ID makes a repeat harmless for 24 hours: it is answered as the first one that
	// took effect. Zero: a repeat is another commit.
	ID     task.ID
	Reads  []task.Read
	Writes []task.Write
	// Fences are tokens of locks, of any partitions, that must be the current ones when
	// the commit takes effect.
	Fences []task.Fence
	// By says who commits, for the op log.
	By string
}

// CommitResult says how a commit took effect.
type CommitResult struct {
	Tx        task.ID // the transaction across partitions; zero: there was need of none
	Duplicate bool    // a commit with this ID took effect before; this one did nothing
}

// normalize orders the commit's records, so that a repeat is the same.
func (r *Commit) normalize() {
	slices.SortFunc(r.Reads, func(a, b task.Read) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Name, b.Name))
	})
	slices.SortFunc(r.Writes, func(a, b task.Write) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Name, b.Name))
	})
}

// fence makes the records of the locks a part of what the commit reads: a token is the
// version of its lock's record.
func (r *Commit) fence() {
	for i := range r.Fences {
		r.Reads = append(r.Reads, task.Read{Key: r.Fences[i].Lock, Name: task.LockRecord, Version: r.Fences[i].Token})
	}
	r.normalize()
}

// home is the key whose partition decides: the first that is written, or else read.
func (r *Commit) home() string {
	if len(r.Writes) > 0 {
		return r.Writes[0].Key
	}
	return r.Reads[0].Key
}

// validate reports whether the commit can take effect at all.
func (r *Commit) validate() error {
	n := len(r.Reads) + len(r.Writes) + len(r.Fences)
	if n == 0 {
		return task.Errorf(task.CodeInvalidArgument, "the commit reads and writes no record: give at least one").WithField("writes")
	}
	if n > task.MaxTransaction {
		return task.Errorf(task.CodeTooLarge, "the commit uses %d records; at most %d are allowed", n, task.MaxTransaction)
	}
	size := 0
	for i := range r.Writes {
		w := &r.Writes[i]
		if err := cmp.Or(task.ValidateRecord(w.Key, w.Name, len(w.Value)), task.CheckRecordName(w.Name), task.CheckRecordKey(w.Key)); err != nil {
			return err
		}
		if i > 0 && w.Key == r.Writes[i-1].Key && w.Name == r.Writes[i-1].Name {
			return task.Errorf(task.CodeInvalidArgument, "the commit writes record %q of key %q twice", w.Name, w.Key).WithField("writes")
		}
		size += len(w.Value)
	}
	for i := range r.Reads {
		if err := cmp.Or(task.ValidateRecord(r.Reads[i].Key, r.Reads[i].Name, 0), task.CheckRecordName(r.Reads[i].Name), task.CheckRecordKey(r.Reads[i].Key)); err != nil {
			return err
		}
	}
	for i := range r.Fences {
		if err := r.Fences[i].Validate(); err != nil {
			return err
		}
	}
	if size > task.MaxTransactionBytes {
		return task.Errorf(task.CodeTooLarge, "the commit writes %d bytes; at most %d are allowed", size, task.MaxTransactionBytes)
	}
	return nil
}

// fingerprint is the same for commits of the same content.
func (r *Commit) fingerprint() uint64 {
	var b []byte
	for i := range r.Reads {
		b = task.AppendBytes(append(b, 'r'), r.Reads[i].Key)
		b = binary.AppendUvarint(task.AppendBytes(b, r.Reads[i].Name), r.Reads[i].Version)
	}
	for i := range r.Writes {
		w := &r.Writes[i]
		kind := byte('w')
		if w.Delete {
			kind = 'd'
		}
		if w.Escrow != task.EscrowNone {
			b = binary.AppendVarint(append(b, 'e', byte(w.Escrow)), w.Delta)
		}
		b = task.AppendBytes(append(b, kind), w.Key)
		b = binary.AppendUvarint(task.AppendBytes(b, w.Name), w.Expected)
		b = task.AppendBytes(b, w.Value)
	}
	return xxhash.Sum64(b)
}
