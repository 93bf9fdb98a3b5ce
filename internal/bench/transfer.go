package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/task"
)

// The accounts of transfer.
const (
	transferAccounts = 10_000
	transferOpening  = 1000
	transferRecord   = "balance"
	transferLoaders  = 64
)

// transfer measures transactions: each moves one unit between two random accounts of
// different partitions. At the end no unit may be missing.
func transfer(ctx context.Context, cfg Config, result *Result) error {
	r, err := newRig(ctx, cfg, fenfa.Queue{})
	if err != nil {
		return err
	}
	return withRig(ctx, r, func(ctx context.Context) error {
		fmt.Fprintf(cfg.Log, "opening %d accounts\n", transferAccounts)
		b := &bankers{rig: r, latency: newLatencies()}
		err := share(ctx, transferLoaders, transferAccounts, func(ctx context.Context, n int) error {
			_, err := r.client.State().Put(ctx, accountOf(n), transferRecord, transferOpening, 0)
			return err
		})
		if err != nil {
			return fmt.Errorf("open accounts: %w", err)
		}
		fmt.Fprintf(cfg.Log, "making %d transfers\n", cfg.Tasks)
		err = r.onStore(ctx, result, func() error {
			return r.measured(result, func() (int64, error) { return int64(cfg.Tasks), share(ctx, cfg.Producers, cfg.Tasks, b.move) })
		})
		if err != nil {
			return err
		}
		result.confirm(b.latency.spread())
		conflicts := float64(b.conflicts.Load())
		result.Conflicts = &conflicts
		verified, err := b.verify(ctx)
		result.Verified = &verified
		return err
	})
}

func accountOf(n int) string { return "account-" + strconv.Itoa(n) }

// share calls work for each number below n, some at a time, until one fails.
func share(ctx context.Context, goroutines, n int, work func(ctx context.Context, n int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := work(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// bankers move money.
type bankers struct {
	rig       *rig
	latency   *latencies
	conflicts atomic.Int64
}

// move makes one transfer: its latency is that of the commit that takes effect.
func (b *bankers) move(ctx context.Context, n int) error {
	from := accountOf(rand.IntN(transferAccounts))
	to := from
	for task.PartitionOf(to, task.DefaultPartitions) == task.PartitionOf(from, task.DefaultPartitions) {
		to = accountOf(rand.IntN(transferAccounts))
	}
	for {
		have, a, err := b.read(ctx, from)
		if err != nil {
			return err
		}
		other, z, err := b.read(ctx, to)
		if err != nil {
			return err
		}
		began := time.Now()
		_, err = b.rig.client.State().NewCommit().Put(from, transferRecord, have-1, a).Put(to, transferRecord, other+1, z).Do(ctx)
		if err == nil {
			b.latency.record(uint64(n), time.Since(began), 1)
			return nil
		}
		if !errors.Is(err, fenfa.ErrConflict) {
			return fmt.Errorf("transfer: %w", err)
		}
		b.conflicts.Add(1)
	}
}

func (b *bankers) read(ctx context.Context, key string) (amount int, version uint64, err error) {
	r, err := b.rig.client.State().Get(ctx, key, transferRecord)
	if err != nil {
		return 0, 0, fmt.Errorf("read account: %w", err)
	}
	return amount, r.Version, r.Decode(&amount)
}

// verify adds all accounts up.
func (b *bankers) verify(ctx context.Context) (bool, error) {
	fmt.Fprintln(b.rig.cfg.Log, "adding all accounts up")
	var sum atomic.Int64
	err := share(ctx, transferLoaders, transferAccounts, func(ctx context.Context, n int) error {
		amount, _, err := b.read(ctx, accountOf(n))
		sum.Add(int64(amount))
		return err
	})
	if err != nil {
		return false, err
	}
	if want := int64(transferAccounts * transferOpening); sum.Load() != want {
		return false, &VerifyError{fmt.Sprintf("the accounts sum to %d, want %d", sum.Load(), want)}
	}
	return true, nil
}
