package partition

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/lock"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// lockCall is a call of AcquireLock that may still wait.
type lockCall struct {
	held   lock.Held
	err    error
	done   atomic.Bool // set behind the others, which are not read before
	cancel context.CancelFunc
}

// acquire asks for a lock with a TTL of 10 s in a goroutine of the bubble.
func (r *engineRig) acquire(name, who string, wait time.Duration) *lockCall {
	ctx, cancel := context.WithCancel(r.t.Context())
	c := &lockCall{cancel: cancel}
	go func() {
		defer cancel()
		c.held, c.err = r.e.AcquireLock(ctx, lock.Request{Name: name, Holder: who, Claim: who, TTL: 10 * time.Second, Wait: wait})
		c.done.Store(true)
	}()
	synctest.Wait()
	return c
}

// hold acquires a free lock and confirms it.
func (r *engineRig) hold(name, who string) uint64 {
	r.t.Helper()
	c := r.acquire(name, who, 0)
	if !c.done.Load() || c.err != nil {
		r.t.Fatalf("acquire %s: %v", name, c.err)
	}
	if err := r.renew(name, c.held.Token); err != nil {
		r.t.Fatal(err)
	}
	return c.held.Token
}

func (r *engineRig) renew(name string, token uint64) error {
	return r.e.RenewLocks(r.t.Context(), []LockRef{{name, token}})[0].Err
}

func (r *engineRig) holder(name string) string {
	r.t.Helper()
	v, err := r.e.Lock(r.t.Context(), name)
	if task.CodeOf(err) == task.CodeNotFound {
		return ""
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return v.Holder
}

// restart stops the engine and starts another one over what is stored.
func (r *engineRig) restart(partitions int) {
	r.t.Helper()
	r.stop()
	r.start(partitions)
	synctest.Wait()
}

func (r *engineRig) putFenced(key, name string, f *task.Fence) (uint64, error) {
	return r.e.PutRecord(r.t.Context(), task.Write{Key: key, Name: name, Value: []byte("v"), Fence: f}, true)
}

func TestLocksAreHandedOnInOrderAndInTheOpLog(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		token := r.hold("l", "a")
		b, c := r.acquire("l", "b", time.Minute), r.acquire("l", "c", time.Minute)
		if b.done.Load() || c.done.Load() {
			t.Fatal("a lock was granted twice")
		}
		if err := r.e.ReleaseLock(r.t.Context(), LockRef{"l", token}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !b.done.Load() || b.err != nil || c.done.Load() {
			t.Fatalf("b: %v %v, c: %v", b.done.Load(), b.err, c.done.Load())
		}
		b.cancel()
		r.wait(lock.ConfirmWithin) // b says nothing any more
		synctest.Wait()
		if !c.done.Load() || c.err != nil || c.held.Token <= b.held.Token || b.held.Token <= token {
			t.Fatalf("c: %v %v, tokens %d %d %d", c.done.Load(), c.err, token, b.held.Token, c.held.Token)
		}
		if err := r.e.ReleaseLock(r.t.Context(), LockRef{"l", c.held.Token}); err != nil {
			t.Fatal(err)
		}
		page, err := r.e.History(r.t.Context(), HistoryQuery{Key: "l", Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		var ops []string
		for _, ch := range page.Changes {
			ops = append(ops, fmt.Sprintf("%s %s %d", ch.Op, ch.Name, ch.After))
		}
		want := fmt.Sprintf("[put fenfa.lock %d put fenfa.lock %d put fenfa.lock %d delete fenfa.lock 0]", token, b.held.Token, c.held.Token)
		if got := fmt.Sprint(ops); got != want {
			t.Errorf("op log %s, want %s", got, want)
		}
	})
}

func TestAGrantIsAnsweredOnlyWhenItIsDurable(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		hold := make(chan struct{})
		r.s.set(func(s *flakyStore) { s.hold = hold })
		c := r.acquire("l", "a", 0)
		if c.done.Load() {
			t.Error("the answer came before the commit")
		}
		r.wait(time.Minute) // The time of the grant does not run yet.
		r.s.set(func(s *flakyStore) { s.hold = nil })
		close(hold)
		synctest.Wait()
		if !c.done.Load() || c.err != nil || r.renew("l", c.held.Token) != nil {
			t.Errorf("after the commit: %v %v", c.done.Load(), c.err)
		}
	})
}

