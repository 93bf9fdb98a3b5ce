package partition

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/task"
)

// seen is the value of the record in which a key keeps the highest token that it
// has seen of a lock of another partition.
type seen struct {
	Lock  string `json:"lock"`
	Token uint64 `json:"token"`
}

// fencing returns the record that decides over the fence of a write: the lock's own
// where it is of this partition, else what the written key has seen of it.
func (c *core) fencing(w *task.Write) []ledger.RecordKey {
	switch {
	case w.Fence == nil:
		return nil
	case c.local(w.Fence.Lock):
		return []ledger.RecordKey{{Key: w.Fence.Lock, Name: task.LockRecord}}
	default:
		return []ledger.RecordKey{{Key: w.Key, Name: w.Fence.Record()}}
	}
}

func (c *core) local(key string) bool { return task.PartitionOf(key, c.cfg.Partitions) == c.cfg.Part }

// checkFence refuses a write whose token is not the current one, or lower than one
// that the key has seen. What decides must be known.
func (c *core) checkFence(w *task.Write) error {
	if w.Fence == nil {
		return nil
	}
	if c.local(w.Fence.Lock) {
		if now := c.led.Record(w.Fence.Lock, task.LockRecord).Version; now != w.Fence.Token {
			return task.Errorf(task.CodeStale, "token %d of lock %q has ended: the write to record %q of key %q is refused",
				w.Fence.Token, w.Fence.Lock, w.Name, w.Key).WithField("fence.token")
		}
		return nil
	}
	if highest := c.seen(w); w.Fence.Token < highest {
		return task.Errorf(task.CodeStale, "token %d of lock %q is older than %d, which key %q has seen: the write to record %q is refused",
			w.Fence.Token, w.Fence.Lock, highest, w.Key, w.Name).WithField("fence.token")
	}
	return nil
}

// seen is the highest token of the fence's lock that the written key has seen.
func (c *core) seen(w *task.Write) uint64 {
	var s seen
	if r := c.led.Record(w.Key, w.Fence.Record()); r.Version != 0 {
		if err := json.Unmarshal(r.Value, &s); err != nil {
			return 0 // It never was one of ours; the next write makes it one.
		}
	}
	return s.Token
}

// keepFence remembers the token of a write that was allowed, in the same batch.
func (c *core) keepFence(now time.Time, w *task.Write) {
	if w.Fence == nil || c.local(w.Fence.Lock) || w.Fence.Token <= c.seen(w) {
		return
	}
	value, err := json.Marshal(seen{w.Fence.Lock, w.Fence.Token})
	if err != nil {
		panic(fmt.Sprintf("encode a token: %v", err)) // A string and a number always have a form.
	}
	c.led.Keep(now, &task.Write{Key: w.Key, Name: w.Fence.Record(), Value: value})
}
