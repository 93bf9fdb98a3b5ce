package top

import (
	"context"
	"fmt"
	"time"
)

// Follow asks the source every interval and hands figures to emit, from the second
// answer on, since rates need two. An answer that is missing is handed in as an
// error, unless it is the very first one, which ends Follow. It goes on until emit
// returns an error or ctx ends, and returns that.
func Follow(ctx context.Context, cfg Config, emit func(*Figures, error) error) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	ticker := time.NewTicker(cfg.Interval)
	defer ticker.Stop()
	var last *Snapshot
	for {
		s, err := once(ctx, &cfg)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && last == nil:
			return err
		case err != nil:
			err = emit(nil, err)
		case last != nil:
			f := Compare(last, &s)
			err = emit(&f, nil)
			last = &s
		default:
			last = &s
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

func once(ctx context.Context, cfg *Config) (Snapshot, error) {
	limited, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	s, err := cfg.Source.Snapshot(limited)
	if err != nil {
		return s, fmt.Errorf("look at the node: %w", err)
	}
	return s, nil
}
