package balance

import (
	"slices"
	"strconv"
	"testing"

	"github.com/fenfa/fenfa/internal/task"
)

// sizes are the numbers of workers at which properties are measured.
var sizes = []int{3, 10, 100, 1000}

var policies = task.BalancePolicies()

// fleet is a pool of workers that tests can look into, all with the same number
// of slots.
type fleet struct {
	Pool
	slots, prefetch int
	joined          int
}

// newFleet makes one worker for each weight.
func newFleet(slots int, weights ...float64) *fleet {
	f := &fleet{slots: slots}
	for _, weight := range weights {
		f.join(weight)
	}
	return f
}

func equal(n int) []float64 { return slices.Repeat([]float64{1}, n) }

// mixed are n weights from 1 to 4.
func mixed(n int) []float64 {
	weights := make([]float64, n)
	for i := range weights {
		weights[i] = float64(1 + i%4)
	}
	return weights
}

func (f *fleet) join(weight float64) {
	f.Add(&Worker{Hash: HashID("worker-" + strconv.Itoa(f.joined))}, weight)
	f.joined++
	f.refresh(f.Len() - 1)
}

// refresh counts the slots that may be taken.
func (f *fleet) refresh(i int) {
	w := f.workers[i]
	w.Free = f.slots + f.prefetch - w.InFlight
	w.Ahead = min(f.prefetch, w.Free)
}

func (f *fleet) take(i int) {
	f.workers[i].InFlight++
	f.Adjust(1)
	f.refresh(i)
}

func (f *fleet) give(i int) {
	f.workers[i].InFlight--
	f.Adjust(-1)
	f.refresh(i)
}

// total is the sum of the weights.
func (f *fleet) total() float64 {
	sum := 0.0
	for _, w := range f.weights {
		sum += w
	}
	return sum
}

// after is the load of a worker after one more task.
func (f *fleet) after(i int) float64 { return float64(f.workers[i].InFlight+1) / f.weights[i] }

// load is how much more than its share the busiest worker has.
func (f *fleet) load() float64 {
	worst, sum := 0.0, f.total()
	for i, w := range f.workers {
		worst = max(worst, float64(w.InFlight)*sum/(f.weights[i]*float64(f.inFlight)))
	}
	return worst
}

func picker(tb testing.TB, policy string, change ...func(*task.Balance)) Picker {
	tb.Helper()
	b := task.DefaultQueue("q").Balance
	b.Policy = policy
	for _, f := range change {
		f(&b)
	}
	p, err := New(b, 1)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func waiting(b *task.Balance) { b.Overflow = "wait" }
