package kv

import (
	"context"
	"errors"
	"testing"
)

func TestMeasureLimitLeavesMarksAndNoTasks(t *testing.T) {
	dir := t.TempDir()
	const lives = 2*LimitBatch + 301
	took, err := MeasureLimit(t.Context(), LimitConfig{Dir: dir, Lives: lives, Payload: 64})
	if err != nil || took <= 0 {
		t.Fatalf("took %v, %v", took, err)
	}
	db, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	count := func(space byte) int {
		it, err := db.Iter([]byte{space}, []byte{space + 1})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ok := it.First(); ok; ok = it.Next() {
			n++
		}
		if err := it.Close(); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if tasks, marks := count(SpaceBrokerLog), count(SpaceBrokerIndex); tasks != 0 || marks != lives {
		t.Errorf("%d tasks and %d marks are left, want 0 and %d", tasks, marks, lives)
	}
}

func TestMeasureLimitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := MeasureLimit(ctx, LimitConfig{Dir: t.TempDir(), Lives: 1 << 40, Payload: 64}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
