package dispatch

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// BenchmarkAssign assigns a slot and releases it, by policy and number of workers.
func BenchmarkAssign(b *testing.B) {
	for _, policy := range task.BalancePolicies() {
		for _, workers := range []int{10, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", policy, workers), func(b *testing.B) {
				bench := newBench(b)
				for i := range workers {
					bench.worker("w"+strconv.Itoa(i), 100)
				}
				q := settings("q", func(q *task.Queue) { q.Balance.Policy = policy })
				keys := make([]string, 1024)
				for i := range keys {
					keys[i] = strconv.Itoa(i)
				}
				// As in use, leases end long after they began, and not in order.
				out := make([]uint64, 8*workers)
				n := 0
				b.ReportAllocs()
				for b.Loop() {
					i := n * 7 % len(out)
					if out[i] != 0 {
						bench.Release(out[i], "q", partition.Use{Slots: 1, Tasks: 1, Took: 1e6})
					}
					w, _, ok := bench.Assign(n%16, q, task.Placement{}, keys[n%len(keys)], 1)
					if !ok {
						b.Fatal("no room")
					}
					out[i] = w.Session
					n++
				}
			})
		}
	}
}

// BenchmarkFull has every slot taken and every partition waiting, so that each
// release wakes one.
func BenchmarkFull(b *testing.B) {
	for _, workers := range []int{4, 100} {
		for _, parts := range []int{16, 1024} {
			b.Run(fmt.Sprintf("%d/%d", workers, parts), func(b *testing.B) {
				bench := newBench(b)
				woken := make([]int, 0, parts)
				bench.engine.quiet = true
				bench.engine.capacity = func(part int, _ string) { woken = append(woken, part) }
				q := settings("q")
				var out []uint64
				for i := range workers {
					bench.worker("w"+strconv.Itoa(i), 10)
				}
				for range 10 * workers {
					out = append(out, bench.assign(0, q, ""))
				}
				for part := range parts {
					bench.assign(part, q, "")
				}
				n := 0
				b.ReportAllocs()
				for b.Loop() {
					i := n * 7 % len(out)
					bench.Release(out[i], "q", partition.Use{Slots: 1, Tasks: 1, Took: 1e6})
					part := woken[0]
					woken = woken[:0]
					if out[i] = bench.assign(part, q, ""); out[i] == 0 {
						b.Fatal("woken in vain")
					}
					bench.assign(part, q, "")
					n++
				}
			})
		}
	}
}

// BenchmarkLease is the whole way of a lease through this package.
func BenchmarkLease(b *testing.B) {
	for _, workers := range []int{4, 100} {
		b.Run(strconv.Itoa(workers), func(b *testing.B) {
			bench := newBench(b)
			for i := range workers {
				bench.worker("w"+strconv.Itoa(i), 1000)
			}
			q, lease := settings("q"), &task.Lease{Queue: "q"}
			var batch Batch
			b.ReportAllocs()
			for b.Loop() {
				w, slots, _ := bench.Assign(3, q, task.Placement{}, "key", 1)
				bench.Send(w.Session, lease)
				bench.Answer(w.Session, task.Verdict{})
				if err := bench.session(w.Session).Next(b.Context(), &batch); err != nil {
					b.Fatal(err)
				}
				bench.Release(w.Session, "q", partition.Use{Slots: slots})
			}
		})
	}
}

// BenchmarkRound is one round of the detector, with nothing to find.
func BenchmarkRound(b *testing.B) {
	for _, workers := range []int{10, 1000} {
		for _, queues := range []int{1, 20} {
			b.Run(fmt.Sprintf("%d/%d", workers, queues), func(b *testing.B) {
				bench := newBench(b)
				names := make([]string, queues)
				for i := range names {
					names[i] = fmt.Sprint("q", i)
				}
				for i := range workers {
					bench.worker("w"+strconv.Itoa(i), 100, names...)
				}
				for _, name := range names {
					bench.assign(0, settings(name), "")
				}
				var calls calls
				b.ReportAllocs()
				for b.Loop() {
					bench.mu.Lock()
					bench.round++
					bench.look(bench.detector.due, &calls)
					bench.mu.Unlock()
				}
			})
		}
	}
}

// BenchmarkConnect is a worker that comes and leaves, in a fleet of others.
func BenchmarkConnect(b *testing.B) {
	for _, workers := range []int{10, 1000} {
		b.Run(strconv.Itoa(workers), func(b *testing.B) {
			bench := newBench(b)
			bench.engine.quiet = true
			for i := range workers {
				bench.worker("w"+strconv.Itoa(i), 100)
			}
			bench.assign(0, settings("q"), "")
			b.ReportAllocs()
			for b.Loop() {
				bench.worker("x", 100).Leave()
			}
		})
	}
}
