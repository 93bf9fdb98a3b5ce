package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// Explain says in one sentence why a task is where it is.
func (s *taskService) Explain(ctx context.Context, req *fenfav1.ExplainTaskRequest) (*fenfav1.ExplainTaskResponse, error) {
	id, err := idFromWire(req.GetId())
	if err != nil {
		return nil, err
	}
	x, err := s.cfg.Engine.Explain(ctx, id)
	if err != nil {
		return nil, err
	}
	s.lookForWorkers(&x)
	return &fenfav1.ExplainTaskResponse{Explanation: &fenfav1.Explanation{
		Id: id.String(), State: stateToWire(x.Status.State), Queue: x.Status.Queue, Key: text(x.Status.Key),
		Reason: reasonToWire(x.Reason), Text: text(s.sentence(&x)), BlockingId: idOrEmpty(x.Blocking), Worker: text(x.Worker),
		Since: timeToWire(x.Since), NextAt: timeToWire(x.NextAt), Attempt: uint32(x.Attempt), MaxAttempts: uint32(x.MaxAttempts),
		Error: text(x.Error), Ahead: x.Ahead,
	}}, nil
}

// lookForWorkers tells a task that no worker may get from one whose workers are busy.
func (s *Server) lookForWorkers(x *partition.Explanation) {
	if x.Reason == partition.ReasonWorkers && s.cfg.Workers.Eligible(x.Status.Queue, s.requireOf(x)) == 0 {
		x.Reason = partition.ReasonNoWorker
	}
	if x.Reason == partition.ReasonInLog && s.cfg.Workers.Eligible(x.Status.Queue, s.requireOf(x)) == 0 {
		x.Reason = partition.ReasonNoWorker
	}
}

// requireOf is what the task and its queue ask of a worker.
func (s *Server) requireOf(x *partition.Explanation) task.Selector {
	q, _ := s.cfg.Engine.Queue(x.Status.Queue)
	if x.Status.Task == nil {
		return q.Placement.Require
	}
	return x.Status.Task.Placement.With(q.Placement).Require
}

// sentence says it for a person.
func (s *Server) sentence(x *partition.Explanation) string {
	st := &x.Status
	ended := " at " + clockText(st.FinishedAt)
	switch x.Reason {
	case partition.ReasonUnknown:
		return "it is not known: it was never submitted here, or it ended longer ago than its queue keeps results"
	case partition.ReasonNotServed:
		return "its partition is not served at the moment: it is being claimed, and the task waits in the log"
	case partition.ReasonEnded:
		return strings.TrimSuffix(endedText(st)+ended, " at ")
	case partition.ReasonRunning:
		return fmt.Sprintf("it runs on worker %s since %s, attempt %d of %d", x.Worker, clockText(x.Since), x.Attempt, x.MaxAttempts)
	case partition.ReasonScheduled:
		return "it is scheduled until " + clockText(x.NextAt)
	case partition.ReasonRetry:
		return "it waits for " + attemptText(x)
	case partition.ReasonHalted:
		return fmt.Sprintf("key %q of queue %q is halted since %s by dead letter %s: requeue or delete that, or let the key go on without it", st.Key, st.Queue, clockText(x.Since), x.Blocking)
	case partition.ReasonBehind:
		return behindText(x)
	case partition.ReasonInLog:
		return fmt.Sprintf("it is in the broker's log, in a queue of about %d tasks, and was not read yet", x.Ahead+1)
	case partition.ReasonPaused, partition.ReasonConcurrency, partition.ReasonRate, partition.ReasonNoWorker, partition.ReasonWorkers,
		partition.ReasonDraining, partition.ReasonReady, partition.ReasonKeyConcurrency:
	}
	why := s.queueText(x)
	if !x.Blocking.IsZero() {
		why = fmt.Sprintf("it waits behind task %s of key %q, and %s", x.Blocking, st.Key, why)
	}
	return why
}

