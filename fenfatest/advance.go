package fenfatest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/node"
	"github.com/fenfa/fenfa/internal/partition"
)

// Bounds of the wait until a node rests.
const (
	defaultPatience = 30 * time.Second
	looksInTime     = 10 // the pause between two looks is that part of what was waited
	shortestLook    = 50 * time.Microsecond
	longestLook     = 10 * time.Millisecond
	namedTasks      = 3 // in a message
)

// Advance lets d pass for the node's tasks, without waiting for it: it puts the clock
// forward from one moment at which something is due to the next, in the order of their
// times. At each, and before the first, it waits until the node rests: what was due is
// handed out, handlers have returned, and what they did is durable. Tasks without a
// worker stay as they are; workers of Run are waited for until they are connected.
//
// It fails the test when the node does not rest within 30 s, or what WithPatience says,
// and names the tasks whose handlers run. It must not be called by a handler.
func (n *Node) Advance(d time.Duration) {
	n.tb.Helper()
	if d < 0 {
		n.tb.Fatalf("the clock of a node goes forward only, not by %v", d)
	}
	n.advance(n.Now().Add(d))
}

// AdvanceTo is Advance until a moment, which must not be before Now.
func (n *Node) AdvanceTo(end time.Time) {
	n.tb.Helper()
	if now := n.Now(); end.Before(now) {
		n.tb.Fatalf("the clock of a node goes forward only: it shows %s, which is after %s", stamp(now), stamp(end))
	}
	n.advance(end)
}

func (n *Node) advance(end time.Time) {
	n.tb.Helper()
	n.advancing.Lock()
	defer n.advancing.Unlock()
	for {
		next := n.rest()
		if next.IsZero() || next.After(end) {
			break
		}
		n.clock.to(next)
	}
	n.clock.to(end)
	n.rest()
	if err := n.running().Sweep(context.WithoutCancel(n.tb.Context())); err != nil {
		n.tb.Fatalf("remove what is kept no longer: %v", err)
	}
}

// rest waits until the node rests, and returns when something is due; zero: nothing
// is.
func (n *Node) rest() (next time.Time) {
	n.tb.Helper()
	began := time.Now()
	for {
		next, unrest := n.look()
		if unrest == "" {
			return next
		}
		waited := time.Since(began)
		if waited > n.opts.patience {
			n.tb.Fatalf("the node, whose clock shows %s, did not come to rest within %v: %s", stamp(n.Now()), n.opts.patience, unrest)
		}
		<-time.After(min(max(waited/looksInTime, shortestLook), longestLook))
	}
}

// look returns what keeps the node from resting; empty: nothing does.
func (n *Node) look() (next time.Time, unrest string) {
	n.tb.Helper()
	before := n.clock.asleep()
	running := n.running()
	if unrest = n.missing(running); unrest != "" {
		return next, unrest
	}
	out, err := running.Outlook(context.WithoutCancel(n.tb.Context()))
	if err != nil {
		return next, err.Error() // A partition is claimed anew.
	}
	if unrest = atWork(out.Running, before.tasks); unrest != "" {
		return next, unrest
	}
	if out.Busy != "" {
		return next, out.Busy
	}
	if n.clock.asleep().changes != before.changes {
		return next, "a handler falls asleep or wakes up"
	}
	next = out.Next
	if next.IsZero() || !before.next.IsZero() && before.next.Before(next) {
		next = before.next
	}
	return next, ""
}

// missing names a worker of Run that is not connected.
func (n *Node) missing(running *node.Node) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for w := range n.workers {
		if !w.Connected() || !running.Serves(w.ID()) {
			return fmt.Sprintf("worker %s is not connected", w.ID())
		}
	}
	return ""
}

// atWork names tasks that run, but for those whose handlers sleep.
func atWork(running []partition.RunningTask, asleep map[fenfa.ID]bool) string {
	var names []string
	count := 0
	for i := range running {
		r := &running[i]
		if asleep[fenfa.ID(r.ID)] {
			continue
		}
		if count++; count <= namedTasks {
			names = append(names, fmt.Sprintf("task %s of queue %s runs on worker %s (attempt %d)", r.ID, r.Queue, r.Worker, r.Attempt))
		}
	}
	if count > namedTasks {
		names = append(names, fmt.Sprintf("and %d more", count-namedTasks))
	}
	return strings.Join(names, ", ")
}

// running returns the node that runs. It fails the test where none does.
func (n *Node) running() *node.Node {
	n.tb.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.node == nil {
		n.tb.Fatal("the node is stopped: its clock cannot be advanced")
	}
	return n.node
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }
