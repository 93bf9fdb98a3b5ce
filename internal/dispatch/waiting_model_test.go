package dispatch

import (
	"cmp"
	"maps"
	"slices"

	"github.com/fenfa/fenfa/internal/task"
)

// refuse takes note of a key that was refused.
func (m *model) refuse(a ask, by uint64, key string) {
	if m.refused[a] == nil {
		m.refused[a] = map[uint64][]string{}
	}
	m.refused[a][by] = append(m.refused[a][by], key)
}

// asks is who was refused, sorted so that a seed replays.
func (m *model) asks() []ask {
	return slices.SortedFunc(maps.Keys(m.refused), func(a, b ask) int {
		return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.queue, b.queue),
			cmp.Compare(a.place.Require, b.place.Require), cmp.Compare(a.place.Prefer, b.place.Prefer))
	})
}

// settingsOf is how the queue is set now.
func (m *model) settingsOf(name string) *task.Queue {
	return m.queues[slices.IndexFunc(m.queues, func(q *task.Queue) bool { return q.Name == name })]
}

// wakeNext has a partition hear of a slot, as partitions do, and that is later.
func (m *model) wakeNext() {
	c := m.wakes[0]
	m.wakes = m.wakes[1:]
	a := ask{c.part, c.queue, c.place}
	if c.session == 0 {
		m.askAnew(a)
		return
	}
	m.askAgain(a, c.session)
	m.askAgain(a, 0)
}

// askAgain asks for the keys that wait for a session, one after another, until it
// refuses one again.
func (m *model) askAgain(a ask, session uint64) {
	for len(m.refused[a][session]) > 0 {
		key := m.refused[a][session][0]
		m.refused[a][session] = m.refused[a][session][1:]
		if by, ok := m.askFor(a, m.settingsOf(a.queue), key, 1); !ok && by == session {
			return
		}
	}
}

// askAnew asks for all that was refused.
func (m *model) askAnew(a ask) {
	was := m.refused[a]
	delete(m.refused, a)
	for _, session := range slices.Sorted(maps.Keys(was)) {
		for _, key := range was[session] {
			m.askFor(a, m.settingsOf(a.queue), key, 1)
		}
	}
}

// everybodyIsCaredFor asserts that whoever was refused hears of every session that
// it waits for, and of keys that have another worker now.
func (m *model) everybodyIsCaredFor() {
	for a, lines := range m.refused {
		for session, keys := range lines {
			if len(keys) == 0 || m.willHear(a, session) {
				continue
			}
			q := m.byName[a.queue]
			if q == nil || q.index[a.place] == nil || q.index[a.place].waiters[a.part] == nil {
				m.t.Errorf("%+v was refused by session %d and forgotten", a, session)
				continue
			}
			w := q.index[a.place].waiters[a.part]
			if w.anew || w.held != nil && w.version != w.pool.version && w.waits() {
				continue
			}
			if !w.hears(session) {
				m.t.Errorf("%+v was refused by session %d, which will not wake it", a, session)
			}
			m.homesAre(a, w.pool, session, keys)
		}
	}
}

// homesAre asserts that keys wait for nobody but their own worker.
func (m *model) homesAre(a ask, p *pool, session uint64, keys []string) {
	if !p.queue.sticky() || session == 0 {
		return
	}
	for _, key := range keys {
		if s, _ := p.pick(key); s == nil || s.member.session.ref.Session != session {
			m.t.Errorf("%+v: key %s waits for session %d, and is not its own", a, key, session)
		}
	}
}

// willHear reports whether a partition is about to ask again for what a session
// refused.
func (m *model) willHear(a ask, session uint64) bool {
	return slices.ContainsFunc(m.wakes, func(c call) bool {
		return ask{c.part, c.queue, c.place} == a && (c.session == 0 || session == 0 || c.session == session)
	})
}

// hears reports whether a slot of the session, or for 0 of any, is to wake the
// waiter.
func (w *waiter) hears(session uint64) bool {
	if w.list == nil || session == 0 {
		return w.list != nil && w.any
	}
	return slices.ContainsFunc(w.pool.home().seats, func(s *seat) bool {
		return s.member.session.ref.Session == session && w.awaits(s)
	})
}
