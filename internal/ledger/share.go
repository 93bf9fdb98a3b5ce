package ledger

import (
	"cmp"
	"slices"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/txn"
)

// Crosses reports whether an outcome of t reads or writes records of other
// partitions.
func (l *Ledger) Crosses(t *task.Task, o *task.Outcome) bool {
	away := func(key string) bool { return key != "" && key != t.Key && !l.local(key) }
	for i := range o.Writes {
		if away(o.Writes[i].Key) {
			return true
		}
	}
	for i := range o.Reads {
		if away(o.Reads[i].Key) {
			return true
		}
	}
	return false
}

// Shares returns what an outcome of t does in other partitions under a transaction,
// ordered by partition. The outcome was checked.
func (l *Ledger) Shares(t *task.Task, o *task.Outcome, tx task.ID) ([]txn.Share, error) {
	var intents []*store.Intent
	written := make(map[RecordKey]*store.Intent)
	for i := range o.Writes {
		w := &o.Writes[i]
		key := l.keyOf(t, w.Key)
		if l.local(key) {
			continue
		}
		in := &store.Intent{Tx: tx, Key: key, Name: w.Name, Op: store.IntentPut, Expected: w.Expected, Value: w.Value}
		switch {
		case w.Escrow == task.EscrowDeclare:
			return nil, task.Errorf(task.CodeInvalidArgument, "record %q of key %q is in another partition than the first record: declare it by a commit of its own", w.Name, key).WithField("writes")
		case w.Escrow == task.EscrowAdd:
			in.Op, in.Value, in.Expected, in.Delta = store.IntentAdd, nil, 0, w.Delta
		case w.Delete:
			in.Op, in.Value = store.IntentDelete, nil
		}
		written[RecordKey{key, w.Name}] = in
		intents = append(intents, in)
	}
	for i := range o.Reads {
		r := &o.Reads[i]
		key := l.keyOf(t, r.Key)
		if l.local(key) {
			continue
		}
		k := RecordKey{key, r.Name}
		if in := written[k]; in != nil && in.Op == store.IntentAdd && in.Expected == 0 {
			in.Expected = r.Version // to add to what was read suffers no others
			continue
		} else if in != nil {
			if version := in.Expected; version != r.Version {
				return nil, task.Errorf(task.CodeInvalidArgument, "record %q of key %q is read at version %d and at version %d", r.Name, key, version, r.Version)
			}
			continue
		}
		if err := task.ValidateRecord(key, r.Name, 0); err != nil {
			return nil, err
		}
		in := &store.Intent{Tx: tx, Key: key, Name: r.Name, Op: store.IntentRead, Expected: r.Version}
		written[k] = in
		intents = append(intents, in)
	}
	if len(intents) > task.MaxTransaction {
		return nil, task.Errorf(task.CodeTooLarge, "the transaction uses %d records of other partitions; at most %d are allowed", len(intents), task.MaxTransaction)
	}
	size := 0
	for _, in := range intents {
		size += len(in.Value)
	}
	if size > task.MaxTransactionBytes {
		return nil, task.Errorf(task.CodeTooLarge, "the transaction writes %d bytes into other partitions; at most %d are allowed", size, task.MaxTransactionBytes)
	}
	return l.split(intents), nil
}

// split orders intents and groups them by partition.
func (l *Ledger) split(intents []*store.Intent) (shares []txn.Share) {
	part := func(in *store.Intent) int { return task.PartitionOf(in.Key, l.cfg.Partitions) }
	slices.SortFunc(intents, func(a, b *store.Intent) int {
		return cmp.Or(cmp.Compare(part(a), part(b)), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Name, b.Name))
	})
	for _, in := range intents {
		if n := len(shares); n == 0 || shares[n-1].Part != part(in) {
			shares = append(shares, txn.Share{Part: part(in)})
		}
		last := &shares[len(shares)-1]
		last.Intents = append(last.Intents, in)
	}
	return shares
}
