package partition

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestADequeIsASlice(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var d deque[int]
	var want []int
	for i := range 10_000 {
		switch op := rng.IntN(5); {
		case op < 2 && len(want) < 40: // grows past its ring a few times
			d.pushBack(i)
			want = append(want, i)
		case op == 2 && len(want) < 40:
			d.pushFront(i)
			want = slices.Insert(want, 0, i)
		case op == 3 && len(want) > 0:
			if got := d.popFront(); got != want[0] {
				t.Fatalf("step %d: the first is %d, want %d", i, got, want[0])
			}
			want = want[1:]
		case op == 4 && len(want) > 0:
			if got := d.popBack(); got != want[len(want)-1] {
				t.Fatalf("step %d: the last is %d, want %d", i, got, want[len(want)-1])
			}
			want = want[:len(want)-1]
		}
		if d.len() != len(want) {
			t.Fatalf("step %d: %d are left, want %d", i, d.len(), len(want))
		}
		for j := range want {
			if d.at(j) != want[j] {
				t.Fatalf("step %d: number %d is %d, want %d", i, j, d.at(j), want[j])
			}
		}
	}
}

func TestADequeKeepsNothingThatLeft(t *testing.T) {
	var d deque[*int]
	for range 3 {
		d.pushBack(new(int))
		d.pushFront(new(int))
	}
	for d.len() > 0 {
		d.popFront()
		if d.len() > 0 {
			d.popBack()
		}
	}
	for i, p := range d.ring {
		if p != nil {
			t.Errorf("place %d of the ring still points to what left", i)
		}
	}
}
