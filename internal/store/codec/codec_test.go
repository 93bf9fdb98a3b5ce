package codec_test

import (
	"bytes"
	"cmp"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/codec"
	"github.com/fenfa/fenfa/internal/store/storetest"
	"github.com/fenfa/fenfa/internal/task"
)

func encode(tb testing.TB, r store.Row) (key, value []byte) {
	tb.Helper()
	key, err := codec.AppendKey(nil, r)
	if err != nil {
		tb.Fatal(err)
	}
	value, err = codec.AppendValue(nil, r)
	if err != nil {
		tb.Fatal(err)
	}
	return key, value
}

func TestRowsComeBackEqual(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, table := range storetest.Tables() {
		t.Run(table.String(), func(t *testing.T) {
			rows := storetest.NastyRows(rng, table)
			for range 500 {
				rows = append(rows, storetest.RandomRow(rng, table))
			}
			for _, want := range rows {
				key, value := encode(t, want)
				got, err := codec.Decode(table, key, value)
				if err != nil {
					t.Fatalf("%+v: %v", want, err)
				}
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("got  %+v\nwant %+v", got, want)
				}
			}
		})
	}
}

func TestKeysSortAsTheirRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, table := range storetest.Tables() {
		t.Run(table.String(), func(t *testing.T) {
			rows := storetest.NastyRows(rng, table)
			keys := make([][]byte, len(rows))
			for i, r := range rows {
				keys[i], _ = encode(t, r)
			}
			for i := range rows {
				for j := range rows {
					want := cmp.Compare(storetest.Compare(rows[i], rows[j]), 0)
					if got := bytes.Compare(keys[i], keys[j]); got != want {
						t.Fatalf("%+v\n%+v\nkeys %x and %x compare as %d, the rows as %d", rows[i], rows[j], keys[i], keys[j], got, want)
					}
					if i != j && bytes.HasPrefix(keys[i], keys[j]) {
						t.Fatalf("key %x is a prefix of %x", keys[j], keys[i])
					}
				}
			}
		})
	}
}

func TestAnyCutOrSurplusIsCorrupt(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, table := range storetest.Tables() {
		t.Run(table.String(), func(t *testing.T) {
			for range 20 {
				key, value := encode(t, storetest.RandomRow(rng, table))
				for cut := range len(key) {
					wantCorrupt(t, table, key[:cut], value)
				}
				for cut := range len(value) {
					wantCorrupt(t, table, key, value[:cut])
				}
				wantCorrupt(t, table, append(bytes.Clone(key), 0), value)
				wantCorrupt(t, table, key, append(bytes.Clone(value), 0))
			}
		})
	}
}

func wantCorrupt(t *testing.T, table store.Table, key, value []byte) {
	t.Helper()
	r, err := codec.Decode(table, key, value)
	if !errors.Is(err, task.ErrCorrupt) {
		t.Fatalf("decode %s key %x value %x: got %+v, %v; want corrupt", table, key, value, r, err)
	}
	if !strings.Contains(err.Error(), table.String()) {
		t.Fatalf("error %q does not name table %s", err, table)
	}
}

func TestBadlyEscapedKeyIsCorrupt(t *testing.T) {
	value := []byte{1, 0}
	for _, key := range []string{
		"q\x00\x02k\x00\x0112345678", "q\x00", "q", "", "q\x00\x01k", "q\x00\x01k\x00\x011234567", "q\x00\x01k\x00\x0312345678",
		"q\x00\x01k\x00\x02\x00\x0112345678", "q\x00\x01k\x00\x02c\x00\x0212345678", "q\x00\x01k\x00\x02c",
	} {
		wantCorrupt(t, store.TableParked, []byte(key), value)
	}
}

func TestUnknownFormatVersionSaysSo(t *testing.T) {
	key, value := encode(t, &store.Outbox{Seq: 1})
	value[0] = 2
	_, err := codec.Decode(store.TableOutbox, key, value)
	if err == nil || !strings.Contains(err.Error(), "format version 2") {
		t.Fatalf("got %v", err)
	}
}

func TestUnknownTableAndFlagsAreCorrupt(t *testing.T) {
	if r, err := codec.Decode(99, nil, []byte{1}); !errors.Is(err, task.ErrCorrupt) {
		t.Errorf("table 99: got %v, %v", r, err)
	}
	for table, at := range map[store.Table]int{store.TableRecord: 1, store.TableDedup: 3, store.TableOpLog: 1, store.TableAttempt: 1, store.TableBranch: 1, store.TableTxn: 1} {
		key, value := encode(t, storetest.RandomRow(rand.New(rand.NewPCG(7, 8)), table))
		value[at] |= 0x80
		wantCorrupt(t, table, key, value)
	}
}

