package partition

import (
	"errors"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// holdFor holds partition 0 back for some time, and returns when it is held.
func (r *engineRig) holdFor(d time.Duration) {
	r.t.Helper()
	release, err := r.e.owners[0].holdBack(r.t.Context(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	time.AfterFunc(d, release)
}

// keyIn returns a key of the partition.
func keyIn(part, partitions int) string {
	for key := "k"; ; key += "k" {
		if task.PartitionOf(key, partitions) == part {
			return key
		}
	}
}

func TestWhoAsksAPartitionThatIsMovedWaitsForIt(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		key := keyIn(0, 2)
		r.holdFor(time.Second)
		version, err := r.e.PutRecord(r.t.Context(), task.Write{Key: key, Name: "n", Value: []byte("v")}, false)
		if err != nil {
			t.Fatal(err)
		}
		r.holdFor(time.Second)
		if got, err := r.e.GetRecord(r.t.Context(), key, "n"); err != nil || got.Version != version {
			t.Errorf("read %+v, %v", got, err)
		}
	})
}

func TestWhoAsksAPartitionThatStaysAwayIsToldSo(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		key := keyIn(0, 2)
		r.holdFor(time.Hour)
		for _, want := range []time.Duration{askPatience, 0} { // after that it is known to be away
			began := time.Now()
			_, err := r.e.GetRecord(r.t.Context(), key, "n")
			if e, ok := errors.AsType[*task.Error](err); !ok || e.Code != task.CodeUnavailable || e.RetryAfter == 0 || time.Since(began) != want {
				t.Errorf("%v after %v, want it after %v", err, time.Since(began), want)
			}
		}
		if _, err := r.e.GetRecord(r.t.Context(), keyIn(1, 2), "n"); task.CodeOf(err) != task.CodeNotFound {
			t.Errorf("the other partition says %v", err)
		}
		r.wait(time.Hour) // it is claimed again
		if _, err := r.e.GetRecord(r.t.Context(), key, "n"); task.CodeOf(err) != task.CodeNotFound {
			t.Errorf("after the hold: %v", err)
		}
	})
}
