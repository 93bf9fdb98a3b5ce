package partition

import (
	"context"

	"github.com/fenfa/fenfa/internal/task"
)

// revival is a number of dead letters that are to come back, and what their tasks are
// the only ones of.
type revival struct {
	letters []*letter
	errs    []error // of each letter: why it stays
	only    uniques
	results []SubmitResult
}

// reviveDead takes dead letters back into their queues, but for those whose content
// another task has by now, and returns like changeDead.
func (own *ownership) reviveDead(ctx context.Context, letters []*letter, change letterChange) ([]error, error) {
	r := revival{letters: letters, errs: make([]error, len(letters))}
	r.only = uniques{e: own.e, revives: true}
	for i, d := range letters {
		ref, ok := task.UniqueOf(&d.task)
		if !ok {
			continue
		}
		if r.only.tasks == nil {
			r.only.tasks = make([]task.Task, len(letters))
		}
		r.only.tasks[i] = d.task
		r.only.add(i, ref)
	}
	if r.only.first == nil {
		return own.changeDead(ctx, letters, change)
	}
	r.results = make([]SubmitResult, len(letters))
	r.only.decide(ctx, r.results)
	free, index := r.free()
	if len(free) == 0 {
		return r.errs, nil
	}
	errs, err := own.changeDead(ctx, free, change)
	for n, i := range index {
		if err == nil {
			r.errs[i] = errs[n]
		}
		r.results[i].Err = r.errs[i]
	}
	// Without an answer, those that came back hold their content, and a later claim finds
	// out which did not.
	r.only.settle(r.results, err == nil)
	return r.errs, err
}

// free returns the letters whose content is free, and says of the others why they stay.
func (r *revival) free() (free []*letter, index []int) {
	for i, d := range r.letters {
		res, same := &r.results[i], r.only.again[i]
		switch {
		case same != nil && r.results[same.index].Err != nil:
			r.errs[i] = r.results[same.index].Err
		case same != nil:
			r.errs[i] = errKeptOut(d.task.ID, same.holder.task)
		case res.Duplicate:
			r.errs[i] = errKeptOut(d.task.ID, res.ID)
		case res.Err != nil:
			r.errs[i] = res.Err
		default:
			free, index = append(free, d), append(index, i)
		}
	}
	return free, index
}

// errKeptOut says why a dead letter of a unique task stays.
func errKeptOut(dead, holder task.ID) error {
	return task.Errorf(task.CodeConflict, "task %s has the content of the dead letter %s by now, which is to be unique: requeue that one after it has ended, or delete it", holder, dead).WithField("id")
}
