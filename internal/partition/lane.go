package partition

import (
	"math"
	"time"

	"github.com/fenfa/fenfa/internal/store"
)

// laneStatus says what a lane waits for.
type laneStatus uint8

const (
	laneIdle     laneStatus = iota // for a task
	laneReady                      // for a worker
	laneLeased                     // for outcomes
	laneSettling                   // for its last outcomes to be durable, or a worker ahead of that
	laneLoading                    // for its key's records
	laneBlocked                    // for a retry's time
	laneHalted                     // for a person
)

// lane is a line of tasks of one queue: those of one key, run one batch after
// another, or all that have no order.
type lane struct {
	q        *queue
	key      string
	ordered  bool
	class    *class // of its first task; nil: not known, it is in the store
	items    deque[*item]
	members  int // tasks in memory, also those that are leased or wait beside it
	bytes    int
	status   laneStatus
	lease    *lease    // ordered: while leased
	until    time.Time // while blocked
	freed    time.Time // ordered: when its latest lease, block or halt ended; of tasks that wait for their key: when it had room
	probes   *refusals // while it is ready again: the line out of which it comes
	refusal  uint64    // when it was refused, among those of its class
	waitsFor uint64    // session that it waited for when it left a line with all others
	halt     *halted   // it is halted, or is as soon as its outcomes are durable
	settling int       // batches under way, or gathering, that it stands in to be told
	last     WorkerRef // who did all of its latest lease; zero: it did not end that way
	run      uint64    // the token of the lease for which the policy picked its worker
	runs     time.Time // since that lease
	waited   bool      // for its key's records to be durable, since the last lease

	// tail says that the store holds parked rows of this lane beyond lastRow, which
	// come after what is in memory.
	tail    bool
	lastRow uint64
	// headRow is, while all of a key's tasks are in the store only, the row of the first
	// one: the lane is in its class. 0: that is not known.
	headRow uint64
	// parkedIn is the batch of the latest parked row: rows are read after it is durable.
	parkedIn  uint64
	parkedSeq uint64 // of the latest parked row
	changedIn uint64 // the batch of the latest change of other rows beyond lastRow
	fetching  bool   // a page of parked rows is on its way
	fetchSeq  uint64 // parkedSeq when it was asked for
	fetchFrom uint64 // lastRow when it was asked for; noRow: it is out of date
	readAt    time.Time
	served    int // without order: tasks leased since rows were read

	// Where the queue has a limit for each key:
	wait   *keyWait // tasks wait here for their key; nil: they do not
	vetted int      // of a line: tasks in front whose keys have room, which count as running
	ask    int      // of a line: most of them, more while workers take all
}

// laneName names a lane in parked rows.
type laneName struct {
	queue string
	key   string
	class string // of tasks without order; empty: they ask for nothing
}

func (l *lane) name() laneName {
	n := laneName{queue: l.q.Name, key: l.key}
	if !l.ordered {
		n.class = l.class.name
	}
	if l.wait != nil {
		n.class = l.wait.class
	}
	return n
}

// row returns one of the lane's parked rows, without its body.
func (n laneName) row(seq uint64) *store.Parked {
	return &store.Parked{Queue: n.queue, Key: n.key, Class: n.class, Seq: seq}
}

// noRow is a number that no row has.
const noRow = math.MaxUint64

// outdate says that rows beyond lastRow, or what is known of their tasks, change
// with a batch: a page that is on its way is not used, and none is read before that
// is durable.
func (l *lane) outdate(batch uint64) { l.changedIn, l.fetchFrom = batch, noRow }

// join makes a lane one of the class of its first task.
func (l *lane) join(cl *class) {
	if l.class == cl {
		return
	}
	if l.class != nil {
		l.class.lanes--
	}
	if cl != nil {
		cl.lanes++
	}
	l.class = cl
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
	if l.ordered && l.items.len() == 0 {
		l.join(nil)
	}
	return it
}

// remove takes a task out that waits in the lane, and returns its place, -1: it is
// not among those. What class the lane belongs to stays as it is.
func (l *lane) remove(it *item) int {
	i := l.items.find(func(other *item) bool { return other == it })
	if i >= 0 {
		l.items.remove(i)
		l.bytes -= it.size
	}
	return i
}

func (l *lane) popBack() *item {
	it := l.items.popBack()
	l.bytes -= it.size
	return it
}
