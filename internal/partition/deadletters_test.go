package partition

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// dies rejects tasks whose payload begins with bad.
func dies(l *task.Leased) task.Outcome {
	if strings.HasPrefix(string(l.Payload), "bad") {
		return task.Outcome{Kind: task.OutcomeDead, Error: "No " + l.Type}
	}
	return done(l)
}

// bury makes dead letters of tasks with the given number of keys and types.
func (r *engineRig) bury(queue string, n, keys int) {
	r.t.Helper()
	for i := range n {
		x := newTask(queue, fmt.Sprint("key-", i%keys), fmt.Sprint("bad ", queue, " ", i))
		x.Type = fmt.Sprint("type-", i%3)
		r.submit(x)
	}
	r.work(dies)
}

// anyQueue is for callers who may do everything.
func anyQueue(string) error { return nil }

// walk changes all dead letters that are meant, step by step.
func (r *engineRig) walk(op DeadOp, f DeadFilter, limit int) (sum DeadProgress) {
	r.t.Helper()
	req := DeadChange{Op: op, Filter: f, Limit: limit}
	for range 1000 {
		p, err := r.e.ChangeDead(r.t.Context(), req)
		if err != nil {
			r.t.Fatal(err)
		}
		if p.Matched > limit {
			r.t.Fatalf("%d with one call, want at most %d", p.Matched, limit)
		}
		sum.Examined += p.Examined
		sum.Matched += p.Matched
		sum.Changed += p.Changed
		sum.Refusals += p.Refusals
		if req.Page = p.Next; req.Page == "" {
			return sum
		}
	}
	r.t.Fatal("it goes on without end")
	return sum
}

func TestDeadLettersAreFoundByWhatTheyAre(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		r.bury("keyed", 30, 5)
		r.wait(time.Hour)
		middle := time.Now()
		r.wait(time.Hour)
		r.bury("loose", 12, 4)
		for want, f := range map[int]DeadFilter{
			42: {},
			30: {Queue: "keyed"},
			6:  {Queue: "keyed", Key: "key-1"},
			9:  {Key: "key-1"},
			10: {Queue: "keyed", Type: "type-2"},
			14: {Text: "no TYPE-1"},
			12: {Since: middle},
			4:  {Until: middle.Add(time.Hour * 2), Since: middle, Type: "type-0"},
			0:  {Queue: "loose", Until: middle},
			2:  {Queue: "keyed", Type: "type-1", Key: "key-1", Text: "type-1"},
		} {
			for _, limit := range []int{1, 7, 1000} {
				seen := map[task.ID]bool{}
				for token := ""; ; {
					found, next, err := r.e.DeadLetters(t.Context(), f, limit, token)
					if err != nil || len(found) > limit {
						t.Fatalf("%d found, %v", len(found), err)
					}
					for _, d := range found {
						seen[d.Task.ID] = true
					}
					if token = next; token == "" {
						break
					}
				}
				if len(seen) != want {
					t.Errorf("%+v, pages of %d: %d found, want %d", f, limit, len(seen), want)
				}
			}
			if p := r.walk(DeadCount, f, 5); p.Changed != want || p.Matched != want {
				t.Errorf("%+v: %d counted, want %d", f, p.Changed, want)
			}
		}
	})
}

