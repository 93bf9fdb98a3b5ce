package top

import "time"

// Snapshot is what a node answered at one moment.
type Snapshot struct {
	At      time.Time // when the answers were in
	Node    Node
	Queues  []Queue
	Workers []Worker
}

// Node is the node that is looked at.
type Node struct {
	Name       string
	Version    string
	Ready      bool
	Problems   []string // why it is not ready
	StartedAt  time.Time
	Partitions int
}

// Queue is what a queue holds and did.
type Queue struct {
	Name           string
	Policy         string // of balancing
	Backlog        int64  // in the log, not finished
	Oldest         time.Time
	Scheduled      int64 // wait for their time
	Parked         int64 // set aside behind a blocked key
	Running        int64
	Blocked        int64 // keys that wait for a retry
	Halted         int64 // keys that wait for a person
	Dead           int64 // dead letters
	DoneTotal      int64 // this and the next three since the node started
	FailedTotal    int64
	DeadTotal      int64
	CancelledTotal int64
	Paused         bool          // nothing is handed out
	StartP50       time.Duration // zero: nothing was handed out lately
	StartP99       time.Duration
	Workers        int64
}

// held is how many tasks are somewhere between their submit and their end.
func (q *Queue) held() int64 { return q.Backlog + q.Scheduled + q.Parked }

// Worker is a worker as the node sees it.
type Worker struct {
	ID              string
	State           string // active, quiet, suspect or draining
	Slots           int
	InFlight        int
	Weight          float64
	EffectiveWeight float64 // what the weight counts for now; 0: as the weight
	Labels          map[string]string
	ConnectedAt     time.Time
	HeartbeatAge    time.Duration
	DoneTotal       int64 // of this session, as the next
	FailedTotal     int64
	Serving         []Serving // by queue
}

// Serving is a worker's part in one queue.
type Serving struct {
	Queue        string
	InFlight     int
	Latency      time.Duration // zero: not measured
	EjectedUntil time.Time     // zero: it is not ejected
	EjectedFor   string
}
