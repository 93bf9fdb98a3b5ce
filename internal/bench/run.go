package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Run runs a benchmark. The data directory is removed afterwards, unless it was
// named; then what the benchmark left stays in it.
func Run(ctx context.Context, cfg Config) (result *Result, err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.Dir == "" {
		if cfg.Dir, err = os.MkdirTemp("", "fenfa-bench-"); err != nil {
			return nil, fmt.Errorf("make data directory: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(cfg.Dir)) }()
	} else if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	if cfg.RabbitMQ {
		if err := cfg.openPlace(ctx); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, cfg.place.Close()) }()
	}
	if cfg.MySQL {
		if err := cfg.openStorePlace(ctx); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, cfg.storePlace.Close()) }()
	}
	result = &Result{Name: cfg.Name, Settings: settingsOf(cfg)}
	benchmark := map[string]func(context.Context, Config, *Result) error{
		"limit": limit, "drain": drain, "pull": pulled, "webhook": pushed, "submit": submit, "paced": paced, "hot": hot, "backlog": backlog,
		"transfer": transfer, "schedule": schedule, "busy": busy, "slow": slow, "skew": skew, "churn": churn,
	}[cfg.Name]
	if err := benchmark(ctx, cfg, result); err != nil {
		return nil, fmt.Errorf("bench %s: %w", cfg.Name, err)
	}
	result.round()
	return result, nil
}

// withRigThatRestarts runs a benchmark that ends the node itself on a rig, and closes
// it afterwards.
func withRigThatRestarts(ctx context.Context, r *rig, run func(context.Context) error) (err error) {
	defer func() { err = errors.Join(err, r.close()) }()
	return run(ctx)
}

// withRig runs a benchmark on a rig, and closes it afterwards.
func withRig(ctx context.Context, r *rig, run func(context.Context) error) (err error) {
	defer func() { err = errors.Join(err, r.close()) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-r.node.Done():
			cancel(errors.New("the node ended"))
		case <-ctx.Done():
		}
	}()
	if err := run(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
			return cause
		}
		return err
	}
	return nil
}
