package partition

import (
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// WorkerRef names one session of one worker. Sessions are numbered by dispatch
// and never reused within a process.
type WorkerRef struct {
	Session uint64
	ID      string // the worker's own name, for histories
	Batch   int    // most tasks of a key that it takes in one lease; 0: as many as the queue allows
}

// most is how many tasks of a key the worker gets at a time in a queue.
func (w *WorkerRef) most(q *task.Queue) int {
	if w.Batch > 0 {
		return min(w.Batch, q.Batch)
	}
	return q.Batch
}

// Dispatcher is what a partition needs of the worker pool. No method blocks.
type Dispatcher interface {
	// Assign reserves between 1 and want slots of one worker that serves the queue
	// and meets the placement, picked by the queue's policy; key is the lane's key,
	// empty where there is no order. When no such worker has room ok is false, and w
	// has the session that the key waits for; 0: any will do. As soon as such a
	// session has room the dispatcher calls Engine.Capacity(part, queue, place,
	// session) once: for everybody whom that session refused, and all those for whom
	// any will do, who ask one after another until they are refused again. When
	// keys may have another worker than before, it calls it with session 0 instead, once
	// any worker has room: everybody asks anew.
	Assign(part int, queue *task.Queue, place task.Placement, key string, want int) (w WorkerRef, slots int, ok bool)
	// Stay reserves a slot of this very session, if it serves the queue, meets the
	// placement, gets new tasks, and has a free slot that nobody waits for.
	Stay(session uint64, queue *task.Queue, place task.Placement) bool
	// HasRoom reports whether a worker that serves the queue and meets the placement
	// has a free slot now. It reserves none, and nobody waits afterwards.
	HasRoom(queue *task.Queue, place task.Placement) bool
	// Release gives slots of a lease of the queue back: an outcome arrived, the lease
	// ended, or the assignment was not used. Unknown sessions are ignored.
	Release(session uint64, queue string, use Use)
	// Send hands a lease to the worker. A session that is gone drops it:
	// Engine.WorkerGone follows or went before.
	Send(session uint64, lease *task.Lease)
	// Answer tells the worker what became of its outcomes.
	Answer(session uint64, v task.Verdict)
	// Cancel asks the worker to stop one task of a lease, by its place among the tasks
	// that were sent. The outcome follows as always.
	Cancel(session uint64, ref task.LeaseRef, index int)
}

// Use is what a partition saw of slots that it gives back.
type Use struct {
	Slots int // given back; 0: only news of work that goes on
	// Tasks is how many outcomes there were since the last time; with 0 nothing is
	// known of how the worker works. Failed of them were failed attempts, or took
	// longer than they may. Took is the sum of their times from hand-out to outcome;
	// tasks of a key that ran one after another share one.
	Tasks  int
	Failed int
	Took   time.Duration
}

// SubmitResult says what became of one submitted task. With Err set it was
// refused; with Duplicate set it was here already. State is where it is.
type SubmitResult struct {
	ID        task.ID
	Duplicate bool
	State     task.State
	Err       error
}

// TaskStatus is everything that is known of a task.
type TaskStatus struct {
	ID         task.ID
	State      task.State
	Queue      string
	Key        string
	CreatedAt  time.Time
	StartedAt  time.Time // of the attempt that ended it as done; zero: not known
	FinishedAt time.Time
	NextAt     time.Time
	Attempts   int
	Deliveries int
	Worker     string
	Result     []byte
	Error      string
	History    []Try
	Task       *task.Task // where it is still kept
	Running    *Running   // while it runs
}

// Running is the attempt that is under way.
type Running struct {
	StartedAt time.Time // zero: it waits at its worker behind others of its lease
	Deadline  time.Time
	Progress  *task.Progress // nil: the handler said nothing of it
}

// Try is one failed attempt.
type Try struct {
	At     time.Time
	Took   time.Duration // 0: not known
	Worker string
	Error  string
}

// QueueStats is what a queue holds and did, over the partitions of this node.
type QueueStats struct {
	BacklogTasks   int64
	BacklogBytes   int64
	Oldest         time.Time
	Scheduled      int64
	Parked         int64
	Ready          int64
	Running        int64
	BlockedLanes   int64
	HaltedLanes    int64
	Dead           int64
	DoneTotal      int64
	FailedTotal    int64
	DeadTotal      int64
	CancelledTotal int64
	// StartP50 and StartP99 are what half of the tasks, and 99% of them, took at most
	// over the last 10 to 20 s from when they could start to their hand-out; zero
	// where nothing was handed out.
	StartP50 time.Duration
	StartP99 time.Duration
	// LimitedBy is the limit that keeps tasks from starting now: "concurrency", "rate",
	// or empty.
	LimitedBy string
}

// Change is one row of the op log, as History returns it.
type Change struct {
	Seq     uint64
	At      time.Time
	Op      string // "put" or "delete"
	Key     string
	Name    string
	Before  uint64
	After   uint64
	Value   []byte
	TaskID  task.ID
	Attempt int
	Node    string
	Worker  string
	Tx      task.ID // the transaction across partitions that made it; zero: none
	Hash    [32]byte
}
