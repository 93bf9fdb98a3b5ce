package indexed

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/kv"
)

// Defaults of Config.
const (
	DefaultSweepInterval = time.Second
	DefaultRecentIDs     = 1 << 20
)

// Config says which broker is remembered for, and where.
type Config struct {
	Broker     broker.Broker         // required; closed with the decorator
	DB         *kv.DB                // required; its owner closes it after the broker
	Clock      clock.Clock           // default clock.System
	Logger     *slog.Logger          // nil: no logs
	Registerer prometheus.Registerer // nil: no metrics
	// SweepInterval is how often expired ids are looked for; default 1 s.
	SweepInterval time.Duration
	// RecentIDs is how many ids one generation of the memory of recent ids holds;
	// default 1 << 20, which takes 3 MiB for both.
	RecentIDs int
}

func (c Config) withDefaults() (Config, error) {
	if c.Broker == nil {
		return c, errors.New("new indexed broker: no broker was given")
	}
	if c.DB == nil {
		return c, errors.New("new indexed broker: no engine was given")
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.SweepInterval <= 0 {
		c.SweepInterval = DefaultSweepInterval
	}
	if c.RecentIDs <= 0 {
		c.RecentIDs = DefaultRecentIDs
	}
	return c, nil
}