func TestARenewalIsAnsweredOnlyByTheOwner(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		token := r.hold("l", "a")
		if _, err := r.fk.Claim(r.t.Context(), 0, 0); err != nil { // Another node takes over.
			t.Fatal(err)
		}
		if err := r.renew("l", token); task.CodeOf(err) != task.CodeUnavailable {
			t.Errorf("an owner that is not one any more renewed: %v", err)
		}
	})
}

func TestAFailedCommitGrantsNothing(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprint("applied ", applied), func(t *testing.T) {
			inBubble(t, 1, func(r *engineRig) {
				r.s.set(func(s *flakyStore) { s.commits, s.applied = 1, applied })
				c := r.acquire("l", "a", time.Minute)
				if !c.done.Load() || task.CodeOf(c.err) != task.CodeUnavailable {
					t.Fatalf("answered %v: %v", c.done.Load(), c.err)
				}
				r.wait(time.Second) // The partition is claimed anew.
				again := r.acquire("l", "a", time.Minute)
				if !again.done.Load() || again.err != nil {
					t.Errorf("the repeat with the same claim: %v %v", again.done.Load(), again.err)
				}
			})
		})
	}
}

func TestAHeldLockSurvivesARestartWithItsWholeTTL(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		token := r.hold("l", "a")
		r.wait(9 * time.Second)
		r.restart(4)
		b := r.acquire("l", "b", time.Minute)
		r.wait(9 * time.Second)
		if b.done.Load() {
			t.Fatal("the lock was given away early")
		}
		if err := r.renew("l", token); err != nil {
			t.Fatal(err)
		}
		r.wait(9 * time.Second)
		if b.done.Load() {
			t.Fatal("the lock was given away early")
		}
		r.wait(time.Second + time.Millisecond)
		synctest.Wait()
		if !b.done.Load() || b.err != nil || b.held.Token <= token {
			t.Errorf("after the TTL: %v %v, token %d after %d", b.done.Load(), b.err, b.held.Token, token)
		}
		if err := r.renew("l", token); task.CodeOf(err) != task.CodeStale {
			t.Errorf("the late renewal got %v", err)
		}
	})
}

func TestLocksThatNobodyAsksForExpireAfterARestart(t *testing.T) {
	t.Run("found by the index", func(t *testing.T) { locksExpireAfterARestart(t, func(*engineRig) {}) })
	t.Run("granted by an earlier version", func(t *testing.T) { locksExpireAfterARestart(t, (*engineRig).forgetIndex) })
}

// forgetIndex makes the store what an earlier version left, and starts the engine on it
// once, for less time than a lock lives.
func (r *engineRig) forgetIndex() {
	r.t.Helper()
	r.stop()
	for part := range 2 {
		scan := store.Scan{Part: part, Table: store.TableRecord, From: &store.Record{Key: store.IndexPrefix}, To: &store.Record{Key: store.AfterIndex}, Limit: 10_000}
		index, err := r.s.Load(r.t.Context(), scan)
		if err != nil {
			r.t.Fatal(err)
		}
		fence, err := r.s.Claim(r.t.Context(), part, 0)
		if err != nil {
			r.t.Fatal(err)
		}
		b := store.Batch{Part: part, Prev: fence, Next: fence, Deletes: index}
		b.Next.HLC++
		if err := r.s.Commit(r.t.Context(), []store.Batch{b}); err != nil {
			r.t.Fatal(err)
		}
	}
	r.start(2)
	r.wait(time.Second)
	for part := range 2 {
		from, to := store.AllHeld()
		held, err := r.s.Load(r.t.Context(), store.Scan{Part: part, Table: store.TableRecord, From: from, To: to, Limit: 100})
		since, getErr := r.s.Get(r.t.Context(), part, []store.Row{store.Since(store.IndexHeld, 0), store.Since(store.IndexGone, 0)})
		if err != nil || getErr != nil || len(held) == 0 || since[0] == nil || since[1] == nil {
			r.t.Errorf("partition %d: the index has %d locks and begins at %v, %v %v", part, len(held), since, err, getErr)
		}
	}
}

