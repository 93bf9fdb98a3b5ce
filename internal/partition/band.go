package partition

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// rank numbers the bands of a queue. One without priorities has only the first.
type rank uint8

const (
	rankNormal rank = iota
	rankHigh
	rankLow
	ranks
)

// turnTasks is how many tasks without order a turn of the low band has at most, while
// other bands wait for theirs; those of the others have as many times more as they
// have turns.
const turnTasks = 16

// share is how many of ten tasks are of a band, while all have some.
func (r rank) share() uint64 {
	switch r {
	case rankHigh:
		return 6
	case rankLow:
		return 1
	default:
		return 3
	}
}

// name stands in the names of logs and classes; what is normal has none.
func (r rank) name() string {
	switch r {
	case rankHigh:
		return "high"
	case rankLow:
		return "low"
	default:
		return ""
	}
}

// band is the tasks of a queue that have one priority: their classes take turns, with
// those of other bands by weight. What has no order has its log, and its part of
// memory, for each band; tasks of keys are in those of the normal one, whatever their
// priorities.
type band struct {
	log     string // its name at the broker
	rank    rank
	plain   *class // of tasks that ask nothing of workers
	special map[task.Placement]*class
	line    deque[*class] // they wait for their turns
	spent   uint64        // for turns; the band that spent least is next

	held    broker.Limit // tasks in memory that are in the broker's log
	freed   broker.Limit // to be given back to the reader
	stored  broker.Limit // tasks in memory that are in schedule and parked rows
	out     broker.Limit // of stored, what workers had at the last tick
	fetches int          // pages of parked rows on their way
	hungry  deque[*lane] // wait for room to fetch parked rows
	readers deque[*class]
	pages   int             // that were asked for
	batches uint64          // that came from the broker
	marked  broker.Position // up to which there may be marks of tasks that were not read
}

// widen gives a queue all bands.
func (q *queue) widen() {
	for r := rank(len(q.bands)); r < ranks; r++ {
		q.addBand(r)
	}
}

func (q *queue) addBand(r rank) {
	b := &band{log: bandLog(q.Name, r), rank: r, special: make(map[task.Placement]*class)}
	q.bands = append(q.bands, b)
	b.plain = q.newClass(b, task.Placement{})
}

// band returns one of the queue's bands. Before the queue's settings arrive, something
// else may say that it has more than one.
func (q *queue) band(r rank) *band {
	if int(r) >= len(q.bands) {
		q.widen()
	}
	return q.bands[r]
}

// turnRank returns the rank in whose turns a task is handed out, if it is the first
// one of its lane.
func (q *queue) turnRank(t *task.Task) rank {
	if t.Priority == task.PriorityNormal || !q.Priorities.On() {
		return rankNormal
	}
	return rankOf(t.Priority)
}

// memoryRank returns the rank whose part of memory a task from the store belongs to.
func (q *queue) memoryRank(t *task.Task) rank {
	if t.Key != "" && q.Order == task.OrderKey {
		return rankNormal
	}
	return q.turnRank(t)
}

func rankOf(p task.Priority) rank {
	switch {
	case p > task.PriorityNormal:
		return rankHigh
	case p < task.PriorityNormal:
		return rankLow
	}
	return rankNormal
}

// band returns the band in whose part of memory the lane's tasks are.
func (l *lane) band() *band {
	if l.ordered {
		return l.q.bands[rankNormal]
	}
	return l.class.band
}

// unhold gives the room in the window of its log back that a task had.
func (c *core) unhold(it *item, q *queue) {
	b := q.bands[it.rank]
	b.held.Tasks--
	b.held.Bytes -= it.size
	b.freed.Tasks++
	b.freed.Bytes += it.size
}

// settle tells the broker, once the gathering batch is durable, that it can
// forget a task.
func (c *core) settle(q *queue, it *item) {
	c.gathering.settle(q.bands[it.rank], it.pos)
}

// waiting reports whether a class waits for its turn.
func (q *queue) waiting() bool {
	for _, b := range q.bands {
		if b.line.len() > 0 {
			return true
		}
	}
	return false
}

// next takes out the class whose turn it is: the first one of the band that spent
// least. Nothing of that was spent while the band had nothing to do counts for it
// later.
func (q *queue) next() *class {
	first := q.bands[rankNormal]
	for _, b := range q.bands[1:] {
		if b.line.len() > 0 && (first.line.len() == 0 || q.before(b, first)) {
			first = b
		}
	}
	return first.line.popFront()
}

func (q *queue) before(a, b *band) bool {
	spentA, spentB := max(a.spent, q.turn), max(b.spent, q.turn)
	return spentA < spentB || spentA == spentB && a.rank.share() > b.rank.share()
}

// charge makes a class pay for tasks that it hands out in its turn, for no more than
// one turn has: what it hands out beyond, while nobody waits, it does not owe.
func (q *queue) charge(cl *class, tasks int) {
	if len(q.bands) == 1 {
		return
	}
	b := cl.band
	q.turn = max(q.turn, b.spent)
	most := turnTasks * b.rank.share()
	b.spent = q.turn + min(uint64(tasks), most)*rankHigh.share()/b.rank.share()
}

// turnOf is how many tasks without order a class may hand out at once.
func (q *queue) turnOf(cl *class) int {
	for _, b := range q.bands {
		if b != cl.band && b.line.len() > 0 {
			return turnTasks * int(cl.band.rank.share())
		}
	}
	return maxLeaseTasks
}

// takesTurns reports whether classes of other bands wait for the same workers.
func (q *queue) takesTurns(cl *class) bool {
	return slices.ContainsFunc(q.classes, func(other *class) bool {
		return other.band != cl.band && other.own == cl.own && (other.starved || other.refused > 0)
	})
}

// nameOf is how the class of tasks is called in parked rows: what they require, behind
// a space what they prefer, and behind another one their priority, unless that is
// normal. No term has a space.
func nameOf(r rank, own task.Placement) string {
	name := string(own.Require)
	if own.Prefer != "" || r != rankNormal {
		name += " " + string(own.Prefer)
	}
	if r != rankNormal {
		name += " " + r.name()
	}
	return name
}

// classNamed returns the class that is called so in parked rows.
func (q *queue) classNamed(name string) *class {
	require, rest, _ := strings.Cut(name, " ")
	prefer, priority, _ := strings.Cut(rest, " ")
	r := rankNormal
	for other := rankNormal + 1; other < ranks; other++ {
		if priority == other.name() {
			r = other
		}
	}
	return q.classFor(q.band(r), task.Placement{Require: task.Selector(require), Prefer: task.Selector(prefer)})
}

// bandLog returns the name of a band's log at the broker: no user's queue can have it.
// Where it would be longer than names may be, it has a digest of the queue's name,
// behind a character with which none begins.
func bandLog(queue string, r rank) string {
	if r == rankNormal {
		return queue
	}
	prefix := task.ReservedPrefix + r.name() + "."
	if len(prefix)+len(queue) <= task.MaxQueueName {
		return prefix + queue
	}
	sum := sha256.Sum256([]byte(queue))
	return prefix + "-" + hex.EncodeToString(sum[:16])
}
