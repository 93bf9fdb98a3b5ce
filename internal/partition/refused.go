package partition

import (
	"cmp"
	"slices"
)

// refusals is the lanes of a class that wait for one worker, those that were
// refused first in front. While one of them is offered again no other is, so that
// a free slot costs as much with very many that wait as with a few.
type refusals struct {
	session uint64 // of the worker; 0: any will do
	lanes   deque[*lane]
	probing bool // one of them is ready, to see whether there is room
}

// refusedBy makes a lane wait for a session, behind the others that do; in front
// of them if that is what it waited for already.
func (cl *class) refusedBy(session uint64, l *lane, from *refusals) {
	line := cl.lines[session]
	if line == nil {
		if cl.lines == nil {
			cl.lines = make(map[uint64]*refusals)
		}
		line = &refusals{session: session}
		cl.lines[session] = line
	}
	cl.refused++
	if from != nil && from.session == session {
		line.lanes.pushFront(l)
		return
	}
	cl.refusals++
	l.refusal = cl.refusals
	line.lanes.pushBack(l)
}

// probe makes the first of the lanes that wait for a session ready. The next one
// follows it, until one is refused again.
func (cl *class) probe(line *refusals) {
	if line == nil || line.probing || line.lanes.len() == 0 {
		return
	}
	line.probing = true
	l := line.lanes.popFront()
	l.probes = line
	cl.refused--
	// Who waits for any worker and who waits for this one come in the order in which
	// they were refused.
	var first *lane
	if cl.ready.len() > 0 && cl.ready.at(0).probes != nil && cl.ready.at(0).refusal < l.refusal {
		first = cl.ready.popFront()
	}
	cl.ready.pushFront(l)
	if first != nil {
		cl.ready.pushFront(first)
	}
}

// takeRefused empties the lines, and returns who stood there in the order in
// which they were refused.
func (cl *class) takeRefused() []*lane {
	if cl.refused == 0 {
		return nil
	}
	all := make([]*lane, 0, cl.refused)
	for _, line := range cl.lines {
		for line.lanes.len() > 0 {
			l := line.lanes.popFront()
			l.waitsFor = line.session
			all = append(all, l)
		}
	}
	cl.refused = 0
	slices.SortFunc(all, func(a, b *lane) int { return cmp.Compare(a.refusal, b.refusal) })
	return all
}

// reopen makes all lanes ready that were refused.
func (cl *class) reopen() {
	for _, l := range slices.Backward(cl.takeRefused()) {
		cl.ready.pushFront(l)
	}
	clear(cl.lines)
}

// desert makes those ready that wait for a session that has ended.
func (cl *class) desert(session uint64) {
	line := cl.lines[session]
	if line == nil {
		return
	}
	delete(cl.lines, session)
	cl.refused -= line.lanes.len()
	for line.lanes.len() > 0 {
		cl.ready.pushFront(line.lanes.popBack())
	}
}

// withdraw takes a lane out that waits for a worker: what it waits with has
// changed. Who stands behind it in a line follows where it was the one that probes.
func (cl *class) withdraw(l *lane) {
	is := func(other *lane) bool { return other == l }
	if i := cl.ready.find(is); i >= 0 {
		cl.ready.remove(i)
		from := l.probes
		if l.probes = nil; from != nil {
			from.probing = false
			cl.probe(from)
		}
		return
	}
	for _, line := range cl.lines {
		if i := line.lanes.find(is); i >= 0 {
			line.lanes.remove(i)
			cl.refused--
			return
		}
	}
}
