package backoff_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/backoff"
)

// highest is a source whose every draw is as high as a draw can be, so that a
// delay shows its ceiling.
type highest struct{}

func (highest) Uint64() uint64 { return math.MaxUint64 }

func mustNew(t *testing.T, cfg backoff.Config) *backoff.Backoff {
	t.Helper()
	b, err := backoff.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func delays(b *backoff.Backoff, n int) []time.Duration {
	var all []time.Duration
	for range n {
		all = append(all, b.Next())
	}
	return all
}

func TestCeilingsGrowToTheMaximum(t *testing.T) {
	for name, tc := range map[string]struct {
		cfg  backoff.Config
		want []time.Duration
	}{
		"defaults": {
			backoff.Config{Source: highest{}},
			[]time.Duration{
				100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond,
				3200 * time.Millisecond, 6400 * time.Millisecond, 10 * time.Second, 10 * time.Second,
			},
		},
		"another factor": {
			backoff.Config{Base: time.Second, Factor: 3, Max: 20 * time.Second, Source: highest{}},
			[]time.Duration{time.Second, 3 * time.Second, 9 * time.Second, 20 * time.Second, 20 * time.Second},
		},
		"a constant": {
			backoff.Config{Base: time.Second, Factor: 1, Max: time.Second, Source: highest{}},
			[]time.Duration{time.Second, time.Second, time.Second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := delays(mustNew(t, tc.cfg), len(tc.want))
			for i := range got {
				// The highest draw is one step below 1.
				if off := tc.want[i] - got[i]; off < 0 || off > time.Microsecond {
					t.Errorf("delay %d is %v, want just below %v", i+1, got[i], tc.want[i])
				}
			}
		})
	}
}

func TestManyFailuresDoNotOverflow(t *testing.T) {
	b := mustNew(t, backoff.Config{Base: time.Nanosecond, Factor: 1e9, Max: math.MaxInt64 / 2, Source: highest{}})
	for i, d := range delays(b, 1000) {
		if d < 0 || d > math.MaxInt64/2 {
			t.Fatalf("delay %d is %v", i+1, d)
		}
	}
}

func TestResetStartsAgain(t *testing.T) {
	b := mustNew(t, backoff.Config{Source: highest{}})
	first := delays(b, 5)
	b.Reset()
	if second := delays(b, 5); !slices.Equal(first, second) {
		t.Errorf("after Reset the delays are %v, want %v", second, first)
	}
}

func TestJitterIsFull(t *testing.T) {
	const n = 10_000
	b := mustNew(t, backoff.Config{Base: time.Second, Factor: 1, Max: time.Second, Source: rand.NewPCG(1, 2)})
	var quarters [4]int
	for _, d := range delays(b, n) {
		if d < 0 || d >= time.Second {
			t.Fatalf("delay %v is outside [0, 1s)", d)
		}
		quarters[d*4/time.Second]++
	}
	for i, got := range quarters {
		if got < n/4*9/10 || got > n/4*11/10 {
			t.Errorf("quarter %d of the range got %d of %d draws", i, got, n)
		}
	}
}

func TestOneSeedGivesTheSameDelays(t *testing.T) {
	seeded := func(seed uint64) []time.Duration {
		return delays(mustNew(t, backoff.Config{Source: rand.NewPCG(seed, seed)}), 20)
	}
	if a, b := seeded(7), seeded(7); !slices.Equal(a, b) {
		t.Errorf("seed 7 gave %v and %v", a, b)
	}
	if a, b := seeded(7), seeded(8); slices.Equal(a, b) {
		t.Errorf("seeds 7 and 8 both gave %v", a)
	}
}

func TestAWrongConfigIsRefused(t *testing.T) {
	for name, cfg := range map[string]backoff.Config{
		"negative base":       {Base: -1},
		"negative maximum":    {Max: -1},
		"factor below 1":      {Factor: 0.5},
		"factor not a number": {Factor: math.NaN()},
		"maximum below base":  {Base: time.Minute, Max: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := backoff.New(cfg); !errors.Is(err, backoff.ErrConfig) {
				t.Errorf("New(%+v) = %v, want ErrConfig", cfg, err)
			}
		})
	}
}
