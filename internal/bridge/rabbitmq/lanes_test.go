package rabbitmq

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestOnlyTheFirstMessageOfAKeyMayBeSubmitted(t *testing.T) {
	l := newLanes()
	for i, key := range []string{"a", "a", "b", "", "", "a"} {
		l.add(&message{tag: uint64(i + 1), key: key})
	}
	tags := func(batch []*message) (all []uint64) {
		for _, m := range batch {
			all = append(all, m.tag)
		}
		return all
	}
	batch := l.take(10, 1)
	if got := tags(batch); !slices.Equal(got, []uint64{1, 3, 4, 5}) {
		t.Fatalf("%v may be submitted, want 1 3 4 5", got)
	}
	l.again(batch[1:])
	l.done(batch[0])
	if got := tags(l.take(10, 1)); !slices.Equal(got, []uint64{3, 4, 5, 2}) {
		t.Fatalf("%v may be submitted, want 3 4 5 2", got)
	}
}

func TestABatchEndsWithItsBytes(t *testing.T) {
	l := newLanes()
	for range 3 {
		l.add(&message{size: 600})
	}
	if n := len(l.take(10, 1000)); n != 2 {
		t.Errorf("%d messages of 600 bytes are a batch of about 1000, want 2", n)
	}
	if n := len(l.take(10, 0)); n != 1 {
		t.Errorf("a message larger than a batch is alone: got %d", n)
	}
}

func TestNoMessageOvertakesAnEarlierOneOfItsKey(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 2))
		l := newLanes()
		var flying [][]*message
		last := make(map[string]uint64)
		tag, total, finished := uint64(0), 300, 0
		for finished < total {
			if int(tag) < total && random.IntN(2) == 0 {
				tag++
				l.add(&message{tag: tag, key: fmt.Sprint(random.IntN(5))})
			}
			if batch := l.take(1+random.IntN(5), 1); len(batch) > 0 {
				flying = append(flying, batch)
			}
			if len(flying) == 0 {
				continue
			}
			i := random.IntN(len(flying))
			batch := flying[i]
			flying = slices.Delete(flying, i, i+1)
			var again []*message
			for _, m := range batch {
				if random.IntN(3) == 0 {
					again = append(again, m)
					continue
				}
				if last[m.key] >= m.tag {
					t.Fatalf("seed %d: of key %s, %d came after %d", seed, m.key, m.tag, last[m.key])
				}
				last[m.key] = m.tag
				finished++
				l.done(m)
			}
			l.again(again)
		}
		if l.count != 0 || len(l.behind) != 0 || len(l.ready) != 0 {
			t.Fatalf("seed %d: something is left: %d, %d, %d", seed, l.count, len(l.behind), len(l.ready))
		}
	}
}