func locksExpireAfterARestart(t *testing.T, before func(*engineRig)) {
	t.Helper()
	inBubble(t, 2, func(r *engineRig) {
		for i := range 10 {
			r.hold(fmt.Sprint("l", i), "a")
		}
		for i := range 2 * lockScanPage {
			r.put(fmt.Sprint("k", i), "n", "v")
		}
		before(r)
		r.restart(2)
		views, next, err := r.e.Locks(r.t.Context(), "", 100, "")
		if err != nil || len(views) != 10 || next != "" {
			t.Errorf("%d locks are listed (%q): %v", len(views), next, err)
		}
		r.wait(10*time.Second + time.Second)
		if views, _, err = r.e.Locks(r.t.Context(), "", 100, ""); err != nil || len(views) != 0 {
			t.Errorf("%d locks are left: %v", len(views), err)
		}
		for part := range 2 {
			rows, err := r.s.Load(r.t.Context(), store.Scan{Part: part, Table: store.TableRecord, Limit: 10_000})
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range rows {
				if rec, ok := row.(*store.Record); ok && rec.Name == task.LockRecord {
					t.Errorf("the record of lock %s is left", rec.Key)
				}
			}
		}
	})
}

func TestCallersThatLeaveAreNotGranted(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		token := r.hold("l", "a")
		b, c := r.acquire("l", "b", time.Minute), r.acquire("l", "c", time.Minute)
		b.cancel()
		synctest.Wait()
		if !b.done.Load() || task.CodeOf(b.err) != task.CodeUnavailable || !errors.Is(b.err, context.Canceled) {
			t.Errorf("b: %v %v", b.done.Load(), b.err)
		}
		hold := make(chan struct{})
		r.s.set(func(s *flakyStore) { s.hold = hold })
		released := make(chan error, 1)
		go func() { released <- r.e.ReleaseLock(r.t.Context(), LockRef{"l", token}) }()
		synctest.Wait()
		d := r.acquire("l", "d", time.Minute)
		c.cancel() // Its grant is on its way to the disk.
		synctest.Wait()
		r.s.set(func(s *flakyStore) { s.hold = nil })
		close(hold)
		if err := <-released; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !d.done.Load() || d.err != nil || r.holder("l") != "d" {
			t.Errorf("d: %v %v, held by %q", d.done.Load(), d.err, r.holder("l"))
		}
	})
}

func TestListsOfLocksHavePages(t *testing.T) {
	inBubble(t, 3, func(r *engineRig) {
		want := map[string]bool{}
		for i := range 20 {
			name := fmt.Sprint("p/", i)
			r.hold(name, "a")
			want[name] = true
		}
		r.hold("other", "a")
		token := ""
		for range 20 {
			views, next, err := r.e.Locks(r.t.Context(), "p/", 3, token)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range views {
				if !want[v.Name] {
					t.Errorf("%s is listed twice, or should not be", v.Name)
				}
				delete(want, v.Name)
			}
			if token = next; token == "" {
				break
			}
		}
		if len(want) > 0 {
			t.Errorf("not listed: %v", want)
		}
		if _, _, err := r.e.Locks(r.t.Context(), "", 1, "nonsense"); task.CodeOf(err) != task.CodeInvalidArgument {
			t.Errorf("a token that is none: %v", err)
		}
	})
}

