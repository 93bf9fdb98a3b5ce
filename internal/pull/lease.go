package pull

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/task"
)

// Limits and defaults of calls.
const (
	MaxTasks    = 1000
	MaxWait     = time.Minute
	MaxTTL      = time.Hour
	DefaultWait = time.Second
	DefaultTTL  = 30 * time.Second
	minWait     = 50 * time.Millisecond // so that partitions can answer
	minTTL      = time.Second
	slots       = 1000 // of a worker that does not say how many it has

	// linger is how long a call that has a task waits for more of those it asked for.
	linger = 2 * time.Millisecond
	// settle is how long a call waits for what was assigned to it already.
	settle = time.Second
	// maxBytes is what a call returns at most, unless one task has more.
	maxBytes = 3 << 20
)

// Request asks for tasks.
type Request struct {
	WorkerID string
	Queues   []string
	Labels   map[string]string
	Weight   float64       // 0: 1
	Slots    int           // most tasks that the worker has at a time, over all calls; 0: 1000
	TTL      time.Duration // 0: DefaultTTL
	Most     int           // tasks; 0: 1
	Batch    int           // most tasks of a key that come together; 0: 1
	Wait     time.Duration // for the first one; 0: DefaultWait
	Client   string
	Address  string
	Owner    string // whose worker it is; another one's does not share its session
}

// Leased is a task that the worker may work on until its time is over.
type Leased struct {
	task.Leased
	ID string // of the lease
	// Follows is the lease of the task that comes right before this one in a batch of
	// their key: it is done and answered before. Empty: there is none.
	Follows  string
	Timeout  time.Duration // of the attempt
	Records  []task.Record // of its key before it and what follows it, where it has one and they are small
	Complete bool          // there are no others

	place place
}

// Lease waits for tasks, and returns none when the wait is over. What it returns
// is the worker's until it answers, the time of the attempt is over, or the
// session ends.
func (p *Pool) Lease(ctx context.Context, r Request) ([]Leased, error) {
	h, err := r.normalize()
	if err != nil {
		return nil, err
	}
	s, err := p.sessionOf(h)
	if err != nil {
		return nil, err
	}
	tasks, err := s.poll(ctx, r.Most, r.Wait)
	p.metrics.polled(len(tasks), err)
	return tasks, err
}

// normalize applies defaults and checks what dispatch does not.
func (r *Request) normalize() (dispatch.Hello, error) {
	bad := func(field, format string, args ...any) (dispatch.Hello, error) {
		return dispatch.Hello{}, task.Errorf(task.CodeInvalidArgument, format, args...).WithField(field)
	}
	if r.Most == 0 {
		r.Most = 1
	}
	if r.Batch == 0 {
		r.Batch = 1
	}
	if r.Wait == 0 {
		r.Wait = DefaultWait
	}
	r.Wait = max(r.Wait, minWait)
	if r.TTL == 0 {
		r.TTL = DefaultTTL
	}
	if r.Slots == 0 {
		r.Slots = slots
	}
	switch {
	case r.Most < 0 || r.Most > MaxTasks:
		return bad("max_tasks", "max_tasks is %d: want 1 to %d", r.Most, MaxTasks)
	case r.Batch < 0 || r.Batch > r.Most:
		return bad("batch", "batch is %d: want 1 to max_tasks, which is %d, so that one answer has room for all", r.Batch, r.Most)
	case r.Wait > MaxWait:
		return bad("wait", "wait is %v: want at most %v, and call again", r.Wait, MaxWait)
	case r.TTL < minTTL || r.TTL > MaxTTL:
		return bad("ttl", "ttl is %v: want %v to %v", r.TTL, minTTL, MaxTTL)
	}
	queues := slices.Clone(r.Queues)
	slices.Sort(queues)
	return dispatch.Hello{
		WorkerID: r.WorkerID, Queues: slices.Compact(queues), Slots: r.Slots, Weight: r.Weight, Labels: r.Labels,
		Client: r.Client, Address: r.Address, Owner: r.Owner, Pull: true, TTL: r.TTL, Batch: r.Batch,
	}, nil
}

// poll waits for up to most tasks.
func (s *session) poll(ctx context.Context, most int, wait time.Duration) (got []Leased, err error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.finish()
	s.from.Want(most)
	got, err = s.gather(ctx, most, wait)
	if err == nil {
		got, err = s.collect(ctx, got, most)
	} else {
		s.from.Unwant(most - len(got))
	}
	if ctx.Err() != nil {
		s.giveBack(got)
		return nil, task.Errorf(task.CodeUnavailable, "the call ended before there was an answer: %w", context.Cause(ctx))
	}
	if len(got) > 0 {
		return s.fitting(got), nil
	}
	return nil, err
}

