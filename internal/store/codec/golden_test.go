package codec_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/codec"
	"github.com/fenfa/fenfa/internal/task"
)

// update rewrites the fixtures of the current version. Data directories are
// full of these bytes: a changed fixture means a new format version.
var update = flag.Bool("update", false, "rewrite the golden files")

// goldenRows has every field set, and one row of each kind with none.
func goldenRows() map[string]store.Row {
	id, tx := task.DeriveID("golden"), task.DeriveID("transaction")
	at := task.TimestampAt(time.UnixMicro(1_700_000_000_123_456)) + 7
	due := time.UnixMicro(1_700_000_600_000_000).UTC()
	tries := []store.Try{{At: at, Worker: "worker-1", Error: "no stock"}, {At: at + 4096, Worker: "worker-2", Error: ""}}
	var hash [32]byte
	for i := range hash {
		hash[i] = byte(i)
	}
	return map[string]store.Row{
		"record":         &store.Record{Key: "sku\x00-1", Name: "stock", Version: 300, Value: []byte(`{"n":5}`), UpdatedAt: at, TaskID: id, Tx: tx},
		"record-empty":   &store.Record{},
		"dedup":          &store.Dedup{ID: id, State: task.StateDone, Fingerprint: 0xfedcba9876543210, Queue: "orders", Key: "sku-1", Ref: 77, Due: due, CreatedAt: at, FinishedAt: at + 5_000<<12, Attempts: 2, Deliveries: 3, Worker: "worker-1", Result: []byte("ok"), Error: "none", Expires: due.Add(24 * time.Hour)},
		"dedup-empty":    &store.Dedup{},
		"dedup-took":     &store.Dedup{ID: id, State: task.StateDone, Queue: "orders", CreatedAt: at, FinishedAt: at + 5_000<<12, Deliveries: 1, Took: 1_234 * time.Microsecond, Worker: "worker-1", Expires: due.Add(24 * time.Hour)},
		"dedup-type":     &store.Dedup{ID: id, State: task.StateCancelled, Queue: "orders", Type: "charge", CreatedAt: at, FinishedAt: at + 5_000<<12, Expires: due.Add(24 * time.Hour)},
		"oplog":          &store.OpLog{Seq: 301, HLC: at, Op: store.OpPut, Key: "sku-1", Name: "stock", Before: 300, After: 301, Value: []byte("4"), TaskID: id, Attempt: 1, Node: "node-a", Worker: "worker-1", Hash: hash},
		"oplog-empty":    &store.OpLog{},
		"outbox":         &store.Outbox{Seq: 9, Body: []byte("task")},
		"outbox-empty":   &store.Outbox{},
		"schedule":       &store.Schedule{Due: due, Seq: 10, Body: []byte("task")},
		"schedule-empty": &store.Schedule{},
		"parked":         &store.Parked{Queue: "orders", Key: "sku-1", Seq: 11, Body: []byte("task")},
		"parked-class":   &store.Parked{Queue: "orders", Class: "gpu,zone=a", Seq: 12, Body: []byte("task")},
		"parked-empty":   &store.Parked{},
		"attempt-again":  &store.Attempt{ID: id, Attempts: 1, Deliveries: 1, Requeues: 2},
		"attempt":        &store.Attempt{ID: id, Attempts: 2, Deliveries: 3, NextAt: due, Tries: tries},
		"attempt-took":   &store.Attempt{ID: id, Attempts: 2, Deliveries: 3, Tries: []store.Try{{At: at, Took: 1234 * time.Microsecond, Worker: "worker-1", Error: "no stock"}, {At: at + 4096, Worker: "worker-2"}}},
		"attempt-empty":  &store.Attempt{},
		"dead-again":     &store.Dead{Queue: "orders", Seq: 12, Body: []byte("task"), Reason: "attempts exhausted", DiedAt: at, Attempts: 10, Deliveries: 12, Tries: tries, Requeues: 300},
		"dead":           &store.Dead{Queue: "orders", Seq: 12, Body: []byte("task"), Reason: "attempts exhausted", DiedAt: at, Attempts: 10, Deliveries: 12, Tries: tries},
		"dead-empty":     &store.Dead{},
		"record-escrow":  &store.Record{Key: "sku-1", Name: "stock", Version: 300, Value: []byte(`{"value":5,"min":0}`), UpdatedAt: at, Escrow: true},
		"oplog-tx":       &store.OpLog{Seq: 302, HLC: at, Op: store.OpEscrow, Key: "sku-1", Name: "stock", Before: 301, After: 302, Value: []byte("4"), TaskID: id, Attempt: 1, Node: "node-a", Worker: "worker-1", Tx: tx, Hash: hash},
		"branch":         &store.Branch{Tx: tx, State: store.TxPrepared, Home: 7, Began: at, At: at + 4096, Deadline: due, TaskID: id, Attempt: 2, Worker: "worker-1"},
		"branch-empty":   &store.Branch{},
		"intent":         &store.Intent{Tx: tx, Key: "sku-1", Name: "stock", Op: store.IntentPut, Expected: 300, Value: []byte("4"), Delta: -3},
		"intent-empty":   &store.Intent{},
		"txn":            &store.Txn{Tx: tx, State: store.TxCommitted, Began: at, At: at + 4096, TaskID: id, Parts: []int{3, 300}},
		"txn-empty":      &store.Txn{},
	}
}

