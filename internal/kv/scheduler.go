package kv

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// scheduler holds compactions back until the database is open. Pebble's Open
// waits for those that run, so one that begins when the log has been replayed
// would make a start after a crash seconds longer.
type scheduler struct {
	*pebble.ConcurrencyLimitScheduler
	open atomic.Bool
}

// newScheduler returns one that grants nothing until start. The constructor of
// Pebble's own scheduler without a timer is named for tests; with it, compactions
// are looked for when a flush or another compaction ends, which is when there are
// new ones.
func newScheduler() *scheduler {
	return &scheduler{ConcurrencyLimitScheduler: pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()}
}

// start lets compactions begin.
func (s *scheduler) start() {
	s.open.Store(true)
	s.UpdateGetAllowedWithoutPermission()
}

// TrySchedule implements pebble.CompactionScheduler.
func (s *scheduler) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	if !s.open.Load() {
		return false, nil
	}
	return s.ConcurrencyLimitScheduler.TrySchedule()
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler.
func (s *scheduler) UpdateGetAllowedWithoutPermission() {
	if s.open.Load() {
		s.ConcurrencyLimitScheduler.UpdateGetAllowedWithoutPermission()
	}
}
