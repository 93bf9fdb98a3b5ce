package partition

import "time"

// laneStatus says what a lane waits for.
type laneStatus uint8

const (
	laneIdle     laneStatus = iota // for a task
	laneReady                      // for a worker
	laneLeased                     // for outcomes
	laneSettling                   // for its last outcomes to be durable
	laneLoading                    // for its key's records
	laneBlocked                    // for a retry's time
	laneHalted                     // for a person
)

// lane is a line of tasks of one queue: those of one key, run one batch after
// another, or all that have no order.
type lane struct {
	q       *queue
	key     string
	ordered bool
	items   deque
	bytes   int
	status  laneStatus
	lease   *lease    // ordered: while leased
	until   time.Time // while blocked
	freed   time.Time // ordered: when its latest lease, block or halt ended
	halt    bool      // becomes halted when its outcomes are durable
	waited  bool      // for its key's records to be durable, since the last lease

	// tail says that the store holds parked rows of this lane beyond lastRow, which
	// come after what is in memory; tasks that arrive then are parked too.
	tail    bool
	lastRow uint64
	// parkedIn is the batch of the latest parked row: rows are read after it is durable.
	parkedIn  uint64
	parkedSeq uint64 // of the latest parked row
	fetching  bool   // a page of parked rows is on its way
	fetchSeq  uint64 // parkedSeq when it was asked for
	fetchFrom uint64 // lastRow when it was asked for
}

// stuck reports whether the lane will not move by itself soon.
func (l *lane) stuck(now time.Time) bool {
	switch l.status {
	case laneHalted:
		return true
	case laneBlocked:
		return l.until.Sub(now) > parkAfter
	case laneLeased:
		return l.ordered && now.Sub(l.lease.since) > parkAfter
	case laneIdle, laneReady, laneSettling, laneLoading:
	}
	return false
}

func (l *lane) pushBack(it *item) {
	it.lane = l
	l.items.pushBack(it)
	l.bytes += it.size
}

func (l *lane) pushFront(it *item) {
	it.lane = l
	l.items.pushFront(it)
	l.bytes += it.size
}

func (l *lane) popFront() *item {
	it := l.items.popFront()
	l.bytes -= it.size
	return it
}

func (l *lane) popBack() *item {
	it := l.items.popBack()
	l.bytes -= it.size
	return it
}

// deque is a double-ended queue of items over a ring.
type deque struct {
	ring []*item
	head int
	n    int
}

func (d *deque) len() int { return d.n }

func (d *deque) at(i int) *item { return d.ring[(d.head+i)&(len(d.ring)-1)] }

func (d *deque) grow() {
	if d.n < len(d.ring) {
		return
	}
	bigger := make([]*item, max(4, 2*len(d.ring)))
	for i := range d.n {
		bigger[i] = d.at(i)
	}
	d.ring, d.head = bigger, 0
}

func (d *deque) pushBack(it *item) {
	d.grow()
	d.ring[(d.head+d.n)&(len(d.ring)-1)] = it
	d.n++
}

func (d *deque) pushFront(it *item) {
	d.grow()
	d.head = (d.head - 1) & (len(d.ring) - 1)
	d.ring[d.head] = it
	d.n++
}

func (d *deque) popFront() *item {
	it := d.ring[d.head]
	d.ring[d.head] = nil
	d.head = (d.head + 1) & (len(d.ring) - 1)
	d.n--
	return it
}

func (d *deque) popBack() *item {
	i := (d.head + d.n - 1) & (len(d.ring) - 1)
	it := d.ring[i]
	d.ring[i] = nil
	d.n--
	return it
}
