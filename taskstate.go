package fenfa

import "context"

type execution struct{}

// TaskState reads and writes the records of a task's key, as a part of the task:
// reads see the state as of the task before it for that key, writes take effect
// with the task's outcome and only if what was read has not changed meanwhile;
// else the handler runs again over the records as they are then. It may be used
// by the handler's goroutine only.
type TaskState struct{ t *Task }

// State returns access to the records of the task's key.
func (t *Task) State() *TaskState { return &TaskState{t} }

// Emit makes a follow-up task, submitted together with the outcome of this one
// if the handler returns nil. It gets an ID that follows from this task's, unless
// it has been given one. What cannot be emitted fails the attempt.
func (t *Task) Emit(next *Task) {}

// Return sets the task's result, encoded by the rule of NewTask, at most 256 KiB,
// and returns nil, or why it cannot be the result; the attempt then fails.
func (t *Task) Return(v any) error { return nil }

// Get reads a record into v, by the rule of Task.Decode. It fails with
// CodeNotFound where there is none; v then stays as it was.
func (s *TaskState) Get(ctx context.Context, name string, v any) error { return nil }

// GetRaw returns a record's value, which must not be changed, and whether it
// exists.
func (s *TaskState) GetRaw(ctx context.Context, name string) (value []byte, exists bool, err error) {
	return nil, false, nil
}

// Put writes a record, encoded by the rule of NewTask, at most 256 KiB. What
// cannot be written fails the attempt.
func (s *TaskState) Put(name string, v any) {}

// PutRaw writes a record as it is.
func (s *TaskState) PutRaw(name string, value []byte) {}

// Delete deletes a record, if it exists.
func (s *TaskState) Delete(name string) {}
