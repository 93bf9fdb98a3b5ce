package dispatch

import "math"

// How outcomes are judged.
const (
	windowSeconds = 10  // how far back outcomes count
	leastTasks    = 10  // outcomes without which a worker is not judged
	leastFailed   = 5   // failed attempts without which it is not
	leastExcess   = 0.3 // how much more of its attempts fail than those of all others
	leastErrors   = 4   // the same in standard errors, so that it is no coincidence
)

// tally counts outcomes.
type tally struct {
	tasks, failed int
}

func (t tally) plus(u tally) tally  { return tally{t.tasks + u.tasks, t.failed + u.failed} }
func (t tally) minus(u tally) tally { return tally{t.tasks - u.tasks, t.failed - u.failed} }

// ratio is the part that failed.
func (t tally) ratio() float64 {
	if t.tasks == 0 {
		return 0
	}
	return float64(t.failed) / float64(t.tasks)
}

// standsOut reports whether clearly more fails here than among the others: a test
// of two proportions that asks for a difference that matters, too.
func (t tally) standsOut(others tally) bool {
	excess := t.ratio() - others.ratio()
	if t.tasks < leastTasks || t.failed < leastFailed || others.tasks < leastTasks || excess < leastExcess {
		return false
	}
	all := t.plus(others).ratio()
	deviation := math.Sqrt(all * (1 - all) * (1/float64(t.tasks) + 1/float64(others.tasks)))
	return excess > leastErrors*deviation
}

// window counts the outcomes of the last seconds.
type window struct {
	seconds [windowSeconds]second
}

// second counts the outcomes of one second.
type second struct {
	number uint64
	tally
}

func (w *window) add(number uint64, tasks, failed int) {
	s := &w.seconds[number%windowSeconds]
	if s.number != number {
		*s = second{number: number}
	}
	s.tasks += tasks
	s.failed += failed
}

// sum is over the seconds up to the one of the number.
func (w *window) sum(number uint64) tally {
	var sum tally
	for i := range w.seconds {
		if s := &w.seconds[i]; s.number+windowSeconds > number {
			sum = sum.plus(s.tally)
		}
	}
	return sum
}
