package indexed_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/task"
)

func TestASweepRemovesWhatIsExpiredAndNothingElse(t *testing.T) {
	r := newRig(t)
	r.declare(t, "long", 10*window)
	var stay []broker.Message
	for round := range 3 {
		gone := r.fresh(400)
		for i := range gone[:100] {
			gone[i].ID = task.DeriveID("gone", fmt.Sprint(round, i))
		}
		kept := r.fresh(5)
		for i := range kept {
			kept[i].Queue = "long"
		}
		kept[0].ID = task.DeriveID("kept", fmt.Sprint(round))
		r.taken(t, slices.Concat(gone, kept)...)
		stay = append(stay, kept...)
	}
	r.barrier(t)
	if n := r.rows(t); n != 1215 {
		t.Fatalf("there are %d rows", n)
	}
	r.clock.advance(2 * window)
	young := r.fresh(7)
	r.taken(t, young...)
	if err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.barrier(t)
	if n := r.rows(t); n != len(stay)+len(young) {
		t.Errorf("%d rows are left, want %d", n, len(stay)+len(young))
	}
	if n := r.taken(t, slices.Concat(stay, young)...); n != 0 {
		t.Errorf("%d were taken again after the sweep", n)
	}
}

// rows counts the rows of ids.
func (r *rig) rows(t *testing.T) int {
	t.Helper()
	it, err := r.db.Iter([]byte{kv.SpaceIndexID}, []byte{kv.SpaceIndexID + 1})
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

func TestASweepLeavesWhatIsPublishedMeanwhile(t *testing.T) {
	for name, pick := range map[string]func(batch []broker.Message) broker.Message{
		"a task once more": func(batch []broker.Message) broker.Message { return batch[10] },
		// It lies between the others, and never had a row.
		"an old id for the first time": func(batch []broker.Message) broker.Message {
			late := broker.Message{Queue: "orders", ID: batch[0].ID}
			late.ID[15]++
			return late
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			batch := r.fresh(300)
			r.taken(t, batch...)
			r.barrier(t)
			r.clock.advance(2 * window)
			one := pick(batch)
			err := r.SweepPaused(t.Context(), func() {
				if n := r.taken(t, one); n != 1 {
					t.Error("it was not taken after the window")
				}
				r.barrier(t)
			})
			if err != nil {
				t.Fatal(err)
			}
			r.barrier(t)
			if n := r.taken(t, one); n != 0 {
				t.Error("it was taken again: the sweep removed its new row")
			}
		})
	}
}
