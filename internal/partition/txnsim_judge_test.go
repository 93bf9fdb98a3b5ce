package partition

import (
	"context"
	"maps"
	"slices"

	recorded "github.com/fenfa/fenfa/internal/history"
	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// txnLogged is a version of an account in the op log.
type txnLogged struct {
	part int
	row  *store.OpLog
	by   string
}

// judge looks at everything when the run is over.
func (w *txnWorld) judge() {
	for part, o := range w.owners {
		c := o.core
		if n := len(c.txns) + len(c.waiters) + len(c.commits) + c.inDoubt + len(c.led.InDoubt()) + len(c.led.Unconfirmed()); n != 0 {
			w.failf("part %d: %d transactions, %d waiters, %d commits and %d branches are left", part, len(c.txns), len(c.waiters), len(c.commits), c.inDoubt)
		}
		for _, row := range w.table(part, store.TableBranch) {
			if b := row.(*store.Branch); b.State != store.TxAborted {
				w.failf("part %d: branch %+v is left", part, b)
			}
		}
		if rows := w.table(part, store.TableIntent); len(rows) > 0 {
			w.failf("part %d: intent %+v is left", part, rows[0])
		}
		for _, row := range w.table(part, store.TableTxn) {
			if x := row.(*store.Txn); x.State != store.TxAborted {
				w.failf("part %d: decision %+v is left", part, x)
			}
		}
	}
	log := w.log()
	w.judgeRecords(log)
	w.judgeEffects(log)
	w.judgeReads(log)
	w.judgeOrder(log)
	w.judgeStocks()
}

func (w *txnWorld) table(part int, table store.Table) []store.Row {
	rows, err := w.store.Load(context.Background(), store.Scan{Part: part, Table: table, Limit: 1_000_000})
	w.must(err)
	return rows
}

// log reads the op logs, and checks their numbers and chains.
func (w *txnWorld) log() map[string][]txnLogged {
	log := map[string][]txnLogged{}
	for part := range txnPartitions {
		var chain [32]byte
		for i, row := range w.table(part, store.TableOpLog) {
			r := row.(*store.OpLog)
			if r.Seq != uint64(i+1) {
				w.failf("part %d: op log has %d after %d rows", part, r.Seq, i)
			}
			if chain, _ = ledger.Chain(chain, r, nil); chain != r.Hash {
				w.failf("part %d: the chain of the op log breaks at %d", part, r.Seq)
			}
			if r.Name != "balance" {
				continue
			}
			log[r.Key] = append(log[r.Key], txnLogged{part, r, decodeBalance(w, r.Value).By})
		}
	}
	return log
}

// judgeRecords holds that the records are what the log says, held by nobody, and
// that no money came or went.
func (w *txnWorld) judgeRecords(log map[string][]txnLogged) {
	sum := 0
	for part := range txnPartitions {
		for _, row := range w.table(part, store.TableRecord) {
			r := row.(*store.Record)
			if r.Name != "balance" {
				continue
			}
			last := log[r.Key][len(log[r.Key])-1].row
			if r.Version != last.Seq || string(r.Value) != string(last.Value) || !r.Tx.IsZero() {
				w.failf("record %+v is not what the log says: %+v", r, last)
			}
			sum += decodeBalance(w, r.Value).Amount
		}
	}
	if sum != txnAccounts*txnOpening {
		w.failf("the accounts sum to %d, not %d", sum, txnAccounts*txnOpening)
	}
}

// judgeEffects holds that each change happened wholly and once, or not at all, and as
// its client was told.
func (w *txnWorld) judgeEffects(log map[string][]txnLogged) {
	count := map[string]map[string]int{}
	txns := map[string]task.ID{}
	for key, versions := range log {
		for _, v := range versions {
			if count[v.by] == nil {
				count[v.by] = map[string]int{}
				txns[v.by] = v.row.Tx
			}
			count[v.by][key]++
			if txns[v.by] != v.row.Tx && v.by != "opening" {
				w.failf("%s is of two transactions: %s and %s", v.by, txns[v.by], v.row.Tx)
			}
		}
	}
	for _, change := range slices.Sorted(maps.Keys(w.txns)) {
		x := w.txns[change]
		err, answered := w.ends[change]
		for _, key := range x.writes {
			n := count[change][key]
			if n > 1 || answered && (err == nil) != (n == 1) || (n == 1) != (count[change][x.writes[0]] == 1) {
				w.failf("%s (answered %v: %v) changed %s %d times, and others %v", change, answered, err, key, n, count[change])
			}
		}
	}
}

// judgeReads holds that plain reads saw what was committed, and nothing older than
// what had been confirmed before.
func (w *txnWorld) judgeReads(log map[string][]txnLogged) {
	for _, r := range w.reads {
		at := slices.IndexFunc(log[r.key], func(v txnLogged) bool { return v.row.Seq == r.version })
		if at < 0 || log[r.key][at].by != r.by {
			w.failf("a read of %s saw version %d by %s, which is not in the log", r.key, r.version, r.by)
		}
		for _, change := range r.after {
			if newer := slices.IndexFunc(log[r.key], func(v txnLogged) bool { return v.by == change }); newer > at {
				w.failf("a read of %s saw version %d by %s after %s had been confirmed", r.key, r.version, r.by, change)
			}
		}
	}
}

// judgeOrder holds that the transactions have an order.
func (w *txnWorld) judgeOrder(log map[string][]txnLogged) {
	made := map[string][]recorded.Seen{}
	for _, key := range slices.Sorted(maps.Keys(log)) {
		for _, v := range log[key] {
			made[v.by] = append(made[v.by], recorded.Seen{Key: key, Name: "balance", Version: v.row.Seq})
		}
	}
	var h recorded.History
	for _, change := range slices.Sorted(maps.Keys(w.txns)) {
		err, answered := w.ends[change]
		if answered && err != nil || !answered && len(made[change]) == 0 {
			continue
		}
		x := recorded.Transaction{ID: change, Writes: made[change]}
		for _, r := range w.txns[change].reads {
			x.Reads = append(x.Reads, recorded.Seen{Key: r.Key, Name: r.Name, Version: r.Version})
		}
		h.Transactions = append(h.Transactions, x)
	}
	if r := recorded.Check(h); !r.OK() {
		w.failf("the transactions have no order: %s", r.String())
	}
}
