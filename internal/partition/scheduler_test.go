package partition

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// scheduleModel is a store of schedule rows beside a scheduler that is to hand each
// of them over once, in time.
type scheduleModel struct {
	t   *testing.T
	rng *rand.Rand
	s   scheduler
	now time.Time
	seq uint64
	// largest is what a row has at most, in bytes.
	largest int
	rows    []moment // in the store
	taken   map[moment]bool
	gone    map[moment]bool
	page    []arrival // read, and not handed in yet
	more    bool
}

func newScheduleModel(t *testing.T, seed uint64, most int) *scheduleModel {
	t.Helper()
	return &scheduleModel{
		t: t, rng: rand.New(rand.NewPCG(seed, 0)), s: scheduler{rest: true, most: most}, now: rigStart, largest: aheadBytes / 3,
		taken: map[moment]bool{}, gone: map[moment]bool{},
	}
}

func (m *scheduleModel) write() {
	m.seq++
	at := moment{m.now.Add(time.Duration(1+m.rng.IntN(50)) * time.Millisecond), m.seq}
	i, _ := slices.BinarySearchFunc(m.rows, at, moment.compare)
	m.rows = slices.Insert(m.rows, i, at)
	if m.s.holds(at) {
		m.s.hold(&item{due: at.due, seq: at.seq, size: 1 + m.rng.IntN(m.largest)})
	}
}

// read reads the page that the scheduler began to fetch.
func (m *scheduleModel) read(from moment) {
	i, found := slices.BinarySearchFunc(m.rows, from, moment.compare)
	if found {
		i++
	}
	m.page = nil
	for _, at := range m.rows[i:min(len(m.rows), i+3)] {
		m.page = append(m.page, arrival{item: item{due: at.due, seq: at.seq, size: 1000}, corrupt: at.seq%97 == 0})
	}
	m.more = len(m.page) > 0
}

// take hands over what is due. A task that was handed over is done a while later.
func (m *scheduleModel) take() {
	last := moment{}
	for it := m.s.take(m.now); it != nil; it = m.s.take(m.now) {
		at := it.moment()
		switch {
		case at.due.After(m.now):
			m.t.Fatalf("row %v was handed over at %v", at, m.now)
		case m.taken[at] || m.gone[at]:
			m.t.Fatalf("row %v was handed over twice, or after it was removed", at)
		case at.compare(last) < 0:
			m.t.Fatalf("row %v came after %v", at, last)
		}
		m.taken[at], last = true, at
	}
}

func (m *scheduleModel) remove() {
	if len(m.rows) == 0 {
		return
	}
	i := m.rng.IntN(len(m.rows))
	at := m.rows[i]
	m.rows = slices.Delete(m.rows, i, i+1)
	m.gone[at] = true
	m.s.remove(at)
}

func (m *scheduleModel) step() {
	switch m.rng.IntN(8) {
	case 0, 1, 2:
		m.write()
	case 3:
		m.now = m.now.Add(time.Duration(m.rng.IntN(8)) * time.Millisecond)
	case 4:
		m.remove()
	case 5:
		if m.s.wants() {
			from := m.s.fetch()
			for range m.rng.IntN(3) { // the batches before it become durable
				m.write()
			}
			m.read(from)
		}
	default:
		if m.s.fetching {
			m.s.fetched(m.page, m.more)
		}
	}
	m.take()
	if len(m.s.ahead) > m.s.most+3 {
		m.t.Fatalf("%d rows are held", len(m.s.ahead))
	}
}

// finish lets all time pass and reads what there is.
func (m *scheduleModel) finish() {
	m.now = m.now.Add(time.Hour)
	for range 10 * (len(m.rows) + 10) {
		if m.s.fetching {
			m.s.fetched(m.page, m.more)
		}
		m.take()
		if m.s.wants() {
			m.read(m.s.fetch())
		}
	}
	for _, at := range m.rows {
		if !m.taken[at] && at.seq%97 != 0 {
			m.t.Fatalf("row %v was never handed over", at)
		}
	}
}

func TestEveryScheduleRowIsHandedOverOnceInTime(t *testing.T) {
	for seed := range uint64(300) {
		for _, most := range []int{1, 4, 40} {
			t.Run(fmt.Sprintf("seed %d, %d held", seed, most), func(t *testing.T) {
				m := newScheduleModel(t, seed, most)
				for range 200 {
					m.step()
				}
				m.finish()
			})
		}
	}
}

func TestAScheduleWithFewRowsIsReadOnce(t *testing.T) {
	m := newScheduleModel(t, 1, 40)
	m.largest = 100
	m.read(m.s.fetch())
	m.s.fetched(m.page, m.more)
	for range 30 {
		m.write()
		if m.s.wants() {
			t.Fatal("a page is read though all rows are held")
		}
	}
	m.now = m.now.Add(time.Minute)
	if m.take(); len(m.taken) != 30 {
		t.Errorf("%d rows were handed over", len(m.taken))
	}
}
