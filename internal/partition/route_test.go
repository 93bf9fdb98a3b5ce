package partition

import (
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

func TestTasksWithoutAKeyGoToPartitionsInRuns(t *testing.T) {
	e := &Engine{cfg: Config{Partitions: 16}, dedupes: true}
	counts := make(map[int]int)
	for range 4 { // calls
		route := router{e: e}
		last, changes := -1, 0
		for range 300 {
			part := route.partition(&task.Task{ID: task.NewID(time.Now())})
			if part != last {
				changes++
			}
			last = part
			counts[part]++
		}
		if want := (300 + keylessRun - 1) / keylessRun; changes != want {
			t.Errorf("300 tasks went to %d partitions in turn, want %d", changes, want)
		}
	}
	for part, n := range counts {
		if n > keylessRun {
			t.Errorf("partition %d got %d tasks while others had none", part, n)
		}
	}
}

func TestAKeyDecidesThePartitionWhateverTheRun(t *testing.T) {
	e := &Engine{cfg: Config{Partitions: 16}, dedupes: true}
	route := router{e: e}
	for range 500 {
		route.partition(&task.Task{ID: task.NewID(time.Now())})
		if got, want := route.partition(&task.Task{Key: "sku-1"}), task.PartitionOf("sku-1", 16); got != want {
			t.Fatalf("partition %d, want %d", got, want)
		}
	}
}

func TestWithoutRecognitionOfRepeatsTheIDDecidesThePartition(t *testing.T) {
	e := &Engine{cfg: Config{Partitions: 16}}
	seen := make(map[int]bool)
	for i := range 200 {
		once, again := router{e: e}, router{e: e}
		again.partition(&task.Task{ID: task.NewID(time.Now())})
		x := task.Task{ID: task.DeriveID("task", string(rune('a'+i)))}
		part := once.partition(&x)
		if got := again.partition(&x); got != part {
			t.Fatalf("a repeat went to partition %d, the first to %d", got, part)
		}
		seen[part] = true
	}
	if len(seen) < 12 {
		t.Errorf("200 tasks went to %d of 16 partitions", len(seen))
	}
}
