package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fenfa/fenfa/internal/child"
	"github.com/fenfa/fenfa/internal/kv"
)

// leastLives is how many lives a comparison with the limit takes at least.
const leastLives = 50_000

// limit measures what the disk and the storage engine can do at most, without
// any of fenfa: see kv.MeasureLimit.
func limit(ctx context.Context, cfg Config, result *Result) error {
	lives, seconds, err := measureLimit(ctx, cfg)
	if err != nil {
		return err
	}
	result.Tasks, result.Seconds, result.PerS = lives, seconds.Seconds(), float64(lives)/seconds.Seconds()
	used, err := child.UsageOf(os.Getpid())
	if err != nil {
		return err
	}
	result.CPUPer100k = used.CPU.Seconds() / float64(lives) * 100_000
	result.PeakRSSMiB = mib(used.PeakRSS)
	result.FSync = true
	result.Settings.Producers, result.Settings.Workers, result.Settings.Concurrency = 0, 0, 0
	result.Settings.Batch = kv.LimitBatch
	return nil
}

func measureLimit(ctx context.Context, cfg Config) (lives int, took time.Duration, err error) {
	dir := filepath.Join(cfg.Dir, "limit")
	fmt.Fprintln(cfg.Log, "measuring the limit of the disk")
	lives = cfg.Tasks
	if cfg.Name != "limit" {
		lives = min(max(lives, leastLives), defaults("limit").Tasks)
	}
	took, err = kv.MeasureLimit(ctx, kv.LimitConfig{Dir: dir, Lives: lives, Payload: cfg.Payload})
	if err != nil {
		return 0, 0, err
	}
	return lives, took, os.RemoveAll(dir)
}

// withLimit adds the limit, measured in the same run, to a result.
func withLimit(ctx context.Context, cfg Config, result *Result) error {
	if !cfg.WithLimit {
		return nil
	}
	lives, took, err := measureLimit(ctx, cfg)
	if err != nil {
		return err
	}
	perS := float64(lives) / took.Seconds()
	ratio := result.PerS / perS
	result.LimitPerS, result.LimitRatio = &perS, &ratio
	return nil
}
