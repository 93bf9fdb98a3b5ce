package task_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// TestAKeysPartitionNeverChanges holds the function that decides where rows are
// found: a change would lose everything that was stored.
func TestAKeysPartitionNeverChanges(t *testing.T) {
	for key, want := range map[string]int{"": 9, "sku-1": 13, "sku-2": 5, "85123A": 3, "分发": 6} {
		if got := task.PartitionOf(key, 16); got != want {
			t.Errorf("%q is in partition %d, was in %d", key, got, want)
		}
	}
}

func TestATaskIsInItsKeysPartition(t *testing.T) {
	keyed := task.Task{ID: task.DeriveID("x"), Key: "sku-1"}
	if got := keyed.Partition(16); got != task.PartitionOf("sku-1", 16) {
		t.Errorf("the task is in partition %d, its key in %d", got, task.PartitionOf("sku-1", 16))
	}
	free := task.Task{ID: task.DeriveID("x")}
	if again := (&task.Task{ID: task.DeriveID("x")}); free.Partition(16) != again.Partition(16) {
		t.Error("a repeat of a task without a key does not meet the first one")
	}
}

func TestKeysSpreadOverPartitions(t *testing.T) {
	const keys, partitions = 16_000, 16
	var count [partitions]int
	for i := range keys {
		count[task.PartitionOf(fmt.Sprintf("sku-%d", i), partitions)]++
	}
	for p, n := range count {
		if n < keys/partitions*8/10 || n > keys/partitions*12/10 {
			t.Errorf("partition %d has %d of %d keys", p, n, keys)
		}
	}
}

func TestTimestampsOnlyGrow(t *testing.T) {
	now := time.UnixMicro(1_700_000_000_000_000)
	last := task.Timestamp(0)
	for i, step := range []time.Duration{0, 0, time.Microsecond, -time.Hour, -time.Hour, time.Second, 0} {
		now = now.Add(step)
		next := task.Next(last, now)
		if next <= last {
			t.Fatalf("step %d: %d does not come after %d", i, next, last)
		}
		if ahead := next.Time().Sub(now); ahead < 0 {
			t.Fatalf("step %d: the reading is %v behind the clock", i, -ahead)
		}
		last = next
	}
}

func TestATimestampTellsItsMomentToTheMicrosecond(t *testing.T) {
	at := time.Date(2026, 11, 22, 9, 0, 0, 123_456_789, time.UTC)
	if got, want := task.TimestampAt(at).Time(), at.Truncate(time.Microsecond); !got.Equal(want) {
		t.Errorf("the moment is %v, want %v", got, want)
	}
	if got := task.Timestamp(0).Time(); !got.IsZero() {
		t.Errorf("the unset timestamp is at %v", got)
	}
}
