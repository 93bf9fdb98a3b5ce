package fenfa

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Limits of what a handler says while it runs.
const (
	maxProgressText = 1 << 10
	maxExtension    = 24 * time.Hour
)

// newsKey names a task that runs.
type newsKey struct {
	lease *lease
	index int
}

// Progress says how far the handler is: a ratio from 0 to 1, and a short text of at
// most 1 KiB; what is beyond is cut off. People see it in the task's status while it
// runs. It may be said as often as one likes: the latest goes to the node with the
// next heartbeat, about twice a second. It is not kept, and ends with the attempt.
// Only a handler's task has a progress.
func (t *Task) Progress(ratio float64, text string) {
	e := t.execution("Progress")
	if math.IsNaN(ratio) {
		ratio = 0
	}
	for len(text) > maxProgressText || !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text[:min(len(text), maxProgressText)], "")
	}
	s := e.lease.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.progress == nil {
		s.progress = make(map[newsKey]*fenfav1.Progress)
	}
	s.progress[newsKey{e.lease, e.index}] = &fenfav1.Progress{Ratio: min(max(ratio, 0), 1), Text: text}
}

// Extend gives the attempt that long from now, at most 24 h, unless it has more
// already: the deadline of the handler's context moves, and the node waits. It can be
// asked again and again. It fails when the attempt has ended: its time is over, the
// lease is lost, or the task was cancelled. Only a handler's task can be extended.
func (t *Task) Extend(d time.Duration) error {
	e := t.execution("Extend")
	if d <= 0 || d > maxExtension {
		return errorf(CodeInvalidArgument, "the extension is %v: want more than 0 and at most %v", d, maxExtension).withField("extend")
	}
	if err := e.ctx.extend(time.Now().Add(d)); err != nil {
		return errorf(CodeStale, "the attempt has ended: %w", err)
	}
	s := e.lease.session
	news := &fenfav1.TaskNews{Lease: e.lease.wire.GetRef(), Index: clampUint32(e.index), Extend: durationpb.New(d)}
	if err := s.send(&fenfav1.WorkRequest{News: []*fenfav1.TaskNews{news}}); err != nil {
		return errorf(CodeStale, "the attempt has ended: %w", errLeaseLost)
	}
	return nil
}

// news takes what handlers that run have said since the last heartbeat.
func (s *session) news() []*fenfav1.TaskNews {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.progress) == 0 {
		return nil
	}
	news := make([]*fenfav1.TaskNews, 0, len(s.progress))
	for k, p := range s.progress {
		if k.lease.outcomes[k.index] == nil && !k.lease.lost.Load() {
			news = append(news, &fenfav1.TaskNews{Lease: k.lease.wire.GetRef(), Index: clampUint32(k.index), Progress: p})
		}
	}
	clear(s.progress)
	return news
}
