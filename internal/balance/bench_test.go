package balance

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkPick keeps 16 slots of every worker in flight, over 100k keys.
func BenchmarkPick(b *testing.B) {
	keys := make([]string, 100_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("sku-%d", i)
	}
	for _, policy := range policies {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s/%d", policy, n), func(b *testing.B) { benchmarkPick(b, policy, n, 1<<40, keys) })
		}
	}
}

// BenchmarkPickFull is BenchmarkPick when each slot that comes free is the only one.
func BenchmarkPickFull(b *testing.B) {
	keys := []string{"sku-1", "sku-2", "sku-3"}
	for _, policy := range policies {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s/%d", policy, n), func(b *testing.B) { benchmarkPick(b, policy, n, 16, keys) })
		}
	}
}

func benchmarkPick(b *testing.B, policy string, n, slots int, keys []string) {
	b.Helper()
	weights := equal(n)
	for i := range weights {
		weights[i] = float64(1 + i%3)
	}
	f, p := newFleet(slots, weights...), picker(b, policy)
	for i := range weights {
		f.Observe(i, time.Duration(n+i)*time.Microsecond)
	}
	out := make([]int, 16*n)
	for k := range out {
		out[k], _ = p.Pick(&f.Pool, keys[k%len(keys)])
		f.take(out[k])
	}
	b.ReportAllocs()
	k := 0
	for b.Loop() {
		slot := k % len(out)
		f.give(out[slot])
		out[slot], _ = p.Pick(&f.Pool, keys[k%len(keys)])
		f.take(out[slot])
		k++
	}
}
