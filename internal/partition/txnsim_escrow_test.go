package partition

import (
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/txn"
)

// The counters of the simulation: each account has a stock, and goods move between
// them.
const (
	txnStock    = 6
	txnStockMax = 12
)

// txnStripped are additions that a mutant keeps from a participant until it applies.
type txnStripped map[string]task.Outcome

// openStocks declares the counters.
func (w *txnWorld) openStocks() {
	for _, key := range w.keys {
		value := task.Counter{Value: txnStock, Max: txnStockMax}.Append(nil)
		req := &Commit{Writes: []task.Write{{Key: key, Name: "stock", Escrow: task.EscrowDeclare, Value: value}}}
		w.of(key).mail.post(func(c *core, now time.Time) {
			c.commit(now, req, now.Add(commitPatience), func(_ CommitResult, err error) { w.must(err) })
		})
	}
}

// goods adds to the stocks of the client's accounts, without reading them.
func (c *txnClient) goods() []task.Write {
	n := int64(1 + c.w.rng.IntN(5))
	add := func(key string, delta int64) task.Write {
		return task.Write{Key: key, Name: "stock", Escrow: task.EscrowAdd, Delta: delta}
	}
	return []task.Write{add(c.keys[0], -n), add(c.keys[1], n)}
}

// move moves goods from the hot account, or to it, and nothing else.
func (c *txnClient) move(change string) {
	c.req = &Commit{ID: task.DeriveID(change), Writes: c.goods()}
	c.begin(change)
}

// looked judges what a plain read of a counter shows.
func (w *txnWorld) looked(r *task.Record) {
	x, err := task.ParseCounter(r.Value)
	if err != nil || !r.Escrow || x.Value+r.ReservedLow < x.Min || x.Value+r.ReservedHigh > x.Max {
		w.failf("a read of the stock of %s shows %+v: %v", r.Key, r, err)
	}
	w.tally.looks++
}

// judgeStocks holds that no counter was ever out of its bounds, that each is what the log
// says, and that goods neither came nor went.
func (w *txnWorld) judgeStocks() {
	sum := int64(0)
	for part := range txnPartitions {
		last := map[string]*store.OpLog{}
		for _, row := range w.table(part, store.TableOpLog) {
			r := row.(*store.OpLog)
			if r.Name != "stock" {
				continue
			}
			if _, err := task.ParseCounter(r.Value); err != nil || r.Op != store.OpEscrow {
				w.failf("op-log row %+v: %v", r, err)
			}
			last[r.Key] = r
		}
		for _, row := range w.table(part, store.TableRecord) {
			r := row.(*store.Record)
			if r.Name != "stock" {
				continue
			}
			if l := last[r.Key]; r.Version != l.Seq || string(r.Value) != string(l.Value) || !r.Escrow || !r.Tx.IsZero() {
				w.failf("record %+v is not what the log says: %+v", r, l)
			}
			x, err := task.ParseCounter(r.Value)
			w.must(err)
			sum += x.Value
		}
	}
	if sum != txnAccounts*txnStock {
		w.failf("the stocks sum to %d, not %d", sum, txnAccounts*txnStock)
	}
}

// strip is the mutant that forgets reservations: a participant checks what is to be
// added, and holds nothing for it. Nothing else goes wrong in its world.
func (w *txnWorld) strip(o *txnOwner, m *txn.Message) {
	at := fmt.Sprint(m.Tx, o.part)
	switch m.Kind {
	case txn.Prepare:
		var kept []*store.Intent
		var adds task.Outcome
		for _, in := range m.Intents {
			if in.Op != store.IntentAdd {
				kept = append(kept, in)
				continue
			}
			adds.Writes = append(adds.Writes, task.Write{Key: in.Key, Name: in.Name, Escrow: task.EscrowAdd, Delta: in.Delta})
		}
		if led := o.core.led; led.Missing(&task.Task{}, &adds) == nil && led.Check(&task.Task{}, &adds, 0) == nil {
			w.stripped[at], m.Intents = adds, kept
		}
	case txn.Apply:
		adds := w.stripped[at]
		delete(w.stripped, at)
		o.mail.post(func(c *core, now time.Time) { applyLate(c, now, m.Tx, &adds) })
	case txn.Voted, txn.Applied, txn.Abort, txn.Ask, txn.Undecided:
	}
}

// applyLate makes additions that nobody holds take effect.
func applyLate(c *core, now time.Time, tx task.ID, adds *task.Outcome) {
	if missing := c.led.Missing(&task.Task{}, adds); len(missing) > 0 {
		c.loadAll(missing, func() { applyLate(c, c.loadedAt, tx, adds) })
		return
	}
	c.led.Apply(now, ledger.Author{Tx: tx}, &task.Task{}, adds)
}
