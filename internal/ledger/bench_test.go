package ledger_test

import (
	"testing"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// BenchmarkHotRecord measures outcomes that all change one record, 256 to a batch.
func BenchmarkHotRecord(b *testing.B) {
	l := ledger.New(ledger.Config{Partitions: 1, Node: "node"}, store.Fence{Epoch: 1})
	tk := &task.Task{ID: task.DeriveID("hot"), Key: "sku"}
	value := make([]byte, 64)
	b.ReportAllocs()
	version := uint64(0)
	for n := 0; b.Loop(); n++ {
		o := &task.Outcome{Writes: []task.Write{{Name: "stock", Expected: version, Value: value}}}
		if len(l.Missing(tk, o)) > 0 {
			b.Fatal("the record is not known")
		}
		if err := l.Check(tk, o, 1); err != nil {
			b.Fatal(err)
		}
		l.Apply(noon, ledger.Author{TaskID: tk.ID, Attempt: 1, Worker: "worker", Token: 1}, tk, o)
		version = l.Record("sku", "stock").Version
		if n%256 == 255 {
			if _, ok := l.Seal(noon); !ok {
				b.Fatal("nothing to seal")
			}
			l.Committed()
		}
	}
}

// BenchmarkTravel measures the records of a key on their way into a lease.
func BenchmarkTravel(b *testing.B) {
	l := ledger.New(ledger.Config{Partitions: 1}, store.Fence{Epoch: 1, Seq: 5})
	l.Fill("sku", []*store.Record{row("sku", "stock", 1, "100"), row("sku", "price", 2, "9.99")}, true)
	b.ReportAllocs()
	for b.Loop() {
		if records, complete := l.Travel("sku"); len(records) != 2 || !complete {
			b.Fatal("the records do not travel")
		}
	}
}
