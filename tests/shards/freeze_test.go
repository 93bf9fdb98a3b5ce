package shards

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/mariadbserver"
	"github.com/fenfa/fenfa/internal/mariadbserver/mariadbtest"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/tests/harness"
)

// TestAFrozenShardHoldsNoOtherUp freezes one of three database servers under tasks of
// all of them: those of the other two end, and so do its own when it goes on.
func TestAFrozenShardHoldsNoOtherUp(t *testing.T) {
	const shards, frozen = 3, 2
	var servers []*mariadbserver.Server
	var addresses []string
	for range shards {
		s := mariadbtest.Private(t, mariadbserver.Config{Settings: []string{"--innodb-flush-method=nosync", "--innodb-flush-log-at-trx-commit=2"}})
		address, err := s.Database(t.Context(), "fenfa")
		if err != nil {
			t.Fatal(err)
		}
		servers, addresses = append(servers, s), append(addresses, address)
	}
	// Nothing is given up while the server is frozen: its partitions just wait.
	l := &load{t: t, node: harness.NewNode(t, t.TempDir(), "--store-url="+strings.Join(addresses, ",")), last: map[string]fenfa.ID{}, want: map[string]int{}}
	l.node.Env = []string{"FENFA_STORE_TIMEOUT=10m"}
	l.node.Start()
	l.client = l.node.Dial()
	if _, _, err := l.client.ConfigureQueue(t.Context(), fenfa.Queue{Name: "counts"}); err != nil {
		t.Fatal(err)
	}
	l.serve()
	l.keys = keysOfParts(task.DefaultPartitions)
	count := func(begins bool) (ids map[string]fenfa.ID) {
		ids = map[string]fenfa.ID{}
		for part, key := range l.keys {
			if begins || part%shards != frozen {
				ids[key] = l.submit(key)
			}
		}
		return ids
	}
	for key, id := range count(true) {
		l.ends(key, id)
	}
	if err := servers[frozen].Freeze(); err != nil {
		t.Fatal(err)
	}
	waiting := count(true)
	for range 10 { // more commits than may be under way at a time
		for key, id := range count(false) {
			l.ends(key, id)
		}
	}
	if err := servers[frozen].Thaw(); err != nil {
		t.Fatal(err)
	}
	for key, id := range waiting {
		l.ends(key, id)
	}
	l.stop = make(chan struct{})
	l.finish()
}

// keysOfParts returns a key of each partition.
func keysOfParts(parts int) []string {
	keys := make([]string, parts)
	for i, found := 0, 0; found < parts; i++ {
		key := fmt.Sprint("key-", i)
		if part := task.PartitionOf(key, parts); keys[part] == "" {
			keys[part] = key
			found++
		}
	}
	return keys
}

// ends waits until a task is done.
func (l *load) ends(key string, id fenfa.ID) {
	l.t.Helper()
	harness.Await(l.t, "the task of "+key+" is done", func(ctx context.Context) bool {
		st, err := l.client.Task(ctx, id)
		return err == nil && st.State == fenfa.StateDone
	})
}
