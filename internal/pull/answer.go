package pull

import (
	"context"
	"strings"
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

// Answer hands outcomes to the engine and waits until they are durable or
// refused. It returns one result for each, in their order. Of the tasks of a batch
// those that come before are answered before, by this call or an earlier one.
func (p *Pool) Answer(ctx context.Context, answers []Answer) []Result {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	c := newCall(answers)
	for _, r := range p.claim(c) {
		r.session.from.Heard()
		r.session.from.Outcomes(r.place.ref, r.place.index, r.outcomes)
	}
	return c.wait(ctx)
}

// run is outcomes that follow one another in one lease: they go in one message.
type run struct {
	session  *session
	place    place // of the first
	outcomes []task.Outcome
}

// claim marks the tasks of a call as being answered by it, and returns what is to be
// handed to the engine.
func (p *Pool) claim(c *call) (runs []run) {
	for i := range c.answers {
		s, pl, err := p.find(c.answers[i].Lease)
		behind := false
		if err == nil {
			behind, err = s.claim(c, i, pl)
		}
		if err != nil {
			c.fail(i, err)
			continue
		}
		if behind {
			continue
		}
		if n := len(runs) - 1; n >= 0 && runs[n].goesOn(s, pl) {
			runs[n].outcomes = append(runs[n].outcomes, c.answers[i].Outcome)
		} else {
			runs = append(runs, run{s, pl, []task.Outcome{c.answers[i].Outcome}})
		}
	}
	return runs
}

// goesOn reports whether a task comes right behind those of the run.
func (r *run) goesOn(s *session, pl place) bool {
	return r.session == s && r.place.ref == pl.ref && r.place.index+len(r.outcomes) == pl.index
}

// claim marks one task. behind says that its batch ends before it with what the same
// call says of another task: there is nothing to hand to the engine.
func (s *session) claim(c *call, i int, pl place) (behind bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lease := c.answers[i].Lease
	h := s.open[pl]
	switch {
	case h == nil:
		return false, errStale(lease)
	case !h.by.ended():
		return false, task.Errorf(task.CodeFailedPrecondition, "lease %s is being answered by another call", lease).WithField("lease")
	case h.chain != nil && pl.index > h.chain.next:
		before := s.open[place{pl.ref, pl.index - 1}]
		if before.by != c {
			return false, task.Errorf(task.CodeFailedPrecondition,
				"lease %s comes after lease %s of the same key: answer that one first, in the same call or an earlier one", lease, s.idOf(place{pl.ref, pl.index - 1})).WithField("lease")
		}
		behind = before.ends
	}
	h.by, h.at = c, i
	h.ends = behind || h.chain != nil && c.answers[i].Outcome.Kind != task.OutcomeDone
	return behind, nil
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

// errTakenBack says that a task went back with the rest of its batch.
func errTakenBack(lease string) *task.Error {
	return task.Errorf(task.CodeStale, "lease %s has ended: a task before it in its batch was not done, so it was taken back and comes again behind that; nothing was changed", lease).WithField("lease")
}

// take makes a verdict the result of the answer for the task with that index.
func (r *Result) take(v *task.Verdict, index int) {
	switch v.Kind {
	case task.VerdictCommitted:
	case task.VerdictStale, task.VerdictLate:
		r.Err = errStale(r.Lease)
	case task.VerdictConflict:
		why := v.Error
		if index > v.First {
			why = "a task before it in its batch conflicted: " + strings.TrimSpace(why)
		}
		r.Err = task.Errorf(task.CodeConflict, "%s: decide again over the records as they are now, and answer again", why)
		r.Records, r.Complete = v.Records, v.Complete
	case task.VerdictRefused:
		r.Err = task.Errorf(task.CodeInvalidArgument, "the outcome was refused, and the task is a dead letter that says why: %s", v.Error)
	}
}
