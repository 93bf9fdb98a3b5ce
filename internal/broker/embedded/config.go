package embedded

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/kv"
)

// Defaults of Config.
const (
	DefaultTailBytes      = 4 << 20
	DefaultTotalTailBytes = 64 << 20
	DefaultSweepInterval  = time.Second
	DefaultRecentIDs      = 1 << 20
	DefaultReservation    = 100_000
)

// Config says what the broker stands on.
type Config struct {
	DB         *kv.DB                // required; its owner closes it after the broker
	Clock      clock.Clock           // default clock.System
	Logger     *slog.Logger          // nil: no logs
	Registerer prometheus.Registerer // nil: no metrics
	// TailBytes bounds the messages of one partition that are kept in memory for a
	// reader that keeps up, TotalTailBytes those of all; defaults 4 MiB and 64 MiB.
	TailBytes      int
	TotalTailBytes int
	// SweepInterval is how often expired ids are looked for; default 1 s.
	SweepInterval time.Duration
	// RecentIDs is how many ids one generation of the memory of recent ids holds;
	// default 1 << 20, which takes 3 MiB for both.
	RecentIDs int
	// Reservation is how far ahead of what is handed out the durable mark is set
	// that tells fresh messages after a restart; default 100,000 messages.
	Reservation int
}

func (c Config) withDefaults() (Config, error) {
	if c.DB == nil {
		return c, errors.New("new embedded broker: no engine was given")
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.TailBytes <= 0 {
		c.TailBytes = DefaultTailBytes
	}
	if c.TotalTailBytes <= 0 {
		c.TotalTailBytes = DefaultTotalTailBytes
	}
	if c.SweepInterval <= 0 {
		c.SweepInterval = DefaultSweepInterval
	}
	if c.RecentIDs <= 0 {
		c.RecentIDs = DefaultRecentIDs
	}
	if c.Reservation <= 0 {
		c.Reservation = DefaultReservation
	}
	return c, nil
}
