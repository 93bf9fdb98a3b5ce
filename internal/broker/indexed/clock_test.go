package indexed_test

import (
	"sync"
	"time"

	"github.com/fenfa/fenfa/internal/clock"
)

// manual is a clock that stands still until it is moved; its timers never fire,
// so that the sweeper works only when it is told to.
type manual struct {
	mu  sync.Mutex
	now time.Time
}

func newManual() *manual { return &manual{now: time.UnixMilli(1_800_000_000_000)} }

func (m *manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *manual) advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
}

func (m *manual) AfterFunc(time.Duration, func()) clock.Timer { return never{} }

type never struct{}

func (never) Stop() bool { return true }