func TestManyDeadLettersGoBackInTheOrderOfEachKey(t *testing.T) {
	for _, onDead := range []task.OnDead{task.OnDeadSkip, task.OnDeadHalt} {
		t.Run(string(onDead), func(t *testing.T) {
			inBubble(t, 4, func(r *engineRig) {
				t := r.t
				const n, keys = 120, 7
				r.bury("keyed", n, keys)
				r.configure(task.Queue{Name: "keyed", OnDead: onDead})
				r.bury("loose", 3, 1)
				ran := map[string][]string{}
				handle := func(l *task.Leased) task.Outcome {
					ran[l.Key] = append(ran[l.Key], string(l.Payload))
					return done(l)
				}
				if p := r.walk(DeadRequeue, DeadFilter{Queue: "keyed"}, 11); p.Changed != n || p.Refusals != 0 {
					t.Fatalf("%+v", p)
				}
				r.work(handle)
				for i := range n {
					key := fmt.Sprint("key-", i%keys)
					if want := fmt.Sprint("bad keyed ", i); len(ran[key]) == 0 || ran[key][0] != want {
						t.Fatalf("of %s ran %v, want %s", key, ran[key], want)
					}
					ran[key] = ran[key][1:]
					r.wantState(fmt.Sprint("bad keyed ", i), task.StateDone)
				}
				if p := r.walk(DeadCount, DeadFilter{}, 10); p.Changed != 3 {
					t.Errorf("%d dead letters are left, want 3", p.Changed)
				}
			})
		})
	}
}

func TestAWalkOverTasksThatDieAgainEnds(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		r.bury("keyed", 20, 4)
		req := DeadChange{Op: DeadRequeue, Limit: 3}
		changed := 0
		for n := 0; ; n++ {
			p, err := r.e.ChangeDead(t.Context(), req)
			if err != nil || n > 100 {
				t.Fatalf("after %d calls: %v", n, err)
			}
			changed += p.Changed
			r.wait(time.Second)
			r.work(dies) // all of them die again, with the walk still going on
			if req.Page = p.Next; p.Next == "" {
				break
			}
		}
		stats, err := r.e.QueueStats(t.Context(), "keyed")
		if err != nil || changed != 20 || stats.Dead != 20 || stats.DeadTotal != 40 {
			t.Errorf("%d changed, stats %+v, %v", changed, stats, err)
		}
	})
}

func TestOfTwoDeadLettersWithOneIDOnlyThatIsMeantOnWhichTheCallerMayAct(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		r.configure(task.Queue{Name: "keyed", DedupeWindow: time.Minute, ResultTTL: time.Second})
		r.configure(task.Queue{Name: "loose", DedupeWindow: time.Minute, ResultTTL: time.Second})
		id := task.DeriveID("bad one")
		first := newTask("keyed", "k", "bad one")
		r.submit(first)
		r.work(dies)
		r.wait(10 * time.Minute)
		r.b.set(func() { delete(r.b.ids, id) }) // its window is over
		second := newTask("loose", "", "bad one")
		second.Payload = []byte("bad too")
		for i := 0; ; i++ { // in another partition: two letters of one partition share a mark
			second.Key = fmt.Sprint("k", i)
			if task.PartitionOf(second.Key, 4) != task.PartitionOf(first.Key, 4) {
				break
			}
		}
		r.submit(second)
		r.work(dies)
		for _, queue := range []string{"keyed", "loose"} {
			only := func(name string) error {
				if name != queue {
					return task.Errorf(task.CodePermissionDenied, "not of queue %s", name)
				}
				return nil
			}
			if d, err := r.e.DeadLetter(t.Context(), id, only); err != nil || d.Task.Queue != queue {
				t.Errorf("who may read %s reads %+v: %v", queue, d, err)
			}
			if err := r.e.DeleteDead(t.Context(), id, only); err != nil {
				t.Errorf("delete that of %s: %v", queue, err)
			}
			for _, err := range []error{r.e.DeleteDead(t.Context(), id, only), r.e.RequeueDead(t.Context(), id, nil, only)} {
				if code := task.CodeOf(err); code != task.CodePermissionDenied && code != task.CodeNotFound {
					t.Errorf("with that of %s gone: %v", queue, err)
				}
			}
			if d, err := r.e.DeadLetter(t.Context(), id, anyQueue); queue == "keyed" && (err != nil || d.Task.Queue != "loose") {
				t.Errorf("the other one is %+v: %v", d, err)
			}
		}
	})
}

