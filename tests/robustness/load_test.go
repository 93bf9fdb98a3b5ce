package robustness

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/tests/harness"
)

// submission is what its submitter knows of one order.
type submission struct {
	client     int // the submitter
	id         fenfa.ID
	key        string
	n          int
	reject     bool // must become a dead letter
	start, end time.Time
	confirmed  bool // else nobody told
}

// load submits orders: one submitter a key, each waiting for the confirm of one
// order before it submits the next, so that the order of confirms of a key is
// the order of its numbers.
type load struct {
	t      *testing.T
	client *fenfa.Client
	keys   int
	every  time.Duration // a submitter's pace at most
	prefix string        // of keys
	pad    string        // in each order
	// waits is how often harness.Patience passes before a submit that nobody confirms
	// fails the test; 0: once.
	waits int

	mu          sync.Mutex
	submissions []submission
}

// start begins to submit. The returned function ends it and waits until what was
// begun is carried through: a submit without an answer is repeated until there
// is one.
func (l *load) start() (stop func()) {
	ctx, cancel := context.WithCancel(l.t.Context())
	var submitters sync.WaitGroup
	for i := range l.keys {
		submitters.Go(func() { l.submitter(ctx, i) })
	}
	stop = func() {
		cancel()
		submitters.Wait()
	}
	l.t.Cleanup(stop)
	return stop
}

func (l *load) submitter(ctx context.Context, i int) {
	pace := time.NewTicker(l.every)
	defer pace.Stop()
	key := fmt.Sprintf("%s-%03d", l.prefix, i)
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		o := order{N: n, Reject: n%41 == 0, Pad: l.pad}
		if n%17 == 0 {
			o.Fail = 1 + n%3
		}
		s := submission{client: i, key: key, n: n, reject: o.Reject, start: time.Now()}
		task := fenfa.NewTask(orders, o, fenfa.Key(key))
		s.id, s.confirmed = task.ID(), l.submit(task) //nolint:contextcheck // What was begun is carried through after ctx ends; the test bounds it.
		s.end = time.Now()
		l.mu.Lock()
		l.submissions = append(l.submissions, s)
		l.mu.Unlock()
		if !s.confirmed {
			return
		}
	}
}

// submit submits until somebody says yes, or the test ends. Only what may pass is
// repeated.
func (l *load) submit(task *fenfa.Task) bool {
	var err, last error
	for range max(1, l.waits) {
		err = harness.Eventually(l.t.Context(), "somebody confirms "+task.ID().String(), func(ctx context.Context) bool {
			_, last = l.client.Submit(ctx, task)
			return last == nil || !passing(last)
		})
		if err == nil {
			err = last
			break
		}
	}
	if err != nil && l.t.Context().Err() == nil {
		l.t.Errorf("submit: %v (last answer: %v)", err, last)
	}
	return err == nil
}

// passing reports whether a submit that failed so may succeed when it is
// repeated.
func passing(err error) bool {
	return errors.Is(err, fenfa.ErrUnknownOutcome) || errors.Is(err, fenfa.ErrUnavailable) || errors.Is(err, fenfa.ErrResourceExhausted)
}

// confirmed is how many orders were confirmed so far.
func (l *load) confirmed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for i := range l.submissions {
		if l.submissions[i].confirmed {
			n++
		}
	}
	return n
}
