package partition

import (
	"encoding/binary"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// haltSeq is the number of the parked row that notes that a key waits for a
// person. No task has it: it stands before all of them.
const haltSeq = 0

// haltVersion leads the body of such a row.
const haltVersion = 1

// halted says which dead letter a key waits for.
type halted struct {
	seq  uint64
	at   task.Timestamp
	task task.ID
}

func (h *halted) body() []byte {
	b := binary.LittleEndian.AppendUint64([]byte{haltVersion}, h.seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.at))
	return append(b, h.task[:]...)
}

// parseHalted reads a body; of one that cannot be read it knows nothing, but that
// the key waits.
func parseHalted(body []byte) *halted {
	h := &halted{}
	p := task.NewParser(body)
	if p.Byte() != haltVersion {
		return h
	}
	h.seq, h.at = p.Uint64(), task.Timestamp(p.Uint64())
	if rest := p.Rest(); len(rest) == len(h.task) {
		copy(h.task[:], rest)
	}
	return h
}

// halt notes, with the batch that makes a task a dead letter, that its key waits
// for a person. It does so once that is durable.
func (c *core) halt(l *lane, seq uint64, at task.Timestamp, id task.ID) {
	l.halt = &halted{seq: seq, at: at, task: id}
	row := l.name().row(haltSeq)
	row.Body = l.halt.body()
	c.led.Put(row)
}

// halts takes a key whose dead letter is durable now, and reports whether it waits
// for a person.
func (c *core) halts(now time.Time, l *lane) bool {
	if l.halt == nil {
		return false
	}
	if l.q.OnDead != task.OnDeadHalt {
		c.unhalt(l)
		return true
	}
	l.status = laneHalted
	c.evict(now, l, 0)
	return true
}

// unhalt lets a key go on once that is durable. Until then nothing of it runs, or
// its next dead letter could meet the removal of the note in one batch.
func (c *core) unhalt(l *lane) {
	l.halt = nil
	c.led.Delete(l.name().row(haltSeq))
	l.last = WorkerRef{}
	c.settles(l)
	c.press()
}

// restoreHalted takes a key that waited for a person when the partition was
// claimed. What waits behind its dead letter is in the store.
func (c *core) restoreHalted(note *store.Parked) {
	q := c.queues[note.Queue]
	if q == nil {
		return // the queue was removed
	}
	l := q.laneOfKey(note.Key)
	l.tail, l.halt, l.status = true, parseHalted(note.Body), laneHalted
	if q.OnDead != task.OnDeadHalt || q.Order != task.OrderKey {
		c.unhalt(l) // the setting was changed while nobody owned the partition
	}
}

// resumeKey lets a key go on without its dead letter, and answers once that is
// durable.
func (c *core) resumeKey(queue, key string, answer func(error)) {
	q := c.queues[queue]
	if q == nil || q.lanes[key] == nil || q.lanes[key].halt == nil || q.lanes[key].status != laneHalted {
		answer(task.Errorf(task.CodeFailedPrecondition, "key %q of queue %q does not wait for a person", key, queue).WithField("key"))
		return
	}
	c.endHalt(q.lanes[key])
	c.afterDurable(func() { answer(nil) })
}

// frontShift is between the number of a dead letter and that of the parked row of
// its task where that must run before all others of its key: 17 years of timestamps,
// for which no row waits.
const frontShift = 1 << 61

// front reports whether a parked row stands before all others of its lane because
// its task was a dead letter, at the moment of a timestamp.
func front(at task.Timestamp, seq uint64) bool { return seq <= uint64(at)-frontShift }
