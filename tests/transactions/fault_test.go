package transactions

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/mariadbserver"
)

// longest is how long something stays frozen or dead at most.
const longest = 3 * time.Second

// faults kills and freezes a node and its databases at random moments.
type faults struct {
	*bank
	servers []*mariadbserver.Server
	rng     *rand.Rand
	count   int
}

// fault is one of the things that happen.
type fault struct {
	name string
	do   func()
}

// kinds are the faults that there can be.
func (f *faults) kinds() []fault {
	kinds := []fault{{"node killed", f.killNode}, {"node frozen", f.freezeNode}}
	if len(f.servers) > 0 {
		kinds = append(kinds, fault{"database killed", f.killDatabase}, fault{"database and node killed", f.killBoth}, fault{"database frozen", f.freezeDatabase})
	}
	return kinds
}

// run goes on until it has been enough, and waits after each fault until the node is
// ready again. The first faults are one of each kind, so that a short run sees all.
func (f *faults) run(t *testing.T, enough func(faults int) bool) {
	t.Helper()
	kinds := f.kinds()
	for ; !enough(f.count) && !t.Failed(); f.count++ {
		<-time.After(f.within(600 * time.Millisecond))
		kind := kinds[f.count%len(kinds)]
		if f.count >= len(kinds) {
			kind = kinds[f.rng.IntN(len(kinds))]
		}
		began := time.Now()
		kind.do()
		f.node.AwaitReady()
		t.Logf("fault %d: %s, ready after %v", f.count+1, kind.name, time.Since(began).Round(time.Millisecond))
	}
}

func (f *faults) within(d time.Duration) time.Duration {
	return time.Duration(f.rng.Int64N(int64(d)))
}

func (f *faults) killNode() {
	f.node.Kill()
	f.node.Start()
}

func (f *faults) freezeNode() {
	f.node.Freeze()
	<-time.After(f.within(longest))
	f.node.Thaw()
}

// database picks one of the servers.
func (f *faults) database() *mariadbserver.Server { return f.servers[f.rng.IntN(len(f.servers))] }

func (f *faults) killDatabase() {
	s := f.database()
	f.must(s.Kill())
	<-time.After(f.within(longest))
	f.must(s.Start(f.t.Context()))
}

// killBoth leaves the node alone with a dead database for a moment, and it never
// learns what became of its last statements.
func (f *faults) killBoth() {
	s := f.database()
	f.must(s.Kill())
	<-time.After(f.within(longest / 10))
	f.node.Kill()
	f.must(s.Start(f.t.Context()))
	f.node.Start()
}

func (f *faults) freezeDatabase() {
	s := f.database()
	f.must(s.Freeze())
	<-time.After(f.within(longest))
	f.must(s.Thaw())
}

func (f *faults) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}