// queueText says what holds the first ready task up.
func (s *Server) queueText(x *partition.Explanation) string {
	queue := x.Status.Queue
	switch x.Reason {
	case partition.ReasonPaused:
		return fmt.Sprintf("queue %q is paused", queue)
	case partition.ReasonConcurrency:
		return fmt.Sprintf("queue %q runs as many tasks as its concurrency allows", queue)
	case partition.ReasonKeyConcurrency:
		return fmt.Sprintf("its key %q has %d of %d tasks running", x.Status.Key, x.KeyRunning, x.KeyMost)
	case partition.ReasonRate:
		return fmt.Sprintf("queue %q has started as many tasks as its rate allows", queue)
	case partition.ReasonNoWorker:
		if require := s.requireOf(x); require != "" {
			return fmt.Sprintf("no worker is connected that takes tasks of queue %q and meets %s", queue, require)
		}
		if q, ok := s.cfg.Engine.Queue(queue); ok && q.Webhook != nil {
			return fmt.Sprintf("no URL of the webhook of queue %q can be reached, or may be: the log of the node says why (\"webhook away\")", queue)
		}
		return fmt.Sprintf("no worker is connected that takes tasks of queue %q", queue)
	case partition.ReasonWorkers:
		if x.Turns {
			return fmt.Sprintf("all workers that take tasks of queue %q are busy; tasks of other priorities wait too, and it takes turns with them", queue)
		}
		return fmt.Sprintf("all workers that take tasks of queue %q are busy", queue)
	case partition.ReasonDraining:
		return "this node is being stopped and hands nothing out"
	default:
		return "nothing holds it up: it is about to be handed out"
	}
}

func endedText(st *partition.TaskStatus) string {
	switch st.State {
	case task.StateDead:
		return fmt.Sprintf("it is a dead letter after %d failed attempts and %d hand-outs (%s)", st.Attempts, st.Deliveries, st.Error)
	case task.StateCancelled:
		return strings.TrimSuffix("it was cancelled ("+st.Error+")", " ()")
	case task.StateExpired:
		return st.Error + ", and ended"
	default:
		return "it is done"
	}
}

func behindText(x *partition.Explanation) string {
	first := "the first task of key"
	if !x.Blocking.IsZero() {
		first = fmt.Sprintf("task %s of key", x.Blocking)
	}
	first = fmt.Sprintf("it waits behind %s %q", first, x.Status.Key)
	switch {
	case x.Worker != "":
		return fmt.Sprintf("%s, which runs on worker %s since %s, attempt %d of %d", first, x.Worker, clockText(x.Since), x.Attempt, x.MaxAttempts)
	case !x.NextAt.IsZero():
		return first + ", which waits for " + attemptText(x)
	default:
		return first + ", which is about to be handed out"
	}
}

// attemptText tells of the attempt that is waited for.
func attemptText(x *partition.Explanation) string {
	about := "its next attempt"
	if x.Attempt > 0 && x.MaxAttempts > 0 {
		about = fmt.Sprintf("attempt %d of %d", x.Attempt, x.MaxAttempts)
	}
	if x.Error != "" {
		return fmt.Sprintf("%s at %s, last error: %s", about, clockText(x.NextAt), x.Error)
	}
	return about + " at " + clockText(x.NextAt)
}

func clockText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func reasonToWire(r partition.Reason) fenfav1.Reason {
	return [...]fenfav1.Reason{
		partition.ReasonUnknown:     fenfav1.Reason_REASON_UNKNOWN,
		partition.ReasonNotServed:   fenfav1.Reason_REASON_NOT_SERVED,
		partition.ReasonInLog:       fenfav1.Reason_REASON_IN_LOG,
		partition.ReasonScheduled:   fenfav1.Reason_REASON_SCHEDULED,
		partition.ReasonRetry:       fenfav1.Reason_REASON_RETRY,
		partition.ReasonBehind:      fenfav1.Reason_REASON_BEHIND,
		partition.ReasonHalted:      fenfav1.Reason_REASON_HALTED,
		partition.ReasonPaused:      fenfav1.Reason_REASON_PAUSED,
		partition.ReasonConcurrency: fenfav1.Reason_REASON_CONCURRENCY,
		partition.ReasonRate:        fenfav1.Reason_REASON_RATE,
		partition.ReasonNoWorker:    fenfav1.Reason_REASON_NO_WORKER,
		partition.ReasonWorkers:     fenfav1.Reason_REASON_WORKERS_BUSY,
		partition.ReasonDraining:    fenfav1.Reason_REASON_DRAINING,
		partition.ReasonReady:       fenfav1.Reason_REASON_READY,
		partition.ReasonRunning:     fenfav1.Reason_REASON_RUNNING,
		partition.ReasonEnded:       fenfav1.Reason_REASON_ENDED,

		partition.ReasonKeyConcurrency: fenfav1.Reason_REASON_KEY_CONCURRENCY,
	}[r]
}
