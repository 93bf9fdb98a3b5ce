package fenfa

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// bareSession is a session without a stream.
func bareSession(tb testing.TB, size int, h HandlerFunc) *session {
	tb.Helper()
	c, err := Dial("127.0.0.1:1")
	if err != nil {
		tb.Fatal(err)
	}
	w := c.Worker()
	w.Handle("q", h)
	if err := w.prepare(); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(tb.Context()))
	s := newSession(ctx, cancel, w, newPool(size))
	tb.Cleanup(func() {
		cancel(nil)
		if n := s.pool.close(time.Minute); n > 0 {
			tb.Errorf("%d goroutines are left", n)
		}
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// wireLease makes a lease of n tasks.
func wireLease(token uint64, ordered bool, n int) *fenfav1.Lease {
	w := &fenfav1.Lease{Ref: &fenfav1.LeaseRef{Token: token}, Queue: "q", Ordered: ordered, RecordsComplete: true, Timeout: durationpb.New(time.Minute)}
	for range n {
		w.Tasks = append(w.Tasks, &fenfav1.Task{Id: "0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01", Queue: "q", Key: "k"})
	}
	return w
}

func TestThePoolRunsEverythingWithAsManyGoroutinesAsItMay(t *testing.T) {
	const size, tasks = 7, 7
	var together sync.WaitGroup
	together.Add(tasks)
	s := bareSession(t, size, func(context.Context, *Task) error {
		together.Done()
		together.Wait() // Ends only if all run at the same time.
		return nil
	})
	s.take([]*fenfav1.Lease{wireLease(1, false, 3), wireLease(2, false, 2), wireLease(3, true, 1), wireLease(4, true, 1)})
	together.Wait()
	if s.pool.spawned != size {
		t.Errorf("%d goroutines, want %d", s.pool.spawned, size)
	}
}

func TestThePoolKeepsItsGoroutinesToItsSize(t *testing.T) {
	var finished sync.WaitGroup
	s := bareSession(t, 2, func(context.Context, *Task) error {
		finished.Done()
		return nil
	})
	for token := range uint64(500) {
		finished.Add(20)
		s.take([]*fenfav1.Lease{wireLease(token, token%2 == 0, 20)})
	}
	finished.Wait()
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if s.pool.spawned > 2 || s.pool.head != len(s.pool.jobs) {
		t.Errorf("%d goroutines, %d jobs left", s.pool.spawned, len(s.pool.jobs)-s.pool.head)
	}
}

func TestAClosedPoolDropsWhatHasNotBegun(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	s := bareSession(t, 1, func(context.Context, *Task) error {
		begun <- struct{}{}
		<-release
		return nil
	})
	s.take([]*fenfav1.Lease{wireLease(1, false, 3)})
	<-begun
	if n := s.pool.close(time.Nanosecond); n != 1 {
		t.Errorf("%d handlers still run, want 1", n)
	}
	close(release)
	s.take([]*fenfav1.Lease{wireLease(2, false, 3)})
	if n := s.pool.close(time.Minute); n != 0 {
		t.Errorf("%d handlers still run", n)
	}
}