func TestOneDeadLetterIsFoundChangedAndDeletedAfterAnyTime(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		r.configure(task.Queue{Name: "keyed", DedupeWindow: time.Minute, ResultTTL: time.Second})
		r.bury("keyed", 3, 1)
		r.wait(10 * time.Minute) // windows are over, and marks were swept
		id := func(i int) task.ID { return task.DeriveID(fmt.Sprint("bad keyed ", i)) }
		if d, err := r.e.DeadLetter(t.Context(), id(0), anyQueue); err != nil || d.Reason != "No type-0" || d.Halts {
			t.Fatalf("dead letter %+v, %v", d, err)
		}
		if err := r.e.RequeueDead(t.Context(), id(0), []byte("good"), anyQueue); err != nil {
			t.Fatal(err)
		}
		r.work(dies)
		if st := r.status("bad keyed 0"); st.State != task.StateDone {
			t.Errorf("with another payload it is %v", st.State)
		}
		if err := r.e.DeleteDead(t.Context(), id(1), anyQueue); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{r.e.DeleteDead(t.Context(), id(1), anyQueue), r.e.RequeueDead(t.Context(), id(0), nil, anyQueue), r.e.RequeueDead(t.Context(), id(7), nil, anyQueue)} {
			wantCode(t, err, task.CodeNotFound, "")
		}
		wantCode(t, r.e.RequeueDead(t.Context(), id(2), make([]byte, task.MaxPayload+1), anyQueue), task.CodeTooLarge, "payload")
		r.wait(10 * time.Minute)
		for part := range 4 {
			rows, _ := r.fk.Load(t.Context(), store.Scan{Part: part, Table: store.TableDedup, Limit: 10})
			for _, row := range rows {
				if m := row.(*store.Dedup); m.ID != id(2) {
					t.Errorf("a mark is left: %+v", m)
				}
			}
		}
	})
}

func TestAnIDThatIsUsedAgainKeepsItsDeadLetterWhereItIs(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		t := r.t
		r.configure(task.Queue{Name: "keyed", DedupeWindow: time.Minute, ResultTTL: time.Second})
		r.bury("keyed", 1, 1)
		r.wait(10 * time.Minute)
		again := newTask("keyed", "key-0", "bad keyed 0")
		r.w.setClosed(true)
		r.b.set(func() { delete(r.b.ids, again.ID) }) // its window is over for the broker
		r.submit(again)
		if p := r.walk(DeadRequeue, DeadFilter{}, 10); p.Changed != 0 || p.Refusals != 1 {
			t.Errorf("%+v", p)
		}
		r.w.setClosed(false)
		r.e.Capacity(0, "keyed", task.Placement{}, 1)
		r.work(done)
		r.wantState("bad keyed 0", task.StateDone)
		if p := r.walk(DeadDelete, DeadFilter{}, 10); p.Changed != 1 {
			t.Errorf("%+v", p)
		}
		r.wantState("bad keyed 0", task.StateDone)
	})
}

