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
type pool struct {
	size int

	mu      sync.Mutex
	arrived sync.Cond
	jobs    []job // in order; jobs[head:] are to be done
	head    int
	spawned int
	idle    int
	waking  bool
	closed  bool
	done    chan struct{} // closed when closed and nothing is spawned
}

// job is tasks [from, to) of a lease.
type job struct {
	lease    *lease
	from, to int
}

func newPool(size int) *pool {
	p := &pool{size: size, done: make(chan struct{})}
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
	defer p.exit()
	p.mu.Lock()
	p.waking = false
	for p.awaitWork() {
		lease, index := p.take()
		p.wakeOne()
		p.mu.Unlock()
		lease.run(index)
		p.mu.Lock()
	}
	p.mu.Unlock()
}

// awaitWork reports false when the pool is closed. The lock is held.
func (p *pool) awaitWork() bool {
	for p.head == len(p.jobs) && !p.closed {
		p.idle++
		p.arrived.Wait()
		p.idle--
		p.waking = false
	}
	return !p.closed
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
	if p.head == len(p.jobs) {
		p.jobs, p.head = p.jobs[:0], 0
	}
	return l, index
}

func (p *pool) exit() {
	p.mu.Lock()
	defer p.mu.Unlock()
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
