package partition

import (
	"context"
	"time"
)

// commitPatience is how long a commit is tried at most.
const commitPatience = 10 * time.Second

// Commit changes records of any keys, wholly or not at all, if everything that it
// reads and writes is at the expected version. It returns when that is durable. An
// error with CodeConflict says which record was not as expected, and that nothing
// was changed; after one with CodeUnavailable the commit may have happened: repeat
// it with the same ID to know.
func (e *Engine) Commit(ctx context.Context, req Commit) (CommitResult, error) {
	req.normalize()
	if err := req.validate(); err != nil {
		return CommitResult{}, err
	}
	req.fence()
	until := e.cfg.Clock.Now().Add(commitPatience)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		until = deadline
	}
	type reply struct {
		r   CommitResult
		err error
	}
	got, err := ask(ctx, e.of(req.home()), func(c *core, now time.Time, answer func(reply)) {
		c.commit(now, &req, until, func(r CommitResult, err error) { answer(reply{r, err}) })
	})
	if err != nil {
		return CommitResult{}, err
	}
	return got.r, got.err
}
