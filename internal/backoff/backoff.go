package backoff

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// ErrConfig is wrapped by every error of New.
var ErrConfig = errors.New("invalid backoff")

// Config describes a Backoff. Zero fields take their defaults.
type Config struct {
	Base   time.Duration // ceiling of the first delay, default 100 ms
	Factor float64       // by which the ceiling grows, at least 1, default 2
	Max    time.Duration // highest ceiling, default 10 s
	Source rand.Source   // of the jitter; default seeded by the runtime
}

func (c Config) withDefaults() Config {
	if c.Base == 0 {
		c.Base = 100 * time.Millisecond
	}
	if c.Factor == 0 {
		c.Factor = 2
	}
	if c.Max == 0 {
		c.Max = 10 * time.Second
	}
	if c.Source == nil {
		c.Source = rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Base < 0:
		return fmt.Errorf("%w: base %v is negative", ErrConfig, c.Base)
	case !(c.Factor >= 1): // Not a number fails too.
		return fmt.Errorf("%w: factor %v is less than 1", ErrConfig, c.Factor)
	case c.Max < c.Base:
		return fmt.Errorf("%w: max %v is less than base %v", ErrConfig, c.Max, c.Base)
	}
	return nil
}

// Backoff counts the failures of one loop.
type Backoff struct {
	cfg     Config
	rand    *rand.Rand
	ceiling float64 // of the next delay, in nanoseconds, at most cfg.Max
}

// New returns a Backoff that has seen no failure.
func New(cfg Config) (*Backoff, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	b := &Backoff{cfg: cfg, rand: rand.New(cfg.Source)}
	b.Reset()
	return b, nil
}

// Next counts a failure and returns the delay until the next try, drawn uniformly
// from zero to the ceiling, which is min(Max, Base*Factor^(n-1)) after the n-th
// failure in a row.
func (b *Backoff) Next() time.Duration {
	delay := time.Duration(b.rand.Float64() * b.ceiling)
	b.ceiling = min(b.ceiling*b.cfg.Factor, float64(b.cfg.Max))
	return delay
}

// Reset forgets the failures: something succeeded.
func (b *Backoff) Reset() { b.ceiling = float64(b.cfg.Base) }
