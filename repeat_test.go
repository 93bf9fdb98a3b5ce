package fenfa

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

func TestWhatTheNodeRefusesForNowIsSentAgain(t *testing.T) {
	n := startFake(t)
	refusals := 0
	n.knobs.refuse = func(*fenfav1.Task) *fenfav1.Error {
		if refusals++; refusals <= 5 {
			return &fenfav1.Error{Code: fenfav1.Code_CODE_UNAVAILABLE, Message: "starting", RetryAfter: durationpb.New(time.Millisecond)}
		}
		return nil
	}
	c := dial(t, n)
	if _, err := c.Submit(t.Context(), NewTask("q", 1, Key("k"))); err != nil {
		t.Error(err)
	}
	n.with(func() { refusals = 0 })
	submit(t, c, NewTask("q", 2, Key("k")), NewTask("q", 3, Key("l")))
	n.with(func() {
		if len(n.order) != 3 || refusals < 7 {
			t.Errorf("the node has %d tasks after %d attempts", len(n.order), refusals)
		}
	})
}

func TestARefusalForNowIsReturnedWhenTheTimeIsOver(t *testing.T) {
	n := startFake(t)
	n.knobs.refuse = func(*fenfav1.Task) *fenfav1.Error {
		return &fenfav1.Error{Code: fenfav1.Code_CODE_UNAVAILABLE, Message: "still starting"}
	}
	c := dial(t, n, WithSubmitTimeout(50*time.Millisecond))
	if _, err := c.Submit(t.Context(), NewTask("q", 1)); CodeOf(err) != CodeUnavailable {
		t.Errorf("error %v, want unavailable", err)
	}
	c = dial(t, n)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Submit(ctx, NewTask("q", 1)); CodeOf(err) != CodeUnavailable {
		t.Errorf("error %v, want unavailable", err)
	}
}

func TestALaterSilenceDoesNotHideWhyTheNodeRefused(t *testing.T) {
	n := startFake(t)
	hold := make(chan struct{})
	n.knobs.refuse = func(*fenfav1.Task) *fenfav1.Error {
		n.knobs.hold = hold // What comes next is not answered.
		return &fenfav1.Error{Code: fenfav1.Code_CODE_UNAVAILABLE, Message: "the broker has a memory alarm", RetryAfter: durationpb.New(time.Millisecond)}
	}
	c := dial(t, n)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := c.Submit(ctx, NewTask("q", 1))
		ended <- err
	}()
	n.await("the task is sent again", func() bool { return n.requests == 2 })
	cancel()
	err := <-ended
	if !errors.Is(err, ErrUnknownOutcome) || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "memory alarm") {
		t.Errorf("error %v, want an unknown outcome with the node's reason", err)
	}
	close(hold)
}

func TestARepeatDoesNotBringATaskBehindALaterOneOfItsKey(t *testing.T) {
	refused := &Error{Code: CodeUnavailable}
	tasks := []*Task{
		NewTask("q", nil, Key("a")), NewTask("q", nil, Key("b")), NewTask("q", nil, Key("a")), NewTask("r", nil, Key("a")), NewTask("q", nil), NewTask("q", nil), NewTask("q", nil, Key("b")),
	}
	results := []SubmitResult{{Err: refused}, {Err: refused}, {}, {Err: refused}, {Err: refused}, {}, {Err: &Error{Code: CodeInvalidArgument}}}
	if got := repeatable(tasks, results); !slices.Equal(got, []int{1, 3, 4}) {
		t.Errorf("tasks %v would be sent again, want 1, 3 and 4", got)
	}
}