func TestKeysThatWaitAreListedWithWhatWaitsBehindThem(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		r.configure(task.Queue{Name: "keyed", OnDead: task.OnDeadHalt})
		r.bury("keyed", 36, 12) // of each key the first one dies, two wait
		r.submit(newTask("keyed", "free", "goes on"))
		r.work(dies)
		r.wantState("goes on", task.StateDone)
		var keys []string
		for token := ""; ; {
			found, next, err := r.e.HaltedKeys(t.Context(), "keyed", "", 5, token)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range found {
				keys = append(keys, h.Key)
				if h.Waiting != 2 || h.More || h.Since.IsZero() {
					t.Errorf("%+v", h)
				}
				if d, err := r.e.DeadLetter(t.Context(), h.Dead, anyQueue); err != nil || !d.Halts || d.Task.Key != h.Key {
					t.Errorf("%+v waits for %+v, %v", h, d, err)
				}
			}
			if token = next; token == "" {
				break
			}
		}
		slices.Sort(keys)
		if len(slices.Compact(keys)) != 12 {
			t.Errorf("keys %v", keys)
		}
		if err := r.e.ResumeKey(t.Context(), "keyed", "key-3"); err != nil {
			t.Fatal(err)
		}
		r.stop()
		r.start(4)
		r.work(dies) // the second one of key-3 dies as well
		found, _, err := r.e.HaltedKeys(t.Context(), "keyed", "key-3", 5, "")
		if err != nil || len(found) != 1 || found[0].Dead != task.DeriveID("bad keyed 15") || found[0].Waiting != 1 {
			t.Errorf("%+v, %v", found, err)
		}
		found, _, err = r.e.HaltedKeys(t.Context(), "keyed", "free", 5, "")
		if err != nil || len(found) != 0 {
			t.Errorf("%+v, %v", found, err)
		}
		_, _, err = r.e.HaltedKeys(t.Context(), "nowhere", "", 5, "")
		wantCode(t, err, task.CodeNotFound, "no queue")
		wantCode(t, r.e.ResumeKey(t.Context(), "keyed", "free"), task.CodeFailedPrecondition, "does not wait")
	})
}

func TestRetentionRemovesWhatIsOldAndNothingElse(t *testing.T) {
	inBubble(t, 2, func(r *engineRig) {
		t := r.t
		r.configure(task.Queue{Name: "keyed", OnDead: task.OnDeadHalt})
		r.bury("keyed", 4, 4)
		r.bury("loose", 10, 1)
		r.wait(2 * time.Minute)
		r.submit(newTask("loose", "", "bad young"))
		r.work(dies)
		r.wait(time.Minute)
		if p := r.walk(DeadCount, DeadFilter{}, 100); p.Changed != 15 {
			t.Fatalf("without a dead_ttl %d are left", p.Changed)
		}
		for _, q := range []string{"keyed", "loose"} {
			r.configure(task.Queue{Name: q, DeadTTL: 2 * time.Minute})
		}
		r.wait(35 * time.Second)
		if p := r.walk(DeadCount, DeadFilter{Queue: "loose"}, 100); p.Changed != 1 {
			t.Errorf("%d of loose are left, want the young one", p.Changed)
		}
		if p := r.walk(DeadCount, DeadFilter{Queue: "keyed"}, 100); p.Changed != 4 {
			t.Errorf("%d of keyed are left, want all that their keys wait for", p.Changed)
		}
		if err := r.e.ResumeKey(t.Context(), "keyed", "key-0"); err != nil {
			t.Fatal(err)
		}
		r.configure(task.Queue{Name: "loose", DeadTTL: task.NoLimit})
		r.wait(10 * time.Minute)
		if stats, err := r.e.QueueStats(t.Context(), "keyed"); err != nil || stats.Dead != 3 {
			t.Errorf("stats %+v, %v", stats, err)
		}
		if stats, err := r.e.QueueStats(t.Context(), "loose"); err != nil || stats.Dead != 1 {
			t.Errorf("stats %+v, %v", stats, err)
		}
	})
}

func TestWrongPagesOfDeadLettersAreRefused(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		t := r.t
		r.bury("keyed", 3, 1)
		_, token, err := r.e.DeadLetters(t.Context(), DeadFilter{Queue: "keyed"}, 1, "")
		if err != nil || token == "" {
			t.Fatal(err)
		}
		elsewhere := "key"
		for strings.HasPrefix(token, fmt.Sprint(task.PartitionOf(elsewhere, 4), ":")) {
			elsewhere += "'"
		}
		for _, f := range []DeadFilter{{Queue: "loose"}, {Key: elsewhere}} {
			_, err := r.e.ChangeDead(t.Context(), DeadChange{Filter: f, Limit: 1, Page: token})
			wantCode(t, err, task.CodeInvalidArgument, "page token")
		}
		_, err = r.e.ChangeDead(t.Context(), DeadChange{})
		wantCode(t, err, task.CodeInvalidArgument, "limit")
	})
}
