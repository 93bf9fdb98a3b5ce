package simulate

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Limits of a simulation.
const (
	MaxWorkers = 10_000
	MaxSlots   = 100_000
	MaxTasks   = 10_000_000
	MaxKeys    = 10_000_000
)

// Config says what to simulate. The zero value of a field means its default.
type Config struct {
	// Balance is the policy and its parameters; default least_inflight.
	Balance task.Balance
	// Workers is their number; they are called w1, w2 and so on. Default 4.
	Workers int
	// Weights are those of the workers, repeated when there are fewer of them.
	// Default 1.
	Weights []float64
	// Slots is how many tasks each worker runs at a time. Default 50.
	Slots int
	// Lines is how many tasks each worker serves at a time, whatever its slots: the
	// others wait in their slots, as handlers do that share a resource. Default 0:
	// all of them.
	Lines int
	// Outstanding is how many tasks wait or run at any moment, fewer than Tasks.
	// Default half of all slots, so that the policy has a choice.
	Outstanding int
	// Tasks is how many run in all, 2 or more. Default 100,000.
	Tasks int
	// Keys is how many different keys they have. Default 100,000.
	Keys int
	// Zipf makes some keys much more frequent than others: the k-th one as often as
	// 1/k to this power, more than 1 and at most 10. Default 0: all the same.
	Zipf float64
	// Service is how long a task takes on average. Default 1 ms.
	Service time.Duration
	// Slow is how many workers, the last ones, take SlowFactor times as long.
	Slow       int
	SlowFactor float64
	// Leave is a worker that gets nothing more after half of the tasks, and Join one
	// that comes then, with weight 1. Default none.
	Leave, Join string
	// Seed makes another run of the same kind. Default 1.
	Seed uint64
}

// ConfigError says which setting of a simulation is wrong.
type ConfigError struct {
	Setting string // as a flag: in lower case, words joined by hyphens
	reason  string
}

// Error begins with the setting and says what it should be.
func (e *ConfigError) Error() string { return e.Setting + " " + e.reason }

func wrong(setting, format string, args ...any) error {
	return &ConfigError{Setting: setting, reason: fmt.Sprintf(format, args...)}
}

func (c *Config) setDefaults() {
	standard := task.DefaultQueue("").Balance
	if c.Balance.Policy == "" {
		c.Balance.Policy = standard.Policy
	}
	if c.Balance.LoadBound == 0 {
		c.Balance.LoadBound = standard.LoadBound
	}
	if c.Balance.Overflow == "" {
		c.Balance.Overflow = standard.Overflow
	}
	if len(c.Weights) == 0 {
		c.Weights = []float64{1}
	}
	if c.Service == 0 {
		c.Service = time.Millisecond
	}
	if c.SlowFactor == 0 {
		c.SlowFactor = 1
	}
	if c.Seed == 0 {
		c.Seed = 1
	}
	for _, d := range []struct {
		value *int
		is    int
	}{{&c.Workers, 4}, {&c.Slots, 50}, {&c.Tasks, 100_000}, {&c.Keys, 100_000}} {
		if *d.value == 0 {
			*d.value = d.is
		}
	}
	if c.Outstanding == 0 {
		c.Outstanding = max(1, min(c.Workers*c.Slots/2, c.Tasks-1))
	}
}

// validate reports the first setting that is out of range.
func (c *Config) validate() error {
	for _, r := range []struct {
		setting          string
		got, least, most int
	}{
		{"workers", c.Workers, 1, MaxWorkers},
		{"slots", c.Slots, 1, MaxSlots},
		{"lines", c.Lines, 0, MaxSlots},
		{"tasks", c.Tasks, 2, MaxTasks},
		{"keys", c.Keys, 1, MaxKeys},
		{"slow", c.Slow, 0, c.Workers},
	} {
		if r.got < r.least || r.got > r.most {
			return wrong(r.setting, "is %d: want %d to %d", r.got, r.least, r.most)
		}
	}
	if c.Outstanding < 1 || c.Outstanding >= c.Tasks {
		return wrong("outstanding", "is %d: want 1 to %d, fewer than there are tasks", c.Outstanding, c.Tasks-1)
	}
	for _, w := range c.Weights {
		if math.IsNaN(w) || w < 1e-6 || w > 1e6 {
			return wrong("weights", "has %v: want 0.000001 to 1000000", w)
		}
	}
	if err := c.validateBalance(); err != nil {
		return err
	}
	switch {
	case len(c.Weights) > c.Workers:
		return wrong("weights", "has %d values for %d workers", len(c.Weights), c.Workers)
	case c.Zipf != 0 && (math.IsNaN(c.Zipf) || c.Zipf <= 1 || c.Zipf > 10):
		return wrong("zipf", "is %v: want more than 1 and at most 10", c.Zipf)
	case c.Service < time.Microsecond || c.Service > time.Hour:
		return wrong("service", "is %v: want 1us to 1h", c.Service)
	case math.IsNaN(c.SlowFactor) || c.SlowFactor < 0.001 || c.SlowFactor > 10_000:
		return wrong("slow", "has the factor %v: want 0.001 to 10000", c.SlowFactor)
	case c.Join != "" && c.number(c.Join) >= 0:
		return wrong("join", "is %q, who is there from the beginning: want another name", c.Join)
	case c.Leave != "" && c.number(c.Leave) < 0:
		return wrong("leave", "is %q: workers are called w1 to w%d", c.Leave, c.Workers)
	case c.Leave != "" && c.Workers == 1 && c.Join == "":
		return wrong("leave", "is %q, who is the only worker", c.Leave)
	}
	return nil
}

// validateBalance names parameters of the policy as settings of the simulation.
func (c *Config) validateBalance() error {
	b := task.DefaultQueue("").Balance
	for _, p := range []struct {
		setting string
		value   any
		apply   func()
	}{
		{"policy", c.Balance.Policy, func() { b.Policy = c.Balance.Policy }},
		{"load-bound", c.Balance.LoadBound, func() { b.LoadBound = c.Balance.LoadBound }},
		{"overflow", c.Balance.Overflow, func() { b.Overflow = c.Balance.Overflow }},
	} {
		p.apply()
		if err := b.Validate(); err != nil {
			return wrong(p.setting, "is %v: %v", p.value, err)
		}
	}
	return nil
}

// name is what the worker of an index is called.
func name(i int) string { return "w" + strconv.Itoa(i+1) }

// number is the index of a worker that is there from the beginning, or -1.
func (c *Config) number(id string) int {
	for i := range c.Workers {
		if name(i) == id {
			return i
		}
	}
	return -1
}

// weight is that of the worker of an index.
func (c *Config) weight(i int) float64 { return c.Weights[i%len(c.Weights)] }

// factor is how much longer tasks take at the worker of an index.
func (c *Config) factor(i int) float64 {
	if i >= c.Workers-c.Slow && i < c.Workers {
		return c.SlowFactor
	}
	return 1
}
