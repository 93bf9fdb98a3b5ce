package fenfa

import (
	"context"
	"strings"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Reason is why a task is where it is.
type Reason string

// The reasons.
const (
	ReasonUnknown        Reason = "unknown"         // never seen, or not kept any more
	ReasonNotServed      Reason = "not_served"      // nobody serves its partition at the moment
	ReasonInLog          Reason = "in_log"          // in the broker's log, not read yet
	ReasonScheduled      Reason = "scheduled"       // its time has not come
	ReasonRetry          Reason = "retry"           // it failed, and waits for its next attempt
	ReasonBehind         Reason = "behind"          // behind another task of its key
	ReasonHalted         Reason = "halted"          // its key waits for a decision about a dead letter
	ReasonPaused         Reason = "paused"          // its queue is paused
	ReasonConcurrency    Reason = "concurrency"     // its queue runs as many tasks as it may
	ReasonKeyConcurrency Reason = "key_concurrency" // its key runs as many tasks as it may
	ReasonRate           Reason = "rate"            // its queue has started as many tasks as it may
	ReasonNoWorker       Reason = "no_worker"       // no worker is connected that may get it
	ReasonWorkersBusy    Reason = "workers_busy"    // those that may get it have no room
	ReasonDraining       Reason = "draining"        // the node hands out nothing new
	ReasonReady          Reason = "ready"           // nothing holds it up
	ReasonRunning        Reason = "running"         // a worker has it
	ReasonEnded          Reason = "ended"           // the state says how
)

// Explanation says why a task is where it is. With ReasonBehind and a Blocking the
// fields from Worker to Error are about that task.
type Explanation struct {
	ID          ID
	State       LifeState
	Queue       string
	Key         string
	Reason      Reason
	Text        string    // one sentence for a person
	Blocking    ID        // what it waits behind, or the dead letter that its key waits for; zero: nothing
	Worker      string    // that has the task
	Since       time.Time // from when on it has; or the key waits
	NextAt      time.Time // of the next attempt, or the time that was asked for
	Attempt     int       // that runs, or is next
	MaxAttempts int
	Error       string // of the last attempt
	Ahead       int64  // tasks in front of it, roughly, as far as they are known
}

// Explain says why a task is where it is. That nothing is known of it is an answer,
// not an error.
func (c *Client) Explain(ctx context.Context, id ID) (Explanation, error) {
	resp, err := call(ctx, c, "explain task", c.tasks.Explain, &fenfav1.ExplainTaskRequest{Id: id.String()})
	if err != nil {
		return Explanation{}, err
	}
	x := resp.GetExplanation()
	blocking, _ := parseID(x.GetBlockingId())
	return Explanation{
		ID: id, State: lifeStateOf(x.GetState()), Queue: x.GetQueue(), Key: x.GetKey(),
		Reason: Reason(strings.ToLower(strings.TrimPrefix(x.GetReason().String(), "REASON_"))), Text: x.GetText(),
		Blocking: blocking, Worker: x.GetWorker(), Since: timeOf(x.GetSince()), NextAt: timeOf(x.GetNextAt()),
		Attempt: int(x.GetAttempt()), MaxAttempts: int(x.GetMaxAttempts()), Error: x.GetError(), Ahead: x.GetAhead(),
	}, nil
}
