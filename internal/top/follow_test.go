package top

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestFollowHandsInFiguresWithRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enough := errors.New("enough")
		start := time.Now()
		source := &scripted{snapshot: func(n int) (Snapshot, error) {
			if n == 3 {
				return Snapshot{}, errors.New("away")
			}
			return someNode(n), nil
		}}
		var got []string
		err := Follow(t.Context(), Config{Source: source, Interval: 2 * time.Second}, func(f *Figures, err error) error {
			if err != nil {
				got = append(got, fmt.Sprint(time.Since(start), " ", err))
				return nil
			}
			got = append(got, fmt.Sprint(time.Since(start), " ", f.Total.Known, " ", f.Workers[0].Out))
			if len(got) == 3 {
				return enough
			}
			return nil
		})
		if want := "[2s true 100 4s look at the node: away 6s true 100]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
		if !errors.Is(err, enough) {
			t.Errorf("it ends with %v", err)
		}
	})
}

func TestFollowEndsWhenTheFirstAnswerIsMissing(t *testing.T) {
	away := errors.New("away")
	source := &scripted{snapshot: func(int) (Snapshot, error) { return Snapshot{}, away }}
	err := Follow(t.Context(), Config{Source: source}, func(*Figures, error) error {
		t.Error("there is nothing to hand in")
		return nil
	})
	if !errors.Is(err, away) {
		t.Errorf("it ends with %v", err)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := errors.New("told to stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		source := &scripted{snapshot: func(n int) (Snapshot, error) { return someNode(n), nil }}
		n := 0
		err := Follow(ctx, Config{Source: source}, func(*Figures, error) error {
			if n++; n == 3 {
				cancel(told)
			}
			return nil
		})
		if !errors.Is(err, told) || n != 3 {
			t.Errorf("after %d it ends with %v", n, err)
		}
		// An answer that never comes does not outlive its timeout.
		asked := make(chan struct{})
		err = Follow(t.Context(), Config{Source: silent{asked}, Timeout: time.Second}, nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it ends with %v", err)
		}
	})
}
