package history

import (
	"sync"
	"time"

	"github.com/fenfa/fenfa/internal/clock"
)

// RecorderConfig says where a Recorder takes the time from.
type RecorderConfig struct {
	Clock clock.Clock // default clock.System
}

// Recorder collects the entries of one process.
type Recorder struct {
	clock clock.Clock
	began time.Time

	mu   sync.Mutex
	logs []*Log
}

// NewRecorder returns a recorder without entries.
func NewRecorder(cfg RecorderConfig) *Recorder {
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	return &Recorder{clock: cfg.Clock, began: cfg.Clock.Now()}
}

// Log returns a new log of the recorder.
func (r *Recorder) Log() *Log {
	l := &Log{r: r}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logs = append(r.logs, l)
	return l
}

// Take returns what was recorded since the last Take. A process that may be
// killed calls it now and then and writes the result away.
func (r *Recorder) Take() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	var h History
	for _, l := range r.logs {
		h.Add(l.take())
	}
	return h
}

// Log records the entries of one goroutine, or of a few that share it.
type Log struct {
	r  *Recorder
	mu sync.Mutex
	h  History
}

// Now returns the time for Start and End. It does not jump when the machine's
// clock is set.
func (l *Log) Now() int64 {
	return l.r.began.UnixNano() + int64(l.r.clock.Now().Sub(l.r.began))
}

func (l *Log) take() History {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.h
	l.h = History{}
	return h
}

// Submit records a submit.
func (l *Log) Submit(e Submit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.h.Submits = append(l.h.Submits, e)
}

// Delivery records an execution.
func (l *Log) Delivery(e Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.h.Deliveries = append(l.h.Deliveries, e)
}

// Effect records an effect.
func (l *Log) Effect(e Effect) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.h.Effects = append(l.h.Effects, e)
}

// Final records where a task was found.
func (l *Log) Final(e Final) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.h.Finals = append(l.h.Finals, e)
}

// Access records an access of a record.
func (l *Log) Access(e Access) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.h.Accesses = append(l.h.Accesses, e)
}

// Group declares a group of records.
func (l *Log) Group(e Group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.h.Groups = append(l.h.Groups, e)
}

// Transaction records a transaction that was committed.
func (l *Log) Transaction(e Transaction) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.h.Transactions = append(l.h.Transactions, e)
}

// Snapshot records a read of a group.
func (l *Log) Snapshot(e Snapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.h.Snapshots = append(l.h.Snapshots, e)
}

// Unordered declares a queue whose tasks do not wait for each other.
func (l *Log) Unordered(queue string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.h.Unordered = append(l.h.Unordered, queue)
}
