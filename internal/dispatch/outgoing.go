package dispatch

import (
	"context"
	"runtime"
	"sync"

	"github.com/fenfa/fenfa/internal/task"
)

// Batch is everything that waited for a worker at one moment.
type Batch struct {
	Leases   []*task.Lease
	Verdicts []task.Verdict
	Drain    bool // the node wants the worker to finish and go elsewhere; said once
	Leave    bool // together with Drain: and not to connect again
	Resumed  bool // a person has ended the worker's own quiet
	Cancels  []Cancel
}

// Cancel names a task that the worker is to stop, by its place in a lease.
type Cancel struct {
	task.LeaseRef
	Index int
}

// reset drops the contents and keeps the room.
func (b *Batch) reset() {
	clear(b.Leases)
	clear(b.Verdicts)
	*b = Batch{Leases: b.Leases[:0], Verdicts: b.Verdicts[:0]}
}

func (b *Batch) empty() bool {
	return len(b.Leases) == 0 && len(b.Verdicts) == 0 && !b.Drain && !b.Resumed && len(b.Cancels) == 0
}

// outgoing gathers what goes to one worker until its stream takes it.
type outgoing struct {
	most int           // bytes from which on the buffer is full
	wake chan struct{} // holds a token while there may be something to take

	mu     sync.Mutex
	batch  Batch
	bytes  int
	closed error
}

func newOutgoing(most int) *outgoing {
	return &outgoing{most: most, wake: make(chan struct{}, 1)}
}

// addLease reports whether the lease made the buffer full.
func (o *outgoing) addLease(l *task.Lease) (full bool) {
	n := LeaseSize(l)
	o.mu.Lock()
	if o.closed == nil {
		o.batch.Leases = append(o.batch.Leases, l)
		full = o.grow(n)
	}
	o.mu.Unlock()
	o.signal()
	return full
}

// addVerdict reports whether the verdict made the buffer full.
func (o *outgoing) addVerdict(v task.Verdict) (full bool) {
	n := VerdictSize(&v)
	o.mu.Lock()
	if o.closed == nil {
		o.batch.Verdicts = append(o.batch.Verdicts, v)
		full = o.grow(n)
	}
	o.mu.Unlock()
	o.signal()
	return full
}

func (o *outgoing) grow(n int) (full bool) {
	before := o.bytes
	o.bytes += n
	return before < o.most && o.bytes >= o.most
}

func (o *outgoing) askDrain(leave bool) {
	o.mu.Lock()
	o.batch.Drain = true
	o.batch.Leave = o.batch.Leave || leave
	o.mu.Unlock()
	o.signal()
}

// tellResumed tells the worker that its own quiet has ended.
func (o *outgoing) tellResumed() {
	o.mu.Lock()
	o.batch.Resumed = true
	o.mu.Unlock()
	o.signal()
}

// addCancel asks the worker to stop a task. It takes so little room that it is not
// counted.
func (o *outgoing) addCancel(c Cancel) {
	o.mu.Lock()
	if o.closed == nil {
		o.batch.Cancels = append(o.batch.Cancels, c)
	}
	o.mu.Unlock()
	o.signal()
}

// close drops what waits; next returns reason from now on.
func (o *outgoing) close(reason error) {
	o.mu.Lock()
	o.closed = reason
	o.batch = Batch{}
	o.mu.Unlock()
	o.signal()
}

func (o *outgoing) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// next waits until there is something, and swaps it with the spent batch into.
// It reports whether the buffer had been full.
func (o *outgoing) next(ctx context.Context, into *Batch) (wasFull bool, err error) {
	into.reset()
	for {
		o.mu.Lock()
		if o.closed != nil {
			o.mu.Unlock()
			return false, o.closed
		}
		if !o.batch.empty() {
			*into, o.batch = o.batch, *into
			wasFull = o.bytes >= o.most
			o.bytes = 0
			o.mu.Unlock()
			return wasFull, nil
		}
		o.mu.Unlock()
		select {
		case <-o.wake:
			// What is about to be added, like the other leases that outcomes of one message
			// have made room for, shares the message.
			runtime.Gosched()
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// full reports whether as much waits as may.
func (o *outgoing) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes >= o.most
}

// LeaseSize is about the number of bytes of the lease on the wire.
func LeaseSize(l *task.Lease) int {
	n := 64 + len(l.Queue)
	for i := range l.Tasks {
		n += l.Tasks[i].Size()
	}
	for i := range l.Records {
		n += l.Records[i].Size()
	}
	return n
}

// VerdictSize is about the number of bytes of the verdict on the wire.
func VerdictSize(v *task.Verdict) int {
	n := 64 + len(v.Error)
	for i := range v.Records {
		n += v.Records[i].Size()
	}
	return n
}
