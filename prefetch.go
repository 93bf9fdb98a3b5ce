package fenfa

import "time"

const (
	// prefetchWait bounds how long a lease is expected to wait for a handler: what
	// waits here could run elsewhere.
	prefetchWait = 20 * time.Millisecond
	// idleWorthwhile is how many times a gap must fit into the time that a slot is
	// taken to be not worth hiding: slots are idle for less than 1/50 then.
	idleWorthwhile = 50
	// gapMargin is how many mean gaps are hidden, because gaps vary.
	gapMargin = 2
	// longestGap is the longest wait of a free slot that counts as one: after that
	// there was no work for it.
	longestGap = 250 * time.Millisecond
	// gapWeight and jobWeight make the newest value count for 1/weight of a mean.
	gapWeight, jobWeight = 8, 16
	// tuneEvery is how often the prefetch may change.
	tuneEvery = 10 * time.Millisecond
)

// prefetcher decides how many leases beyond its slots a worker holds, so that a
// slot that comes free has its next task at once instead of a round trip later. By
// Little's law a gap between an outcome and the lease that follows it leaves
// slots*gap/job of them idle, where a job takes a slot for that long; as many leases
// that wait here hide it.
//
// It knows the gap because it counts the slots that the node may fill, oldest
// first, whether they are real or prefetched ones. It belongs to the session's lock.
type prefetcher struct {
	slots int
	most  int // prefetch that is asked for at most

	gap   time.Duration // mean; 0: not measured
	free  []freed       // free[head:] is what the node may fill, longest free first
	head  int
	owed  int // filled ones that count as free no more when they come back
	asked int // the prefetch that the node knows, or will by the next message
	tuned time.Time
}

// freed is a number of slots that came free together.
type freed struct {
	at    time.Time // zero: since the beginning
	slots int
}

func newPrefetcher(slots, most int) prefetcher {
	return prefetcher{slots: slots, most: min(most, slots), free: []freed{{slots: slots}}}
}

// release counts slots that came free at the given moment.
func (p *prefetcher) release(at time.Time, n int) {
	paid := min(n, p.owed)
	p.owed -= paid
	if n -= paid; n > 0 {
		p.free = append(p.free, freed{at, n})
	}
}

// fill counts slots that a lease took, and measures how long they had been free.
func (p *prefetcher) fill(now time.Time, n int) {
	for n > 0 && p.head < len(p.free) {
		if at := p.free[p.head].at; !at.IsZero() && now.Sub(at) < longestGap {
			p.measure(now.Sub(at))
		}
		n -= p.pop(n)
	}
}

// pop takes at most n of the slots that came free together and are the longest
// free, and returns how many.
func (p *prefetcher) pop(n int) int {
	first := &p.free[p.head]
	n = min(n, first.slots)
	if first.slots -= n; first.slots == 0 {
		p.head++
	}
	switch {
	case p.head == len(p.free):
		p.free, p.head = p.free[:0], 0
	case p.head > 2*p.slots:
		p.free, p.head = append(p.free[:0], p.free[p.head:]...), 0
	}
	return n
}

func (p *prefetcher) measure(gap time.Duration) {
	if p.gap == 0 {
		p.gap = gap
	}
	p.gap += (gap - p.gap) / gapWeight
}

// due reports whether the prefetch should be tuned.
func (p *prefetcher) due(now time.Time) bool { return now.Sub(p.tuned) >= tuneEvery }

// tune decides anew how many leases to hold beyond the slots, where a slot is taken
// for the given time at once. It reports false where that is as it was, or about.
func (p *prefetcher) tune(now time.Time, job time.Duration) (n int, changed bool) {
	p.tuned = now
	n = p.want(job)
	if change := max(n-p.asked, p.asked-n); change == 0 || n > 0 && p.asked > 0 && change <= p.asked/4 {
		return p.asked, false
	}
	if more := n - p.asked; more > 0 {
		p.release(now, more)
	} else {
		p.withdraw(-more)
	}
	p.asked = n
	return n, true
}

// want returns the prefetch that hides the gap, within its bounds.
func (p *prefetcher) want(job time.Duration) int {
	if job <= 0 || p.gap*idleWorthwhile < job {
		return 0
	}
	slots := float64(p.slots)
	hides := gapMargin*slots*float64(p.gap)/float64(job) + 1
	waits := slots * float64(prefetchWait) / float64(job)
	return int(min(hides, waits, float64(p.most)))
}

// withdraw takes slots back, the longest free first, and of those that are filled
// as soon as they come back.
func (p *prefetcher) withdraw(n int) {
	for n > 0 && p.head < len(p.free) {
		n -= p.pop(n)
	}
	p.owed += n
}