func TestRenewalsOfManyPartitionsComeInTheOrderOfTheRequest(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		var refs []LockRef
		for i := range 20 {
			name := fmt.Sprint("l", i)
			refs = append(refs, LockRef{name, r.hold(name, "a") + uint64(i%3)})
		}
		refs = append(refs, LockRef{"", 1})
		for i, got := range r.e.RenewLocks(r.t.Context(), refs) {
			want := task.CodeStale
			if i == 20 {
				want = task.CodeInvalidArgument
			}
			switch {
			case i < 20 && i%3 == 0 && (got.Err != nil || got.Held.Name != refs[i].Name):
				t.Errorf("lock %d: %+v", i, got)
			case (i%3 != 0 || i == 20) && task.CodeOf(got.Err) != want:
				t.Errorf("lock %d: %v", i, got.Err)
			}
		}
	})
}

func TestRecordsOfLocksAreHiddenFromPlainState(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		r.hold("k", "a")
		r.put("k", "mine", "v")
		records, _, err := r.e.ScanRecords(r.t.Context(), "", "", 100, "")
		if err != nil || len(records) != 1 || records[0].Name != "mine" {
			t.Errorf("scan shows %+v: %v", records, err)
		}
		_, getErr := r.e.GetRecord(r.t.Context(), "k", task.LockRecord)
		_, putErr := r.e.PutRecord(r.t.Context(), task.Write{Key: "k", Name: task.LockRecord}, true)
		_, otherErr := r.e.PutRecord(r.t.Context(), task.Write{Key: "k", Name: "fenfa.other"}, true)
		for _, err := range []error{getErr, putErr} {
			if task.CodeOf(err) != task.CodeInvalidArgument || !strings.Contains(err.Error(), "fenfa lock") {
				t.Errorf("plain access to a lock: %v", err)
			}
		}
		if task.CodeOf(otherErr) != task.CodeInvalidArgument {
			t.Errorf("a reserved name: %v", otherErr)
		}
		r.submit(newTask("keyed", "k", "t"))
		r.work(func(*task.Leased) task.Outcome {
			return task.Outcome{Writes: []task.Write{{Name: task.LockRecord, Value: []byte("x")}}}
		})
		if st := r.status("t"); st.State != task.StateDead {
			t.Errorf("a handler wrote a lock: %v", st.State)
		}
		if r.holder("k") != "a" {
			t.Error("the lock is lost")
		}
	})
}

func TestAStolenLockIsLostToItsHolder(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		token := r.hold("l", "a")
		h, err := r.e.StealLock(r.t.Context(), lock.Request{Name: "l", Holder: "person", TTL: time.Minute})
		if err != nil || h.Token <= token {
			t.Fatalf("stolen as %+v: %v", h, err)
		}
		if err := r.renew("l", token); task.CodeOf(err) != task.CodeStale {
			t.Errorf("the old holder renewed: %v", err)
		}
		if err := r.e.ReleaseLock(r.t.Context(), LockRef{"l", token}); task.CodeOf(err) != task.CodeStale {
			t.Errorf("the old holder released: %v", err)
		}
		if r.holder("l") != "person" {
			t.Error("the thief does not hold it")
		}
		if _, err := r.e.StealLock(r.t.Context(), lock.Request{Name: "l"}); task.CodeOf(err) != task.CodeInvalidArgument {
			t.Errorf("without a ttl: %v", err)
		}
	})
}

// keyElsewhere returns a key of another partition than that of the lock.
func keyElsewhere(name string, partitions int) string {
	for i := range 1000 {
		if key := fmt.Sprint("key", i); task.PartitionOf(key, partitions) != task.PartitionOf(name, partitions) {
			return key
		}
	}
	return ""
}

