package partition

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/task"
)

// staleClaim is after how long the claim of a task that is nowhere may be taken over.
// Its submit has ended by then: the node went down before the broker had the task.
// Where no other node can submit, the claim of an earlier run is stale at once.
const staleClaim = time.Minute

// uniques are the tasks of one submit that are to be the only ones of their content,
// or dead letters of such tasks that are to come back.
type uniques struct {
	e       *Engine
	tasks   []task.Task
	revives bool

	byPart map[int][]*uniqueClaim
	first  map[task.ID]*uniqueClaim // by content
	again  map[int]*uniqueClaim     // tasks that are the same as an earlier one of the submit
}

// add takes a task that was sealed, and reports whether it may go on for now.
func (u *uniques) add(i int, ref task.UniqueRef) bool {
	t := &u.tasks[i]
	if u.first == nil {
		u.byPart, u.first, u.again = map[int][]*uniqueClaim{}, map[task.ID]*uniqueClaim{}, map[int]*uniqueClaim{}
	}
	if same := u.first[ref.ID]; same != nil {
		u.again[i] = same
		return false
	}
	x := &uniqueClaim{ref: ref, task: t.ID, created: t.CreatedAt, run: u.e.run, revives: u.revives, index: i}
	u.first[ref.ID] = x
	part, _ := u.e.fixedPartition(t)
	u.byPart[part] = append(u.byPart[part], x)
	return true
}

// claim decides which tasks go to the broker, and fills in the results of the others.
// Their messages are taken out.
func (u *uniques) claim(ctx context.Context, messages []broker.Message, index []int, results []SubmitResult) ([]broker.Message, []int) {
	u.decide(ctx, results)
	kept, keptIndex := messages[:0], index[:0]
	for n, i := range index {
		if results[i].Err == nil && !results[i].Duplicate {
			kept, keptIndex = append(kept, messages[n]), append(keptIndex, i)
		}
	}
	return kept, keptIndex
}

// decide claims the contents, and fills in the results of tasks that others keep out.
func (u *uniques) decide(ctx context.Context, results []SubmitResult) {
	parts := make([]int, 0, len(u.byPart))
	for part := range u.byPart {
		parts = append(parts, part)
	}
	slices.Sort(parts)
	for _, part := range parts {
		claims := u.byPart[part]
		slices.SortFunc(claims, func(a, b *uniqueClaim) int { return slices.Compare(a.ref.ID[:], b.ref.ID[:]) })
		u.claimIn(ctx, part, claims, results)
	}
}

func (u *uniques) claimIn(ctx context.Context, part int, claims []*uniqueClaim, results []SubmitResult) {
	for len(claims) > 0 {
		if err := u.ask(ctx, part, claims); err != nil {
			for _, x := range claims {
				results[x.index].Err = err
			}
			return
		}
		var again []*uniqueClaim
		for _, x := range claims {
			if x.won() {
				continue
			}
			if x.busy {
				results[x.index].Err = errClaimed(x.holder.task)
				continue
			}
			r, stale := u.held(ctx, x)
			if stale {
				x.stale = x.holder.task
				again = append(again, x)
				continue
			}
			results[x.index] = r
		}
		claims = again
	}
}

// ask lets the partition decide. It is not given up before that answers, because what
// it decided must be settled.
func (u *uniques) ask(ctx context.Context, part int, claims []*uniqueClaim) error {
	_, err := ask(context.WithoutCancel(ctx), u.e.owners[part], func(c *core, _ time.Time, answer func(struct{})) {
		c.claimAll(claims, func() { answer(struct{}{}) })
	})
	return err
}

// held says who holds the content, or that nobody does any more.
func (u *uniques) held(ctx context.Context, x *uniqueClaim) (r SubmitResult, stale bool) {
	h := &x.holder
	r = SubmitResult{ID: h.task, Duplicate: true, State: h.ended}
	st, err := u.e.TaskStatus(ctx, h.task)
	switch {
	case !h.open: // Its mark may be gone before the period is over.
		if err == nil {
			r.State = st.State
		}
	case err == nil && (st.State.Final() || !h.holdsIn(st.State)):
		return r, true // A final one was submitted again after its end, and did nothing.
	case err == nil:
		r.State = st.State
	case task.CodeOf(err) != task.CodeNotFound:
		return SubmitResult{ID: x.task, Err: err}, false
	case u.e.alone && h.run != u.e.run, u.e.cfg.Clock.Now().Sub(h.since.Time()) > staleClaim:
		return r, true
	default:
		return SubmitResult{ID: x.task, Err: errClaimed(h.task)}, false
	}
	if !u.revives {
		(*u.e.queues.Load())[u.tasks[x.index].Queue].repeated.Inc()
	}
	return r, false
}

func errClaimed(holder task.ID) error {
	return task.Errorf(task.CodeUnavailable, "whether task %s of the same content was stored is not known yet: submit again", holder).WithRetryAfter(reclaimMax)
}

// settle tells the partitions what became of the tasks, and answers for those that
// are the same as an earlier one.
func (u *uniques) settle(results []SubmitResult, certain bool) {
	for part, claims := range u.byPart {
		for _, x := range claims {
			if !x.won() {
				continue
			}
			stored := results[x.index].Err == nil || !certain
			u.e.owners[part].post(func(c *core, _ time.Time) { c.settleClaim(x, stored) })
		}
	}
	for i, x := range u.again {
		r := results[x.index]
		results[i] = SubmitResult{ID: cmp.Or(r.ID, x.task), Duplicate: r.Err == nil, State: r.State, Err: r.Err}
	}
}
