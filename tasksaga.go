package fenfa

import fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"

// TaskSaga says which saga a task belongs to. The zero value belongs to none.
type TaskSaga struct{ wire *fenfav1.TaskSaga }

// Saga returns the saga whose step or compensation the task is; its ID is empty
// where it is neither.
func (t *Task) Saga() TaskSaga { return TaskSaga{wire: t.wire.GetSaga()} }

// ID returns the saga's id.
func (s TaskSaga) ID() string { return s.wire.GetId() }

// Name returns the name of the saga's definition.
func (s TaskSaga) Name() string { return s.wire.GetName() }

// Step returns the name of the step that the task does or undoes.
func (s TaskSaga) Step() string { return s.wire.GetStep() }

// Compensation reports whether the task undoes the step.
func (s TaskSaga) Compensation() bool { return s.wire.GetCompensation() }

// Null reports whether the task is the compensation of a step that did not take
// effect in fenfa: nothing that its handler wrote, emitted or returned was kept. What it did
// to other systems may have happened. Only a Compensation with WhenTried is one.
func (s TaskSaga) Null() bool { return s.wire.GetNull() }

// Try returns how many tasks there were for this step, or for its compensation: more
// than 1 where a person had it begun again.
func (s TaskSaga) Try() int { return int(s.wire.GetTry()) }

// Result reads into v what a step that is done returned, by the rule of Task.Decode,
// and reports whether it returned something.
func (s TaskSaga) Result(step string, v any) (bool, error) {
	for _, r := range s.wire.GetResults() {
		if r.GetStep() == step {
			return true, decode(r.GetValue(), v)
		}
	}
	return false, nil
}
