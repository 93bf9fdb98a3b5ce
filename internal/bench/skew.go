package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/fenfa/fenfa"
)

// The skewed loads: how many keys there are, how the Zipf distribution falls, and
// which share of the load is on one key.
const (
	skewKeys  = 100_000
	zipfFall  = 1.1
	hotShare  = 0.9
	skewSlots = 20 * time.Millisecond // between looks at the workers
)

// The phases of skew. Tasks of the hot key are not those that are looked at.
const (
	phaseUniform = 1 + iota
	phaseZipf
	phaseOthers
	phaseHot
)

// skew measures what skewed keys do to the balance of workers, and to the other
// keys' latency: the same rate with even keys, with a Zipf distribution, and with
// nearly all of the load on one key.
func skew(ctx context.Context, cfg Config, result *Result) error {
	q := fenfa.Queue{Order: fenfa.OrderKey, Balance: fenfa.Balance{Policy: cfg.Policy}}
	return withFleet(ctx, cfg, q, 1, func(ctx context.Context, f *fleet) error {
		rng := rand.New(rand.NewPCG(1, 2)) // The same keys in every run.
		zipf := newZipf(rng, zipfFall, skewKeys)
		even := func(uint64) string { return "key-" + strconv.Itoa(rng.IntN(skewKeys)) }
		if err := f.pace(ctx, 0, cfg.Rate, settle, even); err != nil {
			return err
		}
		fmt.Fprintf(cfg.Log, "even keys, %d tasks/s\n", cfg.Rate)
		err := f.measured(result, func() (int64, error) {
			if err := f.pace(ctx, phaseUniform, cfg.Rate, cfg.Duration, even); err != nil {
				return 0, err
			}
			return int64(float64(cfg.Rate) * cfg.Duration.Seconds()), f.idle(ctx)
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(cfg.Log, "Zipf keys\n")
		peak, bound, err := f.peakWhile(ctx, func() error {
			return f.pace(ctx, phaseZipf, cfg.Rate, cfg.Duration, func(uint64) string { return "key-" + strconv.Itoa(zipf()) })
		})
		if err != nil {
			return err
		}
		if err := f.idle(ctx); err != nil {
			return err
		}
		fmt.Fprintf(cfg.Log, "%.0f%% of the load on one key\n", hotShare*100)
		submitted, err := f.paceHot(ctx, cfg, even)
		if err != nil {
			return err
		}
		// The hot key has more work than it can do one by one: the rest is left.
		reports, err := f.debrief()
		if err != nil {
			return err
		}
		_, start, _ := merged(reports, phaseUniform)
		_, zipfStart, _ := merged(reports, phaseZipf)
		begun, others, _ := merged(reports, phaseOthers)
		if begun < submitted {
			return fmt.Errorf("%d of %d tasks of the other keys had not ended %v after the last submit: their latencies are not known", submitted-begun, submitted, settle)
		}
		result.start(start)
		ratio := others.P99 / start.P99
		result.ZipfStartP99, result.OthersStartP99, result.OthersRatio, result.PeakLoad = &zipfStart.P99, &others.P99, &ratio, &peak
		result.BoundP99 = &bound
		return nil
	})
}

// paceHot submits with most of the load on one key, waits until the tasks of all
// others should be done, and returns how many those are.
func (f *fleet) paceHot(ctx context.Context, cfg Config, even func(uint64) string) (others int64, err error) {
	rng := rand.New(rand.NewPCG(3, 4)) // The same keys in every run.
	loop := &openLoop{rig: f.rig, confirm: newLatencies(), task: func(due time.Duration, n uint64) *fenfa.Task {
		if rng.Float64() < hotShare {
			return f.task(due, numbered(phaseHot, n), "hot")
		}
		others++
		return f.task(due, numbered(phaseOthers, n), even(n))
	}}
	if err := loop.run(ctx, int(float64(cfg.Rate)*cfg.Duration.Seconds()), cfg.Rate); err != nil {
		return 0, err
	}
	return others, pause(ctx, settle)
}

// loadBound is that of consistent_hash by default.
const loadBound = 1.25

// peakWhile returns the most that one worker had in flight over the mean of all,
// both averaged over the time of load; and, of all looks at the workers, the p99
// of the most in flight at one over what the load bound allows for all in flight.
// The bound holds when a task is handed out: tasks that end elsewhere afterwards
// make the ratio larger than 1 for a moment.
func (f *fleet) peakWhile(ctx context.Context, load func() error) (peak, bound float64, err error) {
	failed := make(chan error, 1)
	go func() { failed <- load() }()
	sums := map[string]float64{}
	var looks []float64
	for {
		workers, err := f.client.Workers(ctx)
		if err != nil {
			// The load ends by itself, at the latest when its time is over.
			return 0, 0, errors.Join(fmt.Errorf("list workers: %w", err), <-failed)
		}
		total, most := 0, 0
		for _, w := range workers {
			sums[w.ID] += float64(w.InFlight)
			total, most = total+w.InFlight, max(most, w.InFlight)
		}
		if total > 0 {
			looks = append(looks, float64(most)/math.Ceil(loadBound*float64(total)/float64(len(workers))))
		}
		select {
		case err := <-failed:
			peak, bound = peaks(sums, looks)
			return peak, bound, err
		case <-time.After(skewSlots):
		}
	}
}

// peaks puts together what the looks saw.
func peaks(sums map[string]float64, looks []float64) (peak, bound float64) {
	total, most := 0.0, 0.0
	for _, sum := range sums {
		total, most = total+sum, max(most, sum)
	}
	slices.Sort(looks)
	if len(looks) > 0 {
		bound = looks[len(looks)*99/100]
	}
	return most * float64(len(sums)) / max(total, 1), bound
}