// gather collects tasks until there are enough, or a first one and no other soon,
// or the wait is over.
func (s *session) gather(ctx context.Context, most int, wait time.Duration) (got []Leased, err error) {
	over, stop := s.pool.after(wait)
	defer func() { stop() }()
	for lingering := false; ; {
		more, changed, err := s.take(most - len(got))
		got = append(got, more...)
		if err != nil || len(got) == most {
			return got, err
		}
		if len(got) > 0 && !lingering {
			lingering = true
			stop()
			over, stop = s.pool.after(linger)
		}
		select {
		case <-changed:
		case <-over:
			return got, nil
		case <-ctx.Done():
			return got, nil
		}
	}
}

// collect takes back what the call waits for. What was assigned to it already is on
// its way: it takes that, too.
func (s *session) collect(ctx context.Context, got []Leased, most int) ([]Leased, error) {
	over, stop := s.pool.after(settle)
	defer stop()
	for short := most - len(got); ; {
		more, changed, err := s.take(short)
		got, short = append(got, more...), short-len(more)
		// A batch may turn out to be smaller than what was reserved for it.
		if short -= s.from.Unwant(short); short == 0 || err != nil {
			return got, err
		}
		select {
		case <-changed:
		case <-over:
			return got, nil
		case <-ctx.Done():
			return got, nil
		}
	}
}

// begin counts a call that waits.
func (s *session) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tidy(s.pool.cfg.Clock.Now())
	if s.drained != nil {
		return s.drained
	}
	s.calls++
	return nil
}

// finish ends a call that waits.
func (s *session) finish() {
	s.mu.Lock()
	s.calls--
	unwanted := s.unwanted()
	s.mu.Unlock()
	s.giveBack(unwanted)
}

// take returns up to most tasks that are there, and what is closed when there may
// be more. It fails when there will be none. A batch is taken as a whole.
func (s *session) take(most int) (got []Leased, changed <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.ready[:0]
	for i := 0; i < len(s.ready); {
		n := batchAt(s.ready[i:])
		if len(got)+n <= most {
			got = append(got, s.ready[i:i+n]...)
		} else {
			left = append(left, s.ready[i:i+n]...)
		}
		i += n
	}
	clear(s.ready[len(left):])
	s.ready = left
	switch {
	case s.ended != nil:
		err = task.Errorf(task.CodeUnavailable, "the session of worker %q ended, call again: %w", s.hello.WorkerID, s.ended)
	case s.drained != nil && len(got) == 0:
		err = s.drained
	}
	return got, s.changed, err
}

// batchAt is how many tasks the batch has that begins here.
func batchAt(tasks []Leased) int {
	n := 1
	for n < len(tasks) && tasks[n].Follows != "" {
		n++
	}
	return n
}

// fitting gives back what would make the answer too large.
func (s *session) fitting(got []Leased) []Leased {
	size := 0
	for i := 0; i < len(got); {
		n := batchAt(got[i:])
		for j := range got[i : i+n] {
			t := &got[i+j]
			size += t.Size()
			for k := range t.Records {
				size += t.Records[k].Size()
			}
		}
		if i > 0 && size > maxBytes {
			s.giveBack(got[i:])
			return got[:i]
		}
		i += n
	}
	return got
}

// idOf is how a worker names a task that it has.
func (s *session) idOf(p place) string {
	b := make([]byte, 0, 64)
	b = append(append(b, s.key...), '.')
	b = append(strconv.AppendInt(b, int64(p.ref.Partition), 10), '.')
	b = append(strconv.AppendUint(b, p.ref.Epoch, 10), '.')
	b = append(strconv.AppendUint(b, p.ref.Token, 10), '.')
	return string(strconv.AppendInt(b, int64(p.index), 10))
}

// parse reads what idOf wrote.
func parse(id string) (key string, p place, ok bool) {
	key, rest, _ := strings.Cut(id, ".")
	part, rest, _ := strings.Cut(rest, ".")
	epoch, rest, _ := strings.Cut(rest, ".")
	token, index, _ := strings.Cut(rest, ".")
	var errs [4]error
	p.ref.Partition, errs[0] = strconv.Atoi(part)
	p.ref.Epoch, errs[1] = strconv.ParseUint(epoch, 10, 64)
	p.ref.Token, errs[2] = strconv.ParseUint(token, 10, 64)
	p.index, errs[3] = strconv.Atoi(index)
	for _, err := range errs {
		if err != nil {
			return "", place{}, false
		}
	}
	return key, p, true
}
