package pull

import (
	"context"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// answerWait is how long a call waits for verdicts.
const answerWait = 30 * time.Second

// Answer says of one leased task what became of it.
type Answer struct {
	Lease   string
	Outcome task.Outcome
}

// Result is what became of an answer. With Err set it changed nothing, or that is
// unknown, as the error says; Records are those of the key after a conflict.
type Result struct {
	Lease    string
	Err      error
	Records  []task.Record
	Complete bool
}

// waiting is an answer that was handed to the engine.
type waiting struct {
	session *session
	verdict chan task.Verdict
}

// Answer hands outcomes to the engine and waits until they are durable or
// refused. It returns one result for each, in their order.
func (p *Pool) Answer(ctx context.Context, answers []Answer) []Result {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	results := make([]Result, len(answers))
	waits := make([]waiting, len(answers))
	for i := range answers {
		results[i].Lease = answers[i].Lease
		waits[i], results[i].Err = p.answer(&answers[i])
	}
	for i := range waits {
		if results[i].Err == nil {
			results[i].await(ctx, &waits[i])
		}
	}
	return results
}

// answer hands one outcome to the engine.
func (p *Pool) answer(a *Answer) (waiting, error) {
	s, pl, err := p.find(a.Lease)
	if err != nil {
		return waiting{}, err
	}
	s.mu.Lock()
	h := s.open[pl]
	switch {
	case h == nil:
		s.mu.Unlock()
		return waiting{}, errStale(a.Lease)
	case h.answer != nil:
		s.mu.Unlock()
		return waiting{}, task.Errorf(task.CodeFailedPrecondition, "lease %s is being answered by another call", a.Lease).WithField("lease")
	}
	verdict := make(chan task.Verdict, 1)
	h.answer = verdict
	s.mu.Unlock()
	s.from.Heard()
	s.from.Outcomes(pl.ref, pl.index, []task.Outcome{a.Outcome})
	return waiting{s, verdict}, nil
}

// find returns the session of a lease, and the task's place in it.
func (p *Pool) find(lease string) (*session, place, error) {
	key, pl, ok := parse(lease)
	if !ok {
		return nil, place{}, task.Errorf(task.CodeInvalidArgument, "%q is no lease: send it as it came with the task", lease).WithField("lease")
	}
	s := p.keyed(key)
	if s == nil {
		return nil, place{}, errStale(lease)
	}
	return s, pl, nil
}

// QueueOf is the queue of a leased task; open is false where the lease has ended.
func (p *Pool) QueueOf(lease string) (queue string, open bool) {
	s, pl, err := p.find(lease)
	if err != nil {
		return "", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.open[pl]
	if h == nil {
		return "", false
	}
	return h.queue, true
}

// errStale says that a lease has ended.
func errStale(lease string) *task.Error {
	return task.Errorf(task.CodeStale, "lease %s has ended: the task was answered, took too long, or its worker did not call for too long; nothing was changed", lease).WithField("lease")
}

// await turns the verdict into a result.
func (r *Result) await(ctx context.Context, w *waiting) {
	for {
		w.session.mu.Lock()
		ended, changed := w.session.ended, w.session.changed
		w.session.mu.Unlock()
		select {
		case v := <-w.verdict:
			r.take(&v)
			return
		default:
		}
		if ended != nil {
			r.Err = task.Errorf(task.CodeUnavailable, "the session of the worker ended before there was an answer, so whether the outcome took effect is unknown: ask for the task's status: %w", ended)
			return
		}
		select {
		case v := <-w.verdict:
			r.take(&v)
			return
		case <-changed:
		case <-ctx.Done():
			r.Err = task.Errorf(task.CodeUnavailable, "there was no answer in time, so whether the outcome took effect is unknown: ask for the task's status: %w", context.Cause(ctx))
			return
		}
	}
}

func (r *Result) take(v *task.Verdict) {
	switch v.Kind {
	case task.VerdictCommitted:
	case task.VerdictStale:
		r.Err = errStale(r.Lease)
	case task.VerdictConflict:
		r.Err = task.Errorf(task.CodeConflict, "%s: decide again over the records as they are now, and answer again", v.Error)
		r.Records, r.Complete = v.Records, v.Complete
	case task.VerdictRefused:
		r.Err = task.Errorf(task.CodeInvalidArgument, "the outcome was refused, and the task is a dead letter that says why: %s", v.Error)
	}
}
