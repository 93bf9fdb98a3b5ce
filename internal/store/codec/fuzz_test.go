package codec_test

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/codec"
	"github.com/fenfa/fenfa/internal/store/storetest"
	"github.com/fenfa/fenfa/internal/task"
)

// FuzzDecode feeds the decoder any bytes: it answers with a row that survives
// another round, or with ErrCorrupt.
func FuzzDecode(f *testing.F) {
	rng := rand.New(rand.NewPCG(13, 14))
	for _, table := range storetest.Tables() {
		for range 4 {
			key, value := encode(f, storetest.RandomRow(rng, table))
			f.Add(byte(table), key, value)
		}
	}
	f.Add(byte(0), []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, number byte, key, value []byte) {
		table := store.Table(number)
		row, err := codec.Decode(table, key, value)
		if err != nil {
			if !errors.Is(err, task.ErrCorrupt) {
				t.Fatalf("error %v is not ErrCorrupt", err)
			}
			return
		}
		key2, value2 := encode(t, row)
		again, err := codec.Decode(table, key2, value2)
		if err != nil || !reflect.DeepEqual(again, row) {
			t.Fatalf("row %+v came back as %+v, %v", row, again, err)
		}
		if string(key2) != string(key) {
			t.Fatalf("key %x was written as %x", key, key2)
		}
	})
}

// FuzzDecodeFence does the same for heads of partitions.
func FuzzDecodeFence(f *testing.F) {
	f.Add(codec.AppendFence(nil, store.Fence{}))
	f.Add(codec.AppendFence(nil, store.Fence{Epoch: 1, Seq: 1 << 40, HLC: 1 << 60}))
	f.Fuzz(func(t *testing.T, b []byte) {
		fence, err := codec.DecodeFence(b)
		if err != nil {
			if !errors.Is(err, task.ErrCorrupt) {
				t.Fatalf("error %v is not ErrCorrupt", err)
			}
			return
		}
		if again, err := codec.DecodeFence(codec.AppendFence(nil, fence)); err != nil || again != fence {
			t.Fatalf("fence %+v came back as %+v, %v", fence, again, err)
		}
	})
}

// FuzzDecodeMeta does the same for named values.
func FuzzDecodeMeta(f *testing.F) {
	f.Add(codec.AppendMeta(nil, 0, nil))
	f.Add(codec.AppendMeta(nil, 1<<63, []byte("value")))
	f.Fuzz(func(t *testing.T, b []byte) {
		version, value, err := codec.DecodeMeta(b)
		if err != nil {
			if !errors.Is(err, task.ErrCorrupt) {
				t.Fatalf("error %v is not ErrCorrupt", err)
			}
			return
		}
		version2, value2, err := codec.DecodeMeta(codec.AppendMeta(nil, version, value))
		if err != nil || version2 != version || string(value2) != string(value) {
			t.Fatalf("value %d %x came back as %d %x, %v", version, value, version2, value2, err)
		}
	})
}
