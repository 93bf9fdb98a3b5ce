package fenfa

import (
	"context"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// LifeState is where a task is in its life.
type LifeState string

// The states. StateUnknown is answered for an ID that the node does not know, or
// does not keep any more.
const (
	StateUnknown   LifeState = "unknown"
	StateQueued    LifeState = "queued"
	StateScheduled LifeState = "scheduled"
	StateReady     LifeState = "ready"
	StateRunning   LifeState = "running"
	StateDone      LifeState = "done"
	StateDead      LifeState = "dead"
	StateCancelled LifeState = "cancelled"
	StateExpired   LifeState = "expired"
)

// Final reports whether a task in this state stays in it by itself.
func (s LifeState) Final() bool {
	return s == StateDone || s == StateDead || s == StateCancelled || s == StateExpired
}

// TaskStatus is everything that is known of a task.
type TaskStatus struct {
	ID        ID
	State     LifeState
	Queue     string
	Key       string
	CreatedAt time.Time // zero times: not yet, or not known
	// StartedAt is when the attempt began that ended it as done: at most as early as the
	// task came to the worker. Zero: it is not done, or not known.
	StartedAt  time.Time
	FinishedAt time.Time
	NextAt     time.Time // when it is due, if it waits for a time
	Attempts   int       // how often a handler failed
	Deliveries int       // how often it was handed to a worker
	Worker     string    // the last that had it
	Result     []byte
	Error      string // the last error, or why it is dead
	History    []Attempt
	Task       *Task // the task itself where it is still kept, else nil
	// WaitsFor says, for a person, which worker is missing for a task that could start
	// and that no connected worker may get; else it is empty.
	WaitsFor string
	Running  *RunningAttempt // of a running task, else nil
}

// RunningAttempt is the attempt that is under way.
type RunningAttempt struct {
	StartedAt time.Time // zero: it waits at its worker behind others of its lease
	Deadline  time.Time // when it ends as failed, unless its handler asks for more time
	HeardAt   time.Time // when its worker was heard the last time
	Progress  *Progress // nil: the handler said nothing of it
}

// Progress is how far a handler is, as it said with Task.Progress.
type Progress struct {
	Ratio float64 // 0 to 1
	Text  string
	At    time.Time // when the node heard it
}

// DecodeResult reads the result into v, by the rule of Task.Decode.
func (s *TaskStatus) DecodeResult(v any) error { return decode(s.Result, v) }

// Task tells where a task is in its life. It fails with CodeNotFound for an ID
// that is not known, or not kept any more.
func (c *Client) Task(ctx context.Context, id ID) (*TaskStatus, error) {
	resp, err := call(ctx, c, "get task", c.tasks.Get, &fenfav1.GetTaskRequest{Id: id.String()})
	if err != nil {
		return nil, err
	}
	return statusOf(id, resp.GetStatus()), nil
}

func statusOf(id ID, w *fenfav1.TaskStatus) *TaskStatus {
	s := &TaskStatus{
		ID:         id,
		State:      lifeStateOf(w.GetState()),
		Queue:      w.GetQueue(),
		Key:        w.GetKey(),
		CreatedAt:  timeOf(w.GetCreatedAt()),
		StartedAt:  timeOf(w.GetStartedAt()),
		FinishedAt: timeOf(w.GetFinishedAt()),
		NextAt:     timeOf(w.GetNextAt()),
		Attempts:   int(w.GetAttempts()),
		Deliveries: int(w.GetDeliveries()),
		Worker:     w.GetWorker(),
		Result:     w.GetResult(),
		Error:      w.GetError(),
		History:    attemptsOf(w.GetHistory()),
		WaitsFor:   w.GetWaitsFor(),
	}
	s.Running = runningOf(w.GetRunning())
	if w.GetTask() != nil {
		s.Task = &Task{wire: w.GetTask(), ownID: true}
	}
	return s
}

func runningOf(w *fenfav1.RunningAttempt) *RunningAttempt {
	if w == nil {
		return nil
	}
	r := &RunningAttempt{StartedAt: timeOf(w.GetStartedAt()), Deadline: timeOf(w.GetDeadline()), HeardAt: timeOf(w.GetHeardAt())}
	if p := w.GetProgress(); p != nil {
		r.Progress = &Progress{Ratio: p.GetRatio(), Text: p.GetText(), At: timeOf(p.GetAt())}
	}
	return r
}

func lifeStateOf(w fenfav1.TaskState) LifeState {
	switch w {
	case fenfav1.TaskState_TASK_STATE_QUEUED:
		return StateQueued
	case fenfav1.TaskState_TASK_STATE_SCHEDULED:
		return StateScheduled
	case fenfav1.TaskState_TASK_STATE_READY:
		return StateReady
	case fenfav1.TaskState_TASK_STATE_RUNNING:
		return StateRunning
	case fenfav1.TaskState_TASK_STATE_DONE:
		return StateDone
	case fenfav1.TaskState_TASK_STATE_DEAD:
		return StateDead
	case fenfav1.TaskState_TASK_STATE_CANCELLED:
		return StateCancelled
	case fenfav1.TaskState_TASK_STATE_EXPIRED:
		return StateExpired
	case fenfav1.TaskState_TASK_STATE_UNSPECIFIED:
	}
	return StateUnknown
}
