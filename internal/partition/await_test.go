package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// vigil is a call of AwaitTasks and what it told.
type vigil struct {
	mu   sync.Mutex
	ends map[string]string // by name of the task: how it ended
	err  error
	over bool
	stop context.CancelFunc
}

// await waits for tasks in a goroutine of its own.
func (r *engineRig) await(names ...string) *vigil {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	v := &vigil{ends: map[string]string{}, stop: cancel}
	ids := make([]task.ID, len(names))
	known := map[task.ID]string{}
	for i, name := range names {
		ids[i] = task.DeriveID(name)
		known[ids[i]] = name
	}
	go func() {
		err := r.e.AwaitTasks(ctx, ids, func(st TaskStatus, err error) error {
			v.mu.Lock()
			defer v.mu.Unlock()
			name := known[st.ID]
			if v.ends[name] != "" {
				r.t.Errorf("%s was told twice", name)
			}
			v.ends[name] = fmt.Sprint(st.State, " ", string(st.Result), st.Error)
			if err != nil {
				v.ends[name] = task.CodeOf(err).String()
			}
			return nil
		})
		v.mu.Lock()
		defer v.mu.Unlock()
		v.err, v.over = err, true
	}()
	synctest.Wait()
	return v
}

// told holds what was told so far.
func (r *engineRig) told(v *vigil, over bool, want ...string) {
	r.t.Helper()
	synctest.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	var got []string
	for name, end := range v.ends {
		got = append(got, name+" "+end)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) || v.over != over || v.err != nil {
		r.t.Errorf("told %q, over %v, %v; want %q, over %v", got, v.over, v.err, want, over)
	}
}

// nobodyWaits holds that no partition remembers who waited.
func (r *engineRig) nobodyWaits() {
	r.t.Helper()
	synctest.Wait()
	for _, o := range r.e.owners {
		n, err := ask(r.t.Context(), o, func(c *core, _ time.Time, answer func(int)) { answer(len(c.ends)) })
		if err != nil || n != 0 {
			r.t.Errorf("partition %d still knows %d tasks that are waited for, %v", o.part, n, err)
		}
	}
	if n := r.e.waits.Load(); n != 0 {
		r.t.Errorf("%d waits are counted", n)
	}
}

func TestAWaitIsToldHowEachTaskEndedAsSoonAsItHas(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		r.w.setClosed(true)
		expiring := newTask("loose", "", "expiring")
		expiring.ExpiresAt = time.Now().Add(time.Second)
		late := newTask("loose", "", "late")
		late.RunAt = time.Now().Add(time.Hour)
		r.submit(newTask("keyed", "a", "done"), newTask("keyed", "b", "dead"), newTask("keyed", "b", "behind"), expiring, late)
		v := r.await("done", "dead", "behind", "expiring", "late")
		r.told(v, false)
		r.rest(2 * time.Second)
		r.work(func(l *task.Leased) task.Outcome {
			if string(l.Payload) == "dead" {
				return reject()
			}
			return done(l)
		})
		r.told(v, false, "behind done ok", "dead dead never", "done done ok", "expiring expired "+r.status("expiring").Error)
		r.wait(time.Hour)
		r.work(done)
		r.told(v, true, "behind done ok", "dead dead never", "done done ok", "expiring expired "+r.status("expiring").Error, "late done ok")
		r.nobodyWaits()
	})
}

func TestAWaitForWhatHasEndedOrIsNotKnownAnswersAtOnce(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		r.submit(newTask("keyed", "a", "1"))
		r.work(done)
		v := r.await("1", "never")
		r.told(v, true, "1 done ok", "never not_found")
		r.nobodyWaits()
	})
}

func TestAWaitIsToldOnlyWhatIsDurable(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		r.submit(newTask("keyed", "a", "1"))
		v := r.await("1")
		hold := make(chan struct{})
		r.s.set(func(s *flakyStore) { s.hold = hold })
		r.work(done)
		r.told(v, false)
		r.s.set(func(s *flakyStore) { s.hold = nil })
		close(hold)
		r.told(v, true, "1 done ok")
	})
}

func TestAWaitSurvivesTheLossOfItsPartition(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprint("the commit that failed took effect: ", applied), func(t *testing.T) {
			inBubble(t, 1, func(r *engineRig) {
				r.submit(newTask("keyed", "a", "1"), newTask("keyed", "b", "2"))
				v := r.await("1", "2")
				r.s.set(func(s *flakyStore) { s.commits, s.applied, s.claims = 1, applied, errors.New("no store") })
				leases := r.w.take()
				r.e.Outcomes(WorkerRef{Session: 1, ID: "w1"}, leases[0].LeaseRef, 0, []task.Outcome{{Result: []byte("ok")}})
				r.wait(20 * time.Second) // Nobody owns the partition.
				r.told(v, false)
				r.s.set(func(s *flakyStore) { s.claims = nil })
				r.wait(20 * time.Second)
				r.work(done)
				r.wait(10 * time.Second)
				r.told(v, true, "1 done ok", "2 done ok")
				r.nobodyWaits()
			})
		})
	}
}

func TestAWaitThatIsGivenUpIsForgotten(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		r.w.setClosed(true)
		r.submit(newTask("keyed", "a", "1"), newTask("keyed", "b", "2"))
		first, second := r.await("1", "2"), r.await("1")
		first.stop()
		synctest.Wait()
		if !errors.Is(first.err, context.Canceled) || !first.over {
			t.Errorf("the wait ended with %v", first.err)
		}
		r.rest(0)
		r.work(done)
		r.told(second, true, "1 done ok")
		r.nobodyWaits()
	})
}

func TestTooManyWaitsAreRefused(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		r.e.cfg.Waits = 2
		r.w.setClosed(true)
		r.submit(newTask("keyed", "a", "1"), newTask("keyed", "b", "2"))
		v := r.await("1", "2")
		err := r.e.AwaitTasks(r.t.Context(), []task.ID{task.DeriveID("1")}, nil)
		if task.CodeOf(err) != task.CodeResourceExhausted {
			t.Errorf("a third wait: %v", err)
		}
		v.stop()
		r.nobodyWaits()
	})
}

func TestAWaitEndsWhenItsCallerHasEnough(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		r.submit(newTask("keyed", "a", "1"), newTask("keyed", "b", "2"))
		r.work(done)
		enough := errors.New("enough")
		err := r.e.AwaitTasks(r.t.Context(), []task.ID{task.DeriveID("1"), task.DeriveID("2")}, func(TaskStatus, error) error { return enough })
		if !errors.Is(err, enough) {
			t.Errorf("the wait ended with %v", err)
		}
		r.nobodyWaits()
	})
}

func TestManyWaitsFindTheEndsOfManyTasks(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		r.w.setClosed(true)
		r.submit(many("keyed", 300)...)
		var names []string
		for i := range 300 {
			names = append(names, fmt.Sprintf("keyed %d", i))
		}
		all, some := r.await(names...), r.await(names[:10]...)
		r.rest(0)
		r.work(done)
		for _, v := range []*vigil{all, some} {
			synctest.Wait()
			if !v.over || v.err != nil || len(v.ends) != 300 && len(v.ends) != 10 {
				t.Errorf("%d were told, over %v, %v", len(v.ends), v.over, v.err)
			}
		}
		r.nobodyWaits()
	})
}
