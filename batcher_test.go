package fenfa

import (
	"context"
	"errors"
	"strings"
	"testing"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

func onTheWire(times int) *batch {
	x := &batch{tasks: []*fenfav1.Task{{Queue: "q"}}, settled: make(chan struct{})}
	for range times {
		x.request()
	}
	return x
}

func TestARefusalSaysWhetherTheTaskMayBeStored(t *testing.T) {
	for name, c := range map[string]struct {
		inFlight, waiting []*batch
		want              string
		unknown           bool
	}{
		"the only one":          {[]*batch{onTheWire(1)}, nil, "the task was refused and not stored: too many bytes", false},
		"sent before":           {[]*batch{onTheWire(2)}, nil, "may be durable or not", true},
		"one of several":        {[]*batch{onTheWire(1), onTheWire(1)}, nil, "may be durable or not", true},
		"none was sent":         {nil, []*batch{onTheWire(0)}, "the task was not sent: too many bytes", false},
		"sent on a lost stream": {nil, []*batch{onTheWire(1)}, "may be durable or not", true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBatcher(&Client{})
			b.inFlight, b.waiting = c.inFlight, c.waiting
			b.refuse(&Error{Code: CodeTooLarge, Message: "too many bytes"})
			if len(b.inFlight) > 0 || len(b.waiting) > 0 {
				t.Error("what was refused is still there")
			}
			for _, x := range append(c.inFlight, c.waiting...) {
				<-x.settled
				if !errors.Is(x.err, ErrTooLarge) || !strings.Contains(x.err.Message, c.want) {
					t.Errorf("got %v, want %q", x.err, c.want)
				}
				if got := errors.Is(x.err, ErrUnknownOutcome); got != c.unknown {
					t.Errorf("unknown outcome: %v, want %v", got, c.unknown)
				}
			}
		})
	}
}

func TestWhatNobodyAnswersSaysThatTheTokenDoesNotDo(t *testing.T) {
	for code, want := range map[Code]Code{CodeUnauthenticated: CodeUnauthenticated, CodeInternal: CodeUnavailable} {
		b := newBatcher(&Client{})
		x := onTheWire(1)
		b.inFlight = []*batch{x}
		b.lost(&Error{Code: code, Message: "why"})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := b.abandon(ctx, x, 0)
		if CodeOf(err) != want || !errors.Is(err, ErrUnknownOutcome) || !strings.Contains(err.Error(), "why") {
			t.Errorf("after %v: %v", code, err)
		}
	}
}

func TestARefusalLeavesWhatWaitsBehindIt(t *testing.T) {
	b := newBatcher(&Client{})
	behind := onTheWire(0)
	b.inFlight, b.waiting = []*batch{onTheWire(1)}, []*batch{behind}
	b.refuse(&Error{Code: CodeTooLarge, Message: "too many bytes"})
	if len(b.inFlight) > 0 || len(b.waiting) != 1 || behind.err != nil {
		t.Errorf("%d in flight, %d waiting, error %v; want the one behind to wait", len(b.inFlight), len(b.waiting), behind.err)
	}
}