func TestStoredFormOfRowsDoesNotChange(t *testing.T) {
	for name, row := range goldenRows() {
		t.Run(name, func(t *testing.T) {
			key, value := encode(t, row)
			golden(t, name, key, value)
			wantKey, wantValue := readGolden(t, name)
			back, err := codec.Decode(row.Table(), wantKey, wantValue)
			if err != nil || !reflect.DeepEqual(back, row) {
				t.Errorf("the fixture reads as %+v, %v\nwant %+v", back, err, row)
			}
		})
	}
}

func TestStoredFormOfFenceAndMetaDoesNotChange(t *testing.T) {
	fence := store.Fence{Epoch: 3, Seq: 301, HLC: 0x1122334455667788}
	fence.Chain[0], fence.Chain[31] = 0xaa, 0xbb
	_, old := readGolden(t, "fence")
	if got, err := codec.DecodeFence(old); err != nil || got != fence {
		t.Errorf("the fixture of version 1 reads as %+v, %v\nwant %+v", got, err, fence)
	}
	fence.GC = 0x0102030405060708
	golden(t, "fence-v2", nil, codec.AppendFence(nil, fence))
	golden(t, "meta", nil, codec.AppendMeta(nil, 200, []byte("value")))
}

// golden compares with, or writes, a file of two hex lines: key and value.
func golden(t *testing.T, name string, key, value []byte) {
	t.Helper()
	path := goldenPath(name)
	if *update {
		if err := os.WriteFile(path, fmt.Appendf(nil, "%x\n%x\n", key, value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantKey, wantValue := readGolden(t, name)
	if string(key) != string(wantKey) || string(value) != string(wantValue) {
		t.Errorf("the stored form changed\nkey   %x\nwant  %x\nvalue %x\nwant  %x", key, wantKey, value, wantValue)
	}
}

func goldenPath(name string) string { return filepath.Join("testdata", "v1", name+".hex") }

func readGolden(t *testing.T, name string) (key, value []byte) {
	t.Helper()
	text, err := os.ReadFile(goldenPath(name))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) != 3 {
		t.Fatalf("%s has %d lines, want a key and a value", name, len(lines)-1)
	}
	if key, err = hex.DecodeString(lines[0]); err == nil {
		value, err = hex.DecodeString(lines[1])
	}
	if err != nil {
		t.Fatal(err)
	}
	return key, value
}
