package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/orders"
)

func unavailable() error {
	return &fenfa.Error{Code: fenfa.CodeUnavailable, Message: "the node is gone"}
}
func notFound() error { return &fenfa.Error{Code: fenfa.CodeNotFound, Message: "not there"} }
func conflict() error { return &fenfa.Error{Code: fenfa.CodeConflict, Message: "another version"} }

// fakeNode is a node that works on every order as soon as it is submitted, in the
// order of its submits. It fails calls when it is told to.
type fakeNode struct {
	lock     sync.Mutex
	status   map[fenfa.ID]*fenfa.TaskStatus
	records  map[string]fenfa.Record // by key
	history  map[string][]fenfa.Change
	version  uint64
	failures int // calls to SubmitBatch that fail first
	doFirst  bool
	page     int // changes that History returns at most
	refuse   string
	order    map[string][]fenfa.ID // submits by key
}

func newFakeNode() *fakeNode {
	return &fakeNode{
		status: make(map[fenfa.ID]*fenfa.TaskStatus), records: make(map[string]fenfa.Record),
		history: make(map[string][]fenfa.Change), order: make(map[string][]fenfa.ID), page: 7,
	}
}

// SubmitBatch fails as often as it was told to; with doFirst it does its work all
// the same, as a node that dies before it answers.
func (n *fakeNode) SubmitBatch(ctx context.Context, tasks []*fenfa.Task) ([]fenfa.SubmitResult, error) {
	n.lock.Lock()
	defer n.lock.Unlock()
	results := make([]fenfa.SubmitResult, len(tasks))
	failing := n.failures > 0
	n.failures--
	for i, t := range tasks {
		results[i].ID = t.ID()
		switch {
		case ctx.Err() != nil:
			results[i].Err = ctx.Err()
			continue
		case failing:
			results[i].Err = unavailable()
		case n.refuse != "" && t.Key() == n.refuse:
			results[i].Err = &fenfa.Error{Code: fenfa.CodeInvalidArgument, Message: "no such SKU"}
			continue
		case n.status[t.ID()] != nil:
			results[i].Duplicate = true
		}
		if (!failing || n.doFirst) && n.status[t.ID()] == nil {
			n.work(t)
		}
	}
	if failing {
		return results, unavailable()
	}
	return results, ctx.Err()
}

// work is what a worker does.
func (n *fakeNode) work(t *fenfa.Task) {
	n.order[t.Key()] = append(n.order[t.Key()], t.ID())
	var p orders.Payload
	if err := t.Decode(&p); err != nil {
		panic(err)
	}
	pieces, err := p.Pieces()
	if err != nil {
		panic(err)
	}
	available, _ := stockOf(n.records[t.Key()].Value)
	after, accepted := Decide(available, pieces)
	if accepted {
		n.write(t.Key(), Stock{Available: after}, t.ID())
	}
	result, err := json.Marshal(Answer{SKU: t.Key(), Accepted: accepted, StockAfter: after, Worker: "w", StartedUS: 1})
	if err != nil {
		panic(err)
	}
	n.status[t.ID()] = &fenfa.TaskStatus{ID: t.ID(), State: fenfa.StateDone, Result: result}
}

func (n *fakeNode) write(key string, value any, task fenfa.ID) {
	b, ok := value.(string)
	if !ok {
		text, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		b = string(text)
	}
	before := n.records[key].Version
	n.version++
	n.records[key] = fenfa.Record{Key: key, Version: n.version, Value: []byte(b)}
	n.history[key] = append(n.history[key], fenfa.Change{Seq: n.version, VersionBefore: before, VersionAfter: n.version, Value: []byte(b), TaskID: task})
}

func (n *fakeNode) Task(_ context.Context, id fenfa.ID) (*fenfa.TaskStatus, error) {
	n.lock.Lock()
	defer n.lock.Unlock()
	if s := n.status[id]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("get task: %w", notFound())
}

func (n *fakeNode) Get(_ context.Context, key, _ string) (fenfa.Record, error) {
	n.lock.Lock()
	defer n.lock.Unlock()
	if r, ok := n.records[key]; ok {
		return r, nil
	}
	return fenfa.Record{}, fmt.Errorf("get record: %w", notFound())
}

func (n *fakeNode) Put(_ context.Context, key, _ string, value any, expected uint64) (uint64, error) {
	n.lock.Lock()
	defer n.lock.Unlock()
	if n.records[key].Version != expected {
		return 0, fmt.Errorf("put record: %w", conflict())
	}
	n.write(key, value, fenfa.ID{})
	return n.version, nil
}

func (n *fakeNode) History(_ context.Context, key, _ string, after uint64, _ int) (page []fenfa.Change, next uint64, err error) {
	n.lock.Lock()
	defer n.lock.Unlock()
	for _, c := range n.history[key] {
		if c.Seq <= after {
			continue
		}
		if len(page) == n.page {
			return page, page[len(page)-1].Seq, nil
		}
		page = append(page, c)
	}
	return page, 0, nil
}

func someOrders(t *testing.T, n int) *orders.List {
	t.Helper()
	list, err := orders.Synthetic{Orders: n, SKUs: 20, Hot: 0.3}.List()
	if err != nil {
		t.Fatal(err)
	}
	return list
}
