package rabbitmq

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
)

// pushed returns a window with messages of one task that were handed out.
func pushed(n int) *window {
	var w window
	for i := range n {
		w.push(given(broker.Position(i+1), 1))
	}
	return &w
}

// given returns a parcel that was handed out.
func given(first broker.Position, tasks int) *parcel {
	p := newParcel(identity{stamp: uint64(first)}, first, make([]uint32, tasks), nil)
	p.given = tasks
	return p
}

func settleTags(w *window, tags ...uint64) {
	for _, tag := range tags {
		for _, p := range w.parcels {
			if p.tag != tag {
				continue
			}
			for i := range p.tasks {
				p.settle(p.first+broker.Position(i), time.Now())
			}
			w.settle()
		}
	}
}

func TestWindowAcksWhatIsContiguousAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		settled  []uint64
		all      bool
		multiple uint64
		others   []uint64
	}{
		"nothing":               {nil, true, 0, nil},
		"the first":             {[]uint64{1}, false, 1, nil},
		"the first three":       {[]uint64{3, 1, 2}, false, 3, nil},
		"a gap":                 {[]uint64{1, 3, 5}, false, 1, nil},
		"a gap, all of it":      {[]uint64{1, 3, 5}, true, 1, []uint64{3, 5}},
		"not the first":         {[]uint64{2, 3}, false, 0, nil},
		"not the first, all":    {[]uint64{3, 2}, true, 0, []uint64{2, 3}},
		"everything in a block": {[]uint64{1, 2, 3, 4, 5}, true, 5, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := pushed(5)
			settleTags(w, c.settled...)
			multiple, others := w.acks(c.all)
			if multiple != c.multiple || !slices.Equal(others, c.others) {
				t.Errorf("acks are %d and %v, want %d and %v", multiple, others, c.multiple, c.others)
			}
			if multiple, others := w.acks(true); c.all && (multiple != 0 || others != nil) {
				t.Errorf("acked again: %d, %v", multiple, others)
			}
		})
	}
}

func TestWindowNamesNoTagTwice(t *testing.T) {
	w := pushed(5)
	settleTags(w, 2, 3)
	if _, others := w.acks(true); len(others) != 2 {
		t.Fatalf("acked %v", others)
	}
	// The server knows 2 and 3 no more: an ack must not end with them.
	settleTags(w, 1)
	if multiple, others := w.acks(true); multiple != 1 || others != nil {
		t.Errorf("acks are %d and %v, want 1", multiple, others)
	}
}

func TestWindowForgetsWhatIsAckedBehindOneThatIsHeld(t *testing.T) {
	var w window
	w.push(given(1, 1))
	for n := range 10_000 {
		w.push(given(broker.Position(n+2), 1))
		settleTags(&w, w.last)
		w.acks(true)
	}
	if n := len(w.parcels); n > 10 {
		t.Errorf("it keeps %d parcels, one is held", n)
	}
	settleTags(&w, 1)
	if multiple, others := w.acks(true); multiple != 1 || others != nil {
		t.Errorf("acks are %d and %v, want 1", multiple, others)
	}
}

// TestWindowEqualsANaiveModel pushes, settles and acks at random, and compares with
// sets.
func TestWindowEqualsANaiveModel(t *testing.T) {
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			var w window
			var open []uint64
			settled := map[uint64]bool{} // true: the server was told
			for range 2000 {
				switch rng.IntN(5) {
				case 0, 1:
					w.push(given(broker.Position(w.last+1), 1))
					open = append(open, w.last)
				case 2, 3:
					if len(open) == 0 {
						continue
					}
					i := rng.IntN(min(len(open), 50))
					settleTags(&w, open[i])
					settled[open[i]] = false
					open = slices.Delete(open, i, i+1)
				case 4:
					all := rng.IntN(10) == 0
					multiple, others := w.acks(all)
					check(t, settled, open, multiple, others, all)
				}
			}
		})
	}
}

func check(t *testing.T, settled map[uint64]bool, open []uint64, multiple uint64, others []uint64, all bool) {
	t.Helper()
	tell := func(tag uint64) {
		if told, ok := settled[tag]; !ok || told {
			t.Fatalf("tag %d is acked, settled %v, told before %v", tag, ok, told)
		}
		settled[tag] = true
	}
	if multiple > 0 {
		if len(open) > 0 && multiple >= slices.Min(open) {
			t.Fatalf("all up to %d are acked, %d is open", multiple, slices.Min(open))
		}
		tell(multiple)
		for tag, told := range settled {
			if tag < multiple && !told {
				settled[tag] = true
			}
		}
	}
	for _, tag := range others {
		tell(tag)
	}
	for tag, told := range settled {
		if !told && (all || len(open) == 0 || tag < slices.Min(open)) {
			t.Fatalf("tag %d is settled and the server was not told", tag)
		}
	}
}

func TestRegisterFindsEachPosition(t *testing.T) {
	var r register
	at := broker.Position(1)
	want := map[broker.Position]*parcel{}
	for n := range 100 {
		p := given(at, 1+n%5)
		r.add(p)
		for i := range p.tasks {
			want[at+broker.Position(i)] = p
		}
		at += broker.Position(p.tasks) + broker.Position(n%2) // some positions are nobody's
	}
	for range 2 {
		for position := range at + 3 {
			if got := r.find(position); got != want[position] {
				t.Fatalf("position %d: found %+v, want %+v", position, got, want[position])
			}
		}
		r.keep(func(p *parcel) bool { return p.tasks != 3 })
		for position, p := range want {
			if p.tasks == 3 {
				delete(want, position)
			}
		}
	}
}
