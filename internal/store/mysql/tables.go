package mysql

import (
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// tables lists the descriptions of all tables of the port. Columns that people
// read and this driver does not, like updated_at beside updated_hlc, are computed
// by the server.
func tables() []*table {
	return []*table{
		recordTable(), dedupTable(), opLogTable(), outboxTable(), scheduleTable(), parkedTable(), attemptTable(), deadTable(),
		branchTable(), intentTable(), txnTable(),
	}
}

func recordTable() *table {
	type row = store.Record
	return &table{
		id: store.TableRecord, make: func() store.Row { return &row{} }, is: is[row],
		key: []column{
			text("entity_key", func(r *row) *string { return &r.Key }),
			text("name", func(r *row) *string { return &r.Name }),
		},
		values: []column{
			number("version", func(r *row) *uint64 { return &r.Version }),
			blob("value", func(r *row) *[]byte { return &r.Value }),
			number("updated_hlc", func(r *row) *task.Timestamp { return &r.UpdatedAt }),
			id("task_id", func(r *row) *task.ID { return &r.TaskID }),
			id("tx", func(r *row) *task.ID { return &r.Tx }),
			flag("escrow", func(r *row) *bool { return &r.Escrow }),
		},
	}
}

// is reports whether a row has the type *R.
func is[R any](r store.Row) bool {
	_, ok := any(r).(*R)
	return ok
}

// words are those of a list of numbers that stand for them.
func words[N interface {
	~uint8
	String() string
}](first, last N,
) []string {
	list := make([]string, last+1)
	for n := first; n <= last; n++ {
		list[n] = n.String()
	}
	return list
}

func dedupTable() *table {
	type row = store.Dedup
	return &table{
		id: store.TableDedup, make: func() store.Row { return &row{} }, is: is[row],
		key: []column{keyID("task_id", func(r *row) *task.ID { return &r.ID })},
		values: []column{
			word("state", words(task.StateUnknown, task.StateExpired), func(r *row) *task.State { return &r.State }),
			text("queue", func(r *row) *string { return &r.Queue }),
			text("entity_key", func(r *row) *string { return &r.Key }),
			text("type", func(r *row) *string { return &r.Type }),
			number("fingerprint", func(r *row) *uint64 { return &r.Fingerprint }),
			number("ref", func(r *row) *uint64 { return &r.Ref }),
			moment("due_us", func(r *row) *time.Time { return &r.Due }),
			number("created_hlc", func(r *row) *task.Timestamp { return &r.CreatedAt }),
			number("finished_hlc", func(r *row) *task.Timestamp { return &r.FinishedAt }),
			span("took_us", func(r *row) *time.Duration { return &r.Took }),
			count("attempts", func(r *row) *int { return &r.Attempts }),
			count("deliveries", func(r *row) *int { return &r.Deliveries }),
			text("worker", func(r *row) *string { return &r.Worker }),
			blob("result", func(r *row) *[]byte { return &r.Result }),
			text("error", func(r *row) *string { return &r.Error }),
			moment("expires_us", func(r *row) *time.Time { return &r.Expires }),
		},
	}
}

func opLogTable() *table {
	type row = store.OpLog
	return &table{
		id: store.TableOpLog, make: func() store.Row { return &row{} }, is: is[row],
		key: []column{number("seq", func(r *row) *uint64 { return &r.Seq })},
		values: []column{
			number("hlc", func(r *row) *task.Timestamp { return &r.HLC }),
			word("op", words(store.OpPut, store.OpEscrow), func(r *row) *store.Op { return &r.Op }),
			text("entity_key", func(r *row) *string { return &r.Key }),
			text("name", func(r *row) *string { return &r.Name }),
			number("version_before", func(r *row) *uint64 { return &r.Before }),
			number("version_after", func(r *row) *uint64 { return &r.After }),
			blob("value", func(r *row) *[]byte { return &r.Value }),
			id("task_id", func(r *row) *task.ID { return &r.TaskID }),
			count("attempt", func(r *row) *int { return &r.Attempt }),
			text("node", func(r *row) *string { return &r.Node }),
			text("worker", func(r *row) *string { return &r.Worker }),
			id("tx", func(r *row) *task.ID { return &r.Tx }),
			digest("hash", func(r *row) *[32]byte { return &r.Hash }),
		},
	}
}

func outboxTable() *table {
	type row = store.Outbox
	return &table{
		id: store.TableOutbox, make: func() store.Row { return &row{} }, is: is[row],
		key:    []column{number("seq", func(r *row) *uint64 { return &r.Seq })},
		values: []column{blob("body", func(r *row) *[]byte { return &r.Body })},
	}
}

func scheduleTable() *table {
	type row = store.Schedule
	return &table{
		id: store.TableSchedule, make: func() store.Row { return &row{} }, is: is[row],
		key: []column{
			keyMoment("due_us", func(r *row) *time.Time { return &r.Due }),
			number("seq", func(r *row) *uint64 { return &r.Seq }),
		},
		values: []column{blob("body", func(r *row) *[]byte { return &r.Body })},
	}
}

func parkedTable() *table {
	type row = store.Parked
	return &table{
		id: store.TableParked, make: func() store.Row { return &row{} }, is: is[row],
		key: []column{
			text("queue", func(r *row) *string { return &r.Queue }),
			text("entity_key", func(r *row) *string { return &r.Key }),
			text("class", func(r *row) *string { return &r.Class }),
			number("seq", func(r *row) *uint64 { return &r.Seq }),
		},
		values: []column{blob("body", func(r *row) *[]byte { return &r.Body })},
	}
}

func attemptTable() *table {
	type row = store.Attempt
	return &table{
		id: store.TableAttempt, make: func() store.Row { return &row{} }, is: is[row],
		key: []column{keyID("task_id", func(r *row) *task.ID { return &r.ID })},
		values: []column{
			count("attempts", func(r *row) *int { return &r.Attempts }),
			count("deliveries", func(r *row) *int { return &r.Deliveries }),
			moment("next_us", func(r *row) *time.Time { return &r.NextAt }),
			tries("tries", func(r *row) *[]store.Try { return &r.Tries }),
			count("requeues", func(r *row) *int { return &r.Requeues }),
		},
	}
}

func deadTable() *table {
	type row = store.Dead
	return &table{
		id: store.TableDead, make: func() store.Row { return &row{} }, is: is[row],
		key: []column{
			text("queue", func(r *row) *string { return &r.Queue }),
			number("seq", func(r *row) *uint64 { return &r.Seq }),
		},
		values: []column{
			text("reason", func(r *row) *string { return &r.Reason }),
			number("died_hlc", func(r *row) *task.Timestamp { return &r.DiedAt }),
			count("attempts", func(r *row) *int { return &r.Attempts }),
			count("deliveries", func(r *row) *int { return &r.Deliveries }),
			tries("tries", func(r *row) *[]store.Try { return &r.Tries }),
			count("requeues", func(r *row) *int { return &r.Requeues }),
			blob("body", func(r *row) *[]byte { return &r.Body }),
		},
	}
}

func branchTable() *table {
	type row = store.Branch
	return &table{
		id: store.TableBranch, make: func() store.Row { return &row{} }, is: is[row],
		key: []column{keyID("tx", func(r *row) *task.ID { return &r.Tx })},
		values: []column{
			word("state", words(store.TxPrepared, store.TxAborted), func(r *row) *store.TxState { return &r.State }),
			count("home", func(r *row) *int { return &r.Home }),
			number("began_hlc", func(r *row) *task.Timestamp { return &r.Began }),
			number("changed_hlc", func(r *row) *task.Timestamp { return &r.At }),
			moment("deadline_us", func(r *row) *time.Time { return &r.Deadline }),
			id("task_id", func(r *row) *task.ID { return &r.TaskID }),
			count("attempt", func(r *row) *int { return &r.Attempt }),
			text("worker", func(r *row) *string { return &r.Worker }),
		},
	}
}

func intentTable() *table {
	type row = store.Intent
	return &table{
		id: store.TableIntent, make: func() store.Row { return &row{} }, is: is[row],
		key: []column{
			keyID("tx", func(r *row) *task.ID { return &r.Tx }),
			text("entity_key", func(r *row) *string { return &r.Key }),
			text("name", func(r *row) *string { return &r.Name }),
		},
		values: []column{
			word("op", words(store.IntentPut, store.IntentAdd), func(r *row) *store.IntentOp { return &r.Op }),
			number("expected", func(r *row) *uint64 { return &r.Expected }),
			blob("value", func(r *row) *[]byte { return &r.Value }),
			signed("delta", func(r *row) *int64 { return &r.Delta }),
		},
	}
}

func txnTable() *table {
	type row = store.Txn
	return &table{
		id: store.TableTxn, make: func() store.Row { return &row{} }, is: is[row],
		key: []column{keyID("tx", func(r *row) *task.ID { return &r.Tx })},
		values: []column{
			word("state", words(store.TxPrepared, store.TxAborted), func(r *row) *store.TxState { return &r.State }),
			number("began_hlc", func(r *row) *task.Timestamp { return &r.Began }),
			number("decided_hlc", func(r *row) *task.Timestamp { return &r.At }),
			id("task_id", func(r *row) *task.ID { return &r.TaskID }),
			list("parts", func(r *row) *[]int { return &r.Parts }),
		},
	}
}
