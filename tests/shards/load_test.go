package shards

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/mariadbserver"
	"github.com/fenfa/fenfa/internal/mariadbserver/mariadbtest"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/tests/harness"
)

// part is the partition that is moved, by default from shard 0 to shard 1.
const part = 3

// load is tasks that count up records, most of them of the partition that is moved.
type load struct {
	t      *testing.T
	node   *harness.Node
	client *fenfa.Client
	keys   []string
	stop   chan struct{}
	all    sync.WaitGroup

	mu   sync.Mutex
	last map[string]fenfa.ID // the latest task of each key
	want map[string]int
}

// newLoad starts a node whose state is in three databases.
func newLoad(t *testing.T, env ...string) *load {
	t.Helper()
	private := mariadbtest.Private(t, mariadbserver.Config{})
	var addresses []string
	for _, name := range []string{"zero", "one", "two"} {
		address, err := private.Database(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, address)
	}
	l := &load{t: t, node: harness.NewNode(t, t.TempDir(), "--store-url="+strings.Join(addresses, ",")), last: map[string]fenfa.ID{}, want: map[string]int{}}
	l.node.Env = env
	l.node.Start()
	l.client = l.node.Dial()
	if _, _, err := l.client.ConfigureQueue(t.Context(), fenfa.Queue{Name: "counts"}); err != nil {
		t.Fatal(err)
	}
	for i, elsewhere := 0, 0; len(l.keys) < 10; i++ {
		key := fmt.Sprint("key-", i)
		switch inside := task.PartitionOf(key, task.DefaultPartitions) == part; {
		case inside:
			l.keys = append(l.keys, key)
		case elsewhere < 2:
			elsewhere++
			l.keys = append(l.keys, key)
		}
	}
	l.serve()
	return l
}

// serve runs a worker that counts, until the test ends.
func (l *load) serve() {
	w := l.client.Worker(fenfa.Concurrency(8))
	w.Handle("counts", func(ctx context.Context, t *fenfa.Task) error {
		var n int
		if _, exists, err := t.State().GetRaw(ctx, "n"); err != nil {
			return err
		} else if exists {
			if err := t.State().Get(ctx, "n", &n); err != nil {
				return err
			}
		}
		t.State().Put("n", n+1)
		return nil
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(l.t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx) // a node that is killed is no error of the worker's
	}()
	l.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// start submits tasks of each key, one after another, until finish.
func (l *load) start() {
	l.stop = make(chan struct{})
	for _, key := range l.keys {
		l.all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-l.stop:
					return
				default:
				}
				id := l.submit(key)
				if n%5 == 4 {
					l.awaitTask(id)
				}
			}
		})
	}
}

// submit hands in one task, again and again until it is confirmed.
func (l *load) submit(key string) fenfa.ID {
	x := fenfa.NewTask("counts", nil, fenfa.Key(key))
	for {
		if _, err := l.client.Submit(l.t.Context(), x); err == nil {
			break
		} else if l.t.Context().Err() != nil {
			l.t.Errorf("submit: %v", err)
			break
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[key] = x.ID()
	l.want[key]++
	return x.ID()
}

func (l *load) awaitTask(id fenfa.ID) {
	for l.t.Context().Err() == nil {
		if st, err := l.client.Task(l.t.Context(), id); err == nil && st.State.Final() {
			if st.State != fenfa.StateDone {
				l.t.Errorf("task %s is %s: %s", id, st.State, st.Error)
			}
			return
		}
	}
}

// grown waits until so many more tasks were confirmed.
func (l *load) grown(by int) {
	l.t.Helper()
	count := func() (sum int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, n := range l.want {
			sum += n
		}
		return sum
	}
	before := count()
	harness.Await(l.t, "more tasks are confirmed", func(context.Context) bool { return count() >= before+by })
}

// finish ends the load, and holds that each task took effect once, in an unbroken row
// of versions, and that the op logs agree.
func (l *load) finish() {
	l.t.Helper()
	close(l.stop)
	l.all.Wait()
	for _, key := range l.keys {
		l.awaitTask(l.last[key])
		var n int
		r, err := l.client.State().Get(l.t.Context(), key, "n")
		if err == nil {
			err = r.Decode(&n)
		}
		if err != nil || n != l.want[key] {
			l.t.Errorf("%s was counted up to %d by %d tasks, %v", key, n, l.want[key], err)
		}
		l.checkHistory(key)
	}
	harness.Audit(l.t, l.client)
}

// checkHistory holds that a key's changes follow each other, and are of different
// tasks.
func (l *load) checkHistory(key string) {
	l.t.Helper()
	seen := map[fenfa.ID]bool{}
	version, longest := uint64(0), time.Duration(0)
	var before time.Time
	for after := uint64(0); ; {
		changes, next, err := l.client.State().History(l.t.Context(), key, "n", after, 1000)
		if err != nil {
			l.t.Fatal(err)
		}
		for i := range changes {
			ch := &changes[i]
			if ch.VersionBefore != version || seen[ch.TaskID] {
				l.t.Errorf("%s: change %d follows version %d, not %d, or is a repeat of task %s", key, ch.Seq, ch.VersionBefore, version, ch.TaskID)
			}
			if !before.IsZero() {
				longest = max(longest, ch.At.Sub(before))
			}
			seen[ch.TaskID], version, before = true, ch.VersionAfter, ch.At
		}
		if after = next; next == 0 {
			break
		}
	}
	if len(seen) != l.want[key] {
		l.t.Errorf("%s has %d changes by %d tasks", key, len(seen), l.want[key])
	}
	l.t.Logf("%s: %d changes, the longest time between two is %v", key, len(seen), longest.Round(time.Millisecond))
}
