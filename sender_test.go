package fenfa

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// collected says what a message carries: token:first+count.
func collected(req *fenfav1.WorkRequest) string {
	text := ""
	for _, o := range req.GetOutcomes() {
		text += fmt.Sprintf("%d:%d+%d ", o.GetLease().GetToken(), o.GetFirst(), len(o.GetOutcomes()))
	}
	return text
}

// idle makes a session with one lease that nobody runs.
func idle(t *testing.T, ordered bool, n int) (*session, *lease) {
	t.Helper()
	s := bareSession(t, 1, func(context.Context, *Task) error { return nil })
	l := newLease(s, wireLease(1, ordered, n), time.Now())
	s.leases[keyOf(l.wire.GetRef())] = l
	return s, l
}

func TestOutcomesOfAnUnorderedLeaseGoInRuns(t *testing.T) {
	s, l := idle(t, false, 10)
	for _, i := range []int{7, 2, 1, 5, 0, 8} {
		s.finishUnordered(l, i, s.nothing)
	}
	if got := collected(s.collect()); got != "1:0+3 1:5+1 1:7+2 " {
		t.Errorf("first message: %s", got)
	}
	for _, i := range []int{3, 9, 4} {
		s.finishUnordered(l, i, s.nothing)
	}
	if got := collected(s.collect()); got != "1:3+2 1:9+1 " {
		t.Errorf("second message: %s", got)
	}
	if req := s.collect(); req != nil {
		t.Errorf("there is nothing left, and a message says %s", collected(req))
	}
}

func TestOutcomesOfAnOrderedLeaseGoAsTheyCome(t *testing.T) {
	s, l := idle(t, true, 5)
	s.finishOrdered(l, 0, s.nothing, time.Now())
	s.finishOrdered(l, 1, s.nothing, time.Now())
	if got := collected(s.collect()); got != "1:0+2 " {
		t.Errorf("first message: %s", got)
	}
	if next := s.finishOrdered(l, 2, failedOutcome(errLeaseLost), time.Now()); next != -1 {
		t.Errorf("after a failure task %d would run", next)
	}
	if got := collected(s.collect()); got != "1:2+1 " {
		t.Errorf("second message: %s", got)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	for _, ordered := range []bool{true, false} {
		t.Run(fmt.Sprint("ordered: ", ordered), func(t *testing.T) {
			s, l := idle(t, ordered, 6)
			for i, size := range []int{maxSend / 4, maxSend / 4, 2 * maxSend, 10, maxSend - 100, maxSend / 2} {
				o := &fenfav1.Outcome{Result: make([]byte, size)}
				if ordered {
					s.finishOrdered(l, i, o, time.Now())
				} else {
					s.finishUnordered(l, i, o)
				}
			}
			got := ""
			for req := s.collect(); req != nil; req = s.collect() {
				got += collected(req)
			}
			if got != "1:0+2 1:2+1 1:3+2 1:5+1 " {
				t.Errorf("messages: %s", got)
			}
		})
	}
}

func TestAConflictOfAnEarlierRunIsIgnored(t *testing.T) {
	s, l := idle(t, true, 6)
	verdict := func(kind fenfav1.VerdictKind, first, count uint32) {
		s.verdict(&fenfav1.Verdict{Lease: l.wire.GetRef(), Kind: kind, First: first, Count: count, RecordsComplete: true})
	}
	for i := range 4 {
		s.finishOrdered(l, i, s.nothing, time.Now())
	}
	if got := collected(s.collect()); got != "1:0+4 " {
		t.Fatal(got)
	}
	conflict := fenfav1.VerdictKind_VERDICT_KIND_CONFLICT
	verdict(fenfav1.VerdictKind_VERDICT_KIND_COMMITTED, 0, 1)
	verdict(conflict, 1, 5)
	verdict(conflict, 3, 3)
	if l.again.GetFirst() != 1 || l.finished != 1 || l.sent != 1 || l.end != 6 {
		t.Errorf("goes back to %d, %d finished, %d sent, end %d", l.again.GetFirst(), l.finished, l.sent, l.end)
	}
	if next := s.finishOrdered(l, 4, s.nothing, time.Now()); next != 1 {
		t.Errorf("after the conflict task %d runs, want 1", next)
	}
	if req := s.collect(); req != nil {
		t.Errorf("an outcome of the run before the conflict is sent: %s", collected(req))
	}
	for i := 1; i < 6; i++ {
		s.finishOrdered(l, i, s.nothing, time.Now())
	}
	if got := collected(s.collect()); got != "1:1+5 " {
		t.Error(got)
	}
	verdict(fenfav1.VerdictKind_VERDICT_KIND_COMMITTED, 1, 5)
	if len(s.leases) != 0 {
		t.Error("the lease is confirmed and still there")
	}
}

func TestVerdictsThatFitNothingAreIgnored(t *testing.T) {
	s, l := idle(t, false, 2)
	for _, v := range []*fenfav1.Verdict{
		{Lease: &fenfav1.LeaseRef{Token: 99}, Kind: fenfav1.VerdictKind_VERDICT_KIND_STALE},
		{Lease: l.wire.GetRef(), Kind: fenfav1.VerdictKind_VERDICT_KIND_CONFLICT, First: 1, Count: 5},
		{Lease: l.wire.GetRef(), Kind: fenfav1.VerdictKind_VERDICT_KIND_CONFLICT, First: 7},
		{Lease: l.wire.GetRef(), Kind: 99},
	} {
		s.verdict(v)
	}
	if len(s.leases) != 1 || l.lost.Load() || l.clashed.Load() {
		t.Error("a verdict that does not fit changed the lease")
	}
}

// carefulStream notices two messages at once.
type carefulStream struct {
	grpc.ClientStream
	inside atomic.Int32
	sent   atomic.Int32
	clash  atomic.Bool
}

func (s *carefulStream) Recv() (*fenfav1.WorkResponse, error) { return nil, io.EOF }

func (s *carefulStream) Send(*fenfav1.WorkRequest) error {
	if s.inside.Add(1) > 1 {
		s.clash.Store(true)
	}
	runtime.Gosched()
	s.inside.Add(-1)
	s.sent.Add(1)
	return nil
}

func TestAStreamTakesOneMessageAtATime(t *testing.T) {
	stream := &carefulStream{}
	s := bareSession(t, 1, func(context.Context, *Task) error { return nil })
	s.stream = stream
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for range 200 {
				if err := s.send(&fenfav1.WorkRequest{Heartbeat: true}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	if stream.clash.Load() || stream.sent.Load() != 800 {
		t.Errorf("%d messages, two at once: %v", stream.sent.Load(), stream.clash.Load())
	}
}