func TestHugeCountOfTriesAllocatesNothing(t *testing.T) {
	key, _ := encode(t, &store.Attempt{})
	value := []byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}
	if allocs := testing.AllocsPerRun(10, func() { wantCorrupt(t, store.TableAttempt, key, value) }); allocs > 50 {
		t.Errorf("%v allocations", allocs)
	}
}

type strange struct{}

func (strange) Table() store.Table { return store.TableRecord }

func TestUnknownRowTypeIsRefused(t *testing.T) {
	if _, err := codec.AppendKey(nil, strange{}); err == nil {
		t.Error("a key was made of a strange row")
	}
	if _, err := codec.AppendValue(nil, strange{}); err == nil {
		t.Error("a value was made of a strange row")
	}
	if _, err := codec.AppendKey(nil, nil); err == nil {
		t.Error("a key was made of no row")
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for _, table := range storetest.Tables() {
		r := storetest.RandomRow(rng, table)
		key, value := encode(t, r)
		longer, err := codec.AppendKey([]byte("before"), r)
		if err != nil || string(longer) != "before"+string(key) {
			t.Errorf("%s: key behind a prefix is %x, %v", table, longer, err)
		}
		longer, err = codec.AppendValue([]byte("before"), r)
		if err != nil || string(longer) != "before"+string(value) {
			t.Errorf("%s: value behind a prefix is %x, %v", table, longer, err)
		}
	}
}

func typicalDedup() *store.Dedup {
	created := task.TimestampAt(time.UnixMicro(1_700_000_000_000_000))
	return &store.Dedup{
		ID: task.DeriveID("typical"), State: task.StateDone, Fingerprint: 0x0123456789abcdef, Queue: "orders", Key: "sku-000042",
		CreatedAt: created, FinishedAt: created + 12_345<<12, Deliveries: 1, Worker: "worker-1", Result: []byte(`"accepted"`),
		Expires: created.Time().Add(24 * time.Hour),
	}
}

func TestDedupIsSmallAndEncodedWithoutAllocation(t *testing.T) {
	r := typicalDedup()
	_, value := encode(t, r)
	if content := len(r.Queue) + len(r.Key) + len(r.Worker) + len(r.Result); len(value) > content+40 {
		t.Errorf("a typical mark takes %d bytes for %d bytes of strings", len(value), content)
	}
	buf := make([]byte, 0, 1024)
	allocs := testing.AllocsPerRun(100, func() {
		b, err := codec.AppendKey(buf[:0], r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := codec.AppendValue(b, r); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestFenceAndMetaComeBackEqual(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 200 {
		want := store.Fence{Epoch: rng.Uint64() >> rng.IntN(64), Seq: rng.Uint64() >> rng.IntN(64), HLC: task.Timestamp(rng.Uint64())}
		want.Chain[rng.IntN(32)] = byte(rng.Uint32())
		want.GC = task.Timestamp(rng.Uint64())
		b := codec.AppendFence(nil, want)
		if got, err := codec.DecodeFence(b); err != nil || got != want {
			t.Fatalf("fence: got %+v, %v; want %+v", got, err, want)
		}
		for cut := range len(b) {
			if _, err := codec.DecodeFence(b[:cut]); !errors.Is(err, task.ErrCorrupt) {
				t.Fatalf("fence cut at %d: %v", cut, err)
			}
		}
		wantVersion, wantValue := rng.Uint64(), bytes.Repeat([]byte{7}, rng.IntN(300))
		b = codec.AppendMeta(nil, wantVersion, wantValue)
		version, value, err := codec.DecodeMeta(b)
		if err != nil || version != wantVersion || !bytes.Equal(value, wantValue) {
			t.Fatalf("meta: got %d %x, %v", version, value, err)
		}
		for cut := range len(b) {
			if _, _, err := codec.DecodeMeta(b[:cut]); !errors.Is(err, task.ErrCorrupt) {
				t.Fatalf("meta cut at %d: %v", cut, err)
			}
		}
	}
}

func BenchmarkAppendDedup(b *testing.B) {
	r := typicalDedup()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = codec.AppendKey(buf[:0], r)
		buf, _ = codec.AppendValue(buf, r)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecodeDedup(b *testing.B) {
	key, value := encode(b, typicalDedup())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := codec.Decode(store.TableDedup, key, value); err != nil {
			b.Fatal(err)
		}
	}
}
