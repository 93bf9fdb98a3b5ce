package embedded

import (
	"math/rand/v2"
	"testing"

	"github.com/fenfa/fenfa/internal/broker"
)

func TestWindowIsTheSetOfWhatIsNotSettled(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 3))
		w := window{base: 1}
		open := map[broker.Position]int{}
		next := broker.Position(1)
		for step := range 3000 {
			if rng.IntN(3) > 0 {
				next += broker.Position(rng.IntN(3) * rng.IntN(3)) // Gaps were settled before.
				size := 33 + rng.IntN(1000)
				w.push(next, size)
				open[next] = size
				next++
			}
			for range rng.IntN(4) {
				pos := next - broker.Position(rng.IntN(int(min(next, 200))))
				if rng.IntN(50) == 0 {
					pos = next + 5
				}
				size, ok := w.settle(pos)
				if want, is := open[pos]; ok != is || size != want {
					t.Fatalf("seed %d, step %d: settling %d gave %d, %v; want %d, %v", seed, step, pos, size, ok, want, is)
				}
				delete(open, pos)
				if pos < next && !w.passed(pos) {
					t.Fatalf("seed %d, step %d: %d is settled and not passed", seed, step, pos)
				}
			}
			w.trim()
			for pos := range open {
				if pos < w.base || w.passed(pos) {
					t.Fatalf("seed %d, step %d: %d is open and below the head %d", seed, step, pos, w.base)
				}
			}
		}
		for pos := range open {
			w.settle(pos)
		}
		if w.trim(); w.base != w.end() || w.end() > next {
			t.Fatalf("seed %d: all is settled and the head is %d of %d", seed, w.base, next)
		}
	}
}

func TestWindowGivesMemoryBack(t *testing.T) {
	w := window{base: 1}
	for pos := broker.Position(1); pos < 1_000_000; pos++ {
		w.push(pos, 1)
		if pos > 100 {
			w.settle(pos - 100)
			w.trim()
		}
	}
	if cap(w.sizes) > 10_000 {
		t.Errorf("100 open messages take %d entries", cap(w.sizes))
	}
}

func TestTailKeepsTheLastMessagesWithinItsBound(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	var q tail
	const limit = 20_000
	next := broker.Position(1)
	for range 5000 {
		if rng.IntN(4) == 0 && q.n > 0 {
			q.pop()
		} else {
			body := make([]byte, rng.IntN(1000))
			if rng.IntN(300) == 0 {
				body = make([]byte, limit+1)
			}
			q.push(message{pos: next, body: body}, limit)
			next++
		}
		bytes := 0
		for i := range q.n {
			m := &q.buf[(q.head+i)&(len(q.buf)-1)]
			bytes += m.memory()
			if m.pos != next-broker.Position(q.n-i) {
				t.Fatalf("message %d of %d before %d has position %d", i, q.n, next, m.pos)
			}
		}
		if bytes != q.bytes || bytes > limit {
			t.Fatalf("the tail holds %d bytes and says %d; the bound is %d", bytes, q.bytes, limit)
		}
	}
}