func TestAFenceInThePartitionOfItsLockWantsTheCurrentToken(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		old := r.hold("l", "a")
		if _, err := r.putFenced("k", "n", &task.Fence{Lock: "l", Token: old}); err != nil {
			t.Fatal(err)
		}
		if err := r.e.ReleaseLock(r.t.Context(), LockRef{"l", old}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.putFenced("k", "n", &task.Fence{Lock: "l", Token: old}); task.CodeOf(err) != task.CodeStale {
			t.Errorf("after the release: %v", err)
		}
		token := r.hold("l", "b")
		for _, bad := range []uint64{old, token + 1} {
			if _, err := r.putFenced("k", "n", &task.Fence{Lock: "l", Token: bad}); task.CodeOf(err) != task.CodeStale {
				t.Errorf("token %d: %v", bad, err)
			}
		}
		r.restart(1)
		if _, err := r.putFenced("k", "n", &task.Fence{Lock: "l", Token: token}); err != nil {
			t.Errorf("after a restart: %v", err)
		}
		for _, bad := range []*task.Fence{{}, {Lock: "l"}, {Token: 1}} {
			if _, err := r.putFenced("k", "n", bad); task.CodeOf(err) != task.CodeInvalidArgument {
				t.Errorf("fence %+v: %v", bad, err)
			}
		}
	})
}

func TestAFenceInAnotherPartitionNeverGoesBack(t *testing.T) {
	const partitions = 4
	inBubble(t, partitions, func(r *engineRig) {
		key := keyElsewhere("l", partitions)
		fenced := func(name string, token uint64) task.Code {
			_, err := r.putFenced(key, name, &task.Fence{Lock: "l", Token: token})
			if err == nil {
				return task.CodeUnknown
			}
			return task.CodeOf(err)
		}
		for i, c := range []struct {
			name  string
			token uint64
			want  task.Code
		}{
			{"a", 5, task.CodeUnknown},
			{"a", 5, task.CodeUnknown},
			{"a", 4, task.CodeStale},
			{"b", 4, task.CodeStale},
			{"b", 7, task.CodeUnknown},
			{"a", 5, task.CodeStale},
			{"a", 7, task.CodeUnknown},
		} {
			if got := fenced(c.name, c.token); got != c.want {
				t.Errorf("write %d with token %d: %v, want %v", i, c.token, got, c.want)
			}
		}
		r.restart(partitions)
		if got := fenced("a", 6); got != task.CodeStale {
			t.Errorf("after a restart: %v", got)
		}
		// A write that is refused for its version leaves no trace.
		_, err := r.e.PutRecord(r.t.Context(), task.Write{Key: key, Name: "a", Expected: 1, Fence: &task.Fence{Lock: "l", Token: 99}}, false)
		if task.CodeOf(err) != task.CodeConflict || fenced("a", 7) != task.CodeUnknown {
			t.Errorf("a conflict moved the token: %v", err)
		}
		// Another lock has tokens of its own.
		if _, err := r.putFenced(key, "a", &task.Fence{Lock: "l2", Token: 1}); err != nil && task.PartitionOf("l2", partitions) != task.PartitionOf(key, partitions) {
			t.Errorf("another lock: %v", err)
		}
		records, _, err := r.e.ScanRecords(r.t.Context(), key, "", 100, "")
		if err != nil || len(records) != 2 {
			t.Errorf("scan shows %d records: %v", len(records), err)
		}
	})
}

func TestLockCallsToAStoppedEngineAreRefused(t *testing.T) {
	inBubble(t, 1, func(r *engineRig) {
		token := r.hold("l", "a")
		waiting := r.acquire("l", "b", time.Minute)
		r.stop()
		synctest.Wait()
		after := r.acquire("l", "c", time.Minute)
		_, _, listErr := r.e.Locks(r.t.Context(), "", 10, "")
		for what, err := range map[string]error{"waiting": waiting.err, "acquire": after.err, "renew": r.renew("l", token), "list": listErr} {
			if task.CodeOf(err) != task.CodeUnavailable {
				t.Errorf("%s: %v", what, err)
			}
		}
		r.start(1)
	})
}
