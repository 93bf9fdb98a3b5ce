package fenfa

import (
	"sync"
	"time"
)

// pool runs the tasks of leases on at most size goroutines, which it starts when
// they are needed and keeps. A goroutine takes one task at a time, or a whole
// ordered lease. At most one goroutine is being woken at any moment, and each
// that arrives wakes the next while there is work: handlers that take no time
// are then run by few goroutines, without a switch a task, and handlers that
// block still get all of them.
//
// The pool measures how long a goroutine is taken by what it took.
type pool struct {
	size int
	base time.Time // of running

	mu      sync.Mutex
	arrived sync.Cond
	jobs    []job // in order; jobs[head:] are to be done
	head    int
	spawned int
	idle    int
	waking  bool
	closed  bool
	done    chan struct{} // closed when closed and nothing is spawned

	mean    time.Duration // of what a goroutine was taken; 0: not measured
	busy    int           // goroutines that are taken
	running time.Duration // sum of when they were, since base
}

// job is tasks [from, to) of a lease.
type job struct {
	lease    *lease
	from, to int
}

func newPool(size int) *pool {
	p := &pool{size: size, base: time.Now(), done: make(chan struct{})}
	p.arrived.L = &p.mu
	return p
}

// push hands jobs to the pool. It never blocks.
func (p *pool) push(jobs ...job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.jobs = append(p.jobs, jobs...)
	p.wakeOne()
}

// recall takes out the jobs that have not begun and are to be, in order.
func (p *pool) recall(which func(*lease) bool) (recalled []job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.jobs[:p.head]
	for _, j := range p.jobs[p.head:] {
		if which(j.lease) {
			recalled = append(recalled, j)
		} else {
			kept = append(kept, j)
		}
	}
	clear(p.jobs[len(kept):])
	p.jobs = kept
	p.rewind()
	return recalled
}

// wakeOne brings one more goroutine to work, if there is work and one is to be
// had. The lock is held.
func (p *pool) wakeOne() {
	switch {
	case p.waking || p.head == len(p.jobs):
	case p.idle > 0:
		p.waking = true
		p.arrived.Signal()
	case p.spawned < p.size:
		p.waking = true
		p.spawned++
		go p.run()
	}
}

// run is one goroutine of the pool. It ends when the pool is closed, or with a
// handler that ends its goroutine, whose place another one takes.
func (p *pool) run() {
	began, returned := time.Duration(-1), true
	defer func() { p.exit(began, !returned) }()
	p.mu.Lock()
	p.waking = false
	now := time.Since(p.base)
	for {
		waited, open := p.awaitWork()
		if !open {
			break
		}
		if waited {
			now = time.Since(p.base)
		}
		lease, index := p.take()
		p.wakeOne()
		p.busy++
		p.running += now
		p.mu.Unlock()
		began, returned = now, false
		lease.run(index, p.base.Add(now))
		returned = true
		now = time.Since(p.base)
		p.mu.Lock()
		p.finished(began, now)
	}
	p.mu.Unlock()
}

// finished counts one job that ran from began to now. The lock is held.
func (p *pool) finished(began, now time.Duration) {
	p.busy--
	p.running -= began
	if p.mean == 0 {
		p.mean = now - began
	}
	p.mean += (now - began - p.mean) / jobWeight
}

// taken returns for how long a goroutine is taken at once: the mean of the last
// ones, or, where those that are taken now have been so for longer than that, their
// mean so far. 0: nothing has run yet.
func (p *pool) taken(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy == 0 {
		return p.mean
	}
	return max(p.mean, now.Sub(p.base)-p.running/time.Duration(p.busy))
}

// awaitWork reports whether it waited, and false when the pool is closed. The lock
// is held.
func (p *pool) awaitWork() (waited, open bool) {
	for p.head == len(p.jobs) && !p.closed {
		waited = true
		p.idle++
		p.arrived.Wait()
		p.idle--
		p.waking = false
	}
	return waited, !p.closed
}

// take removes the next task, or ordered lease. The lock is held.
func (p *pool) take() (l *lease, index int) {
	j := &p.jobs[p.head]
	l, index = j.lease, j.from
	j.from++
	if j.from >= j.to || l.ordered {
		*j = job{}
		p.head++
	}
	p.rewind()
	return l, index
}

// rewind uses the room of jobs anew once all of them were taken. The lock is held.
func (p *pool) rewind() {
	if p.head == len(p.jobs) {
		p.jobs, p.head = p.jobs[:0], 0
	}
}

// exit ends a goroutine, where a handler did that since began.
func (p *pool) exit(began time.Duration, inHandler bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if inHandler {
		p.finished(began, time.Since(p.base))
	}
	p.spawned--
	if !p.closed {
		p.wakeOne()
	} else if p.spawned == 0 {
		close(p.done)
	}
}

// close drops what has not begun and waits for the goroutines, at most for the
// given time. It returns how many still run a handler then.
func (p *pool) close(most time.Duration) int {
	p.mu.Lock()
	p.closed = true
	p.jobs, p.head = nil, 0
	none := p.spawned == 0
	p.arrived.Broadcast()
	p.mu.Unlock()
	if none {
		return 0
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-p.done:
		return 0
	case <-timer.C:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spawned
}
