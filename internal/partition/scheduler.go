package partition

import (
	"cmp"
	"slices"
	"time"
)

// Bounds of the schedule rows that are held in memory, in one partition. A page is
// read when little is left, and has room beside that.
const (
	aheadTasks    = 2 * schedulePage // unless the core's configuration says so
	aheadBytes    = 2 << 20
	scheduleBytes = aheadBytes / 4 // of one page, unless its last row is larger
)

// moment is the place of a schedule row among the others.
type moment struct {
	due time.Time
	seq uint64
}

func (m moment) compare(o moment) int { return cmp.Or(m.due.Compare(o.due), cmp.Compare(m.seq, o.seq)) }

// scheduler holds the next schedule rows of a partition, so that what is due starts
// at once and each row is read once; all others are in the store only. Of the rows
// that were not handed over it holds every one until known, and without a rest all.
type scheduler struct {
	most     int     // tasks in ahead
	ahead    []*item // by moment
	bytes    int
	known    moment // rows until here are held
	rest     bool   // the store may have rows after known
	fetching bool
	cut      moment              // since the fetch began: rows from here on may be missing in ahead; zero: none
	removed  map[uint64]struct{} // numbers of rows that went since the fetch began
}

// next is when the next row is due; zero: no row is known.
func (s *scheduler) next() time.Time {
	if len(s.ahead) == 0 || !s.knows(s.ahead[0].moment()) {
		return time.Time{}
	}
	return s.ahead[0].due
}

func (s *scheduler) knows(at moment) bool { return !s.rest || at.compare(s.known) <= 0 }

// take returns the next row that is due, or nil.
func (s *scheduler) take(now time.Time) *item {
	if at := s.next(); at.IsZero() || at.After(now) {
		return nil
	}
	it := s.ahead[0]
	s.drop(0)
	return it
}

func (s *scheduler) drop(i int) {
	s.bytes -= s.ahead[i].size
	if i == 0 {
		s.ahead[0] = nil
		s.ahead = s.ahead[1:]
		return
	}
	s.ahead = slices.Delete(s.ahead, i, i+1)
}

// holds reports whether a row that is written now is to be held: else it is found in
// the store in time.
func (s *scheduler) holds(at moment) bool { return s.knows(at) || s.fetching && !s.cuts(at) }

// cuts reports whether a row lies where rows may be missing since the fetch began.
func (s *scheduler) cuts(at moment) bool { return s.cut != moment{} && at.compare(s.cut) >= 0 }

// hold adds a row that is written now.
func (s *scheduler) hold(it *item) {
	s.insert(it)
	for len(s.ahead) > s.most || s.bytes > aheadBytes && len(s.ahead) > 1 {
		last := len(s.ahead) - 1
		at := s.ahead[last].moment()
		s.drop(last)
		if s.fetching && !s.cuts(at) {
			s.cut = at
		}
		if s.knows(at) {
			s.known, s.rest = s.ahead[last-1].moment(), true
		}
	}
}

// insert adds a row in its place, unless it is there.
func (s *scheduler) insert(it *item) {
	i, found := s.find(it.moment())
	if !found {
		s.ahead = slices.Insert(s.ahead, i, it)
		s.bytes += it.size
	}
}

func (s *scheduler) find(at moment) (index int, found bool) {
	return slices.BinarySearchFunc(s.ahead, at, func(it *item, at moment) int { return it.moment().compare(at) })
}

// remove forgets a row that goes from the store.
func (s *scheduler) remove(at moment) {
	if i, found := s.find(at); found {
		s.drop(i)
	}
	if s.fetching {
		s.removed[at.seq] = struct{}{}
	}
}

// wants reports whether a page of rows after known is to be read.
func (s *scheduler) wants() bool {
	return s.rest && !s.fetching && len(s.ahead) < max(1, s.most/8) && s.bytes < aheadBytes/4
}

// fetch begins the read of a page after the moment that it returns.
func (s *scheduler) fetch() moment {
	s.fetching, s.cut, s.removed = true, moment{}, make(map[uint64]struct{})
	return s.known
}

// fetched takes the page, in order; more says that the store may have rows after it.
// What was written meanwhile is held already as far as there was room, until cut.
func (s *scheduler) fetched(page []arrival, more bool) {
	s.fetching = false
	until := s.known
	for i := range page {
		it := &page[i].item
		if s.cuts(it.moment()) {
			more = false // every row before the cut is held
			break
		}
		until = it.moment()
		if _, gone := s.removed[it.seq]; !gone && !page[i].corrupt {
			s.insert(it)
		}
	}
	s.removed = nil
	for n := len(s.ahead); n > 0; n-- {
		at := s.ahead[n-1].moment()
		if !s.cuts(at) && (!more || at.compare(until) <= 0) {
			if at.compare(until) > 0 {
				until = at
			}
			break
		}
		s.drop(n - 1)
	}
	s.known, s.rest = until, more || s.cut != moment{}
}
