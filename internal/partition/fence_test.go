package partition

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/lock"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/txn"
)

func TestACommitDependsOnTheTokensOfLocks(t *testing.T) {
	for name, partitions := range map[string]int{"of its partition": 1, "of another partition": 4} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, partitions, func(r *engineRig) {
				key := "k"
				if partitions > 1 {
					key = keyElsewhere("l", partitions)
				}
				version := uint64(0)
				commit := func(token uint64) error {
					_, err := r.e.Commit(r.t.Context(), Commit{
						Writes: []task.Write{{Key: key, Name: "n", Expected: version, Value: []byte("v")}}, Fences: []task.Fence{{Lock: "l", Token: token}},
					})
					rec, getErr := r.e.GetRecord(r.t.Context(), key, "n")
					if getErr == nil {
						version = rec.Version
					}
					return err
				}
				old := r.hold("l", "a")
				if err := commit(old); err != nil || version == 0 {
					t.Fatalf("with the current token: %v", err)
				}
				if err := r.e.ReleaseLock(r.t.Context(), LockRef{"l", old}); err != nil {
					t.Fatal(err)
				}
				token := r.hold("l", "b")
				before := version
				for _, bad := range []uint64{old, token + 1} {
					if err := commit(bad); task.CodeOf(err) != task.CodeStale || version != before {
						t.Errorf("with token %d of %d: %v", bad, token, err)
					}
				}
				if err := commit(token); err != nil || version == before {
					t.Errorf("with the new token: %v", err)
				}
				if err := commit(0); task.CodeOf(err) != task.CodeInvalidArgument {
					t.Errorf("without a token: %v", err)
				}
			})
		})
	}
}

func TestATokenStaysWhileATransactionDependsOnIt(t *testing.T) {
	inBubble(t, 4, func(r *engineRig) {
		token := r.hold("l", "a")
		part, home := task.PartitionOf("l", 4), task.PartitionOf(keyElsewhere("l", 4), 4)
		tx, silent := task.DeriveID("tx"), make(chan struct{})
		r.e.owners[home].post(func(*core, time.Time) { <-silent })
		r.e.owners[part].post(func(c *core, now time.Time) {
			row := &store.Branch{Tx: tx, Home: home, Began: c.led.Stamp(now), Deadline: now.Add(time.Hour)}
			c.prepare(now, txn.Message{
				Kind: txn.Prepare, Tx: tx, From: home, To: part, Began: row.Began, Branch: row,
				Intents: []*store.Intent{{Tx: tx, Key: "l", Name: task.LockRecord, Op: store.IntentRead, Expected: token}},
			})
		})
		synctest.Wait()
		stolen := make(chan lock.Held, 1)
		go func() {
			h, err := r.e.StealLock(r.t.Context(), lock.Request{Name: "l", Holder: "person", TTL: time.Hour})
			if err != nil {
				t.Error(err)
			}
			stolen <- h
		}()
		synctest.Wait()
		if got := r.holder("l"); got != "a" {
			t.Errorf("%s has the lock while a transaction depends on its token", got)
		}
		close(silent) // Home knows nothing of the transaction, and ends it.
		if h := <-stolen; h.Token <= token || r.holder("l") != "person" {
			t.Errorf("stolen with token %d after %d", h.Token, token)
		}
	})
}
