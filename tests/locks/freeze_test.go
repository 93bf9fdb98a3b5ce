package locks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/tests/harness"
)

const account = "account"

// elsewhere is a key of another partition than that of the account.
func elsewhere() string {
	for i := 0; ; i++ {
		if key := fmt.Sprint("ledger-", i); task.PartitionOf(key, task.DefaultPartitions) != task.PartitionOf(account, task.DefaultPartitions) {
			return key
		}
	}
}

// holderMain holds the lock of the account and writes under it all the time, also
// when it should know better, until both records refuse its token.
func holderMain(addr string) int {
	client, err := fenfa.Dial(addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*harness.Patience)
	defer cancel()
	l, err := client.Lock(ctx, account, fenfa.LockTTL(2*time.Second), fenfa.LockHolder("the frozen one"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	state := client.State().Fenced(account, l.Token())
	refused := map[string]bool{}
	for len(refused) < 2 && ctx.Err() == nil {
		for _, key := range []string{account, elsewhere()} {
			_, err := state.PutAny(ctx, key, "by", "the frozen one")
			switch {
			case errors.Is(err, fenfa.ErrStale):
				refused[key] = true
			case err != nil:
				fmt.Fprintln(os.Stderr, "write:", err)
			default:
				fmt.Fprintln(os.Stderr, "wrote", key)
			}
		}
	}
	<-l.Context().Done()
	if cause := context.Cause(l.Context()); !errors.Is(cause, fenfa.ErrLockLost) {
		fmt.Fprintln(os.Stderr, "the context ended with", cause)
		return 1
	}
	fmt.Fprintln(os.Stderr, "refused")
	return 0
}

func TestAFrozenHolderLosesItsLockAndItsLateWriteIsRefused(t *testing.T) {
	n := harness.NewNode(t, t.TempDir())
	n.Start()
	client := n.Dial()
	holder := harness.StartSelf(t, "holder", holderEnv+"="+n.GRPC)
	harness.Await(t, "the holder writes", func(context.Context) bool { return strings.Contains(holder.Output(), "wrote "+elsewhere()) })

	holder.Freeze()
	l, err := client.Lock(t.Context(), account, fenfa.LockHolder("the next"), fenfa.LockTTL(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	state := client.State().Fenced(account, l.Token())
	for _, key := range []string{account, elsewhere()} {
		if _, err := state.PutAny(t.Context(), key, "by", "the next"); err != nil {
			t.Fatal(err)
		}
	}
	holder.Thaw()
	if code := holder.Wait(); code != 0 || !strings.Contains(holder.Output(), "refused") {
		t.Errorf("the frozen holder ended with %d: %s", code, holder.Tail())
	}
	for _, key := range []string{account, elsewhere()} {
		r, err := client.State().Get(t.Context(), key, "by")
		if err != nil || string(r.Value) != "the next" {
			t.Errorf("%s was written by %s: %v", key, r.Value, err)
		}
	}
	if err := l.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
}
