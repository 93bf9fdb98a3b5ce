package demo

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/orders"
)

const (
	submitShards = 8   // goroutines that submit; all orders of a SKU go through one
	submitBatch  = 128 // orders in one call
	submitPause  = 50 * time.Millisecond
)

// taskSubmitter is what the submitter needs of a client.
type taskSubmitter interface {
	SubmitBatch(ctx context.Context, tasks []*fenfa.Task) ([]fenfa.SubmitResult, error)
}

// submitter submits the orders of a list and keeps the list of those that were
// confirmed. The orders of one SKU are submitted in the input's order, each batch
// after the one before was confirmed: that is the order that the judge expects.
type submitter struct {
	client taskSubmitter
	list   *orders.List
	rate   int

	confirmed  []bool          // by order
	duplicates []bool          // by order: the answer was "already have it"
	sentAt     []time.Time     // by order: when it was sent first
	took       []time.Duration // by order: from then until its confirm, repeats included

	done    atomic.Int64 // orders confirmed so far
	retries atomic.Int64 // calls that were repeated because their outcome was unknown

	lock    sync.Mutex
	latency *hdrhistogram.Histogram // of confirmed calls
}

func newSubmitter(client taskSubmitter, list *orders.List, rate int) *submitter {
	n := len(list.Orders)
	return &submitter{
		client: client, list: list, rate: rate, latency: newHistogram(),
		confirmed: make([]bool, n), duplicates: make([]bool, n), sentAt: make([]time.Time, n), took: make([]time.Duration, n),
	}
}

// run submits everything and returns when all of it is confirmed, or with the
// first order that is refused.
func (s *submitter) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for _, shard := range s.shards() {
		group.Go(func() error {
			for len(shard) > 0 {
				n := min(submitBatch, len(shard))
				if err := s.pace(ctx, start, shard[0]); err != nil {
					return err
				}
				if err := s.confirm(ctx, shard[:n]); err != nil {
					return err
				}
				shard = shard[n:]
			}
			return nil
		})
	}
	return group.Wait()
}

// percentiles returns the median and the 99th percentile of calls so far.
func (s *submitter) percentiles() (p50, p99 time.Duration) {
	s.lock.Lock()
	defer s.lock.Unlock()
	us := func(p float64) time.Duration { return time.Duration(s.latency.ValueAtPercentile(p)) * time.Microsecond }
	return us(50), us(99)
}

// shards deals the orders out by SKU.
func (s *submitter) shards() [][]int {
	shards := make([][]int, submitShards)
	seed := maphash.MakeSeed()
	for i := range s.list.Orders {
		k := maphash.String(seed, s.list.Orders[i].SKU) % submitShards
		shards[k] = append(shards[k], i)
	}
	return shards
}

// pace waits until an order is due by the rate.
func (s *submitter) pace(ctx context.Context, start time.Time, order int) error {
	if s.rate == 0 {
		return nil
	}
	due := start.Add(time.Duration(float64(order) / float64(s.rate) * float64(time.Second)))
	return wait(ctx, time.Until(due))
}

// confirm submits a batch, again and again until all of it is confirmed: the same
// ids make a repeat safe, whatever became of the call before.
func (s *submitter) confirm(ctx context.Context, batch []int) error {
	tasks := make([]*fenfa.Task, len(batch))
	for k, i := range batch {
		tasks[k] = taskOf(&s.list.Orders[i])
	}
	began := time.Now()
	for {
		results, err := s.client.SubmitBatch(ctx, tasks)
		if ctx.Err() != nil {
			return fmt.Errorf("submit orders: %w", ctx.Err())
		}
		again := err != nil
		for k := range results {
			i := batch[k]
			if results[k].Err != nil {
				if !repeatable(results[k].Err) {
					return fmt.Errorf("submit line %d: %w", s.list.Orders[i].Line, results[k].Err)
				}
				again = true
				continue
			}
			if !s.confirmed[i] {
				s.confirmed[i], s.sentAt[i], s.took[i] = true, began, time.Since(began)
				s.duplicates[i] = results[k].Duplicate
				s.done.Add(1)
			}
		}
		if !again {
			s.lock.Lock()
			record(s.latency, time.Since(began))
			s.lock.Unlock()
			return nil
		}
		if err != nil && !repeatable(err) {
			return fmt.Errorf("submit orders: %w", err)
		}
		s.retries.Add(1)
		if err := wait(ctx, submitPause); err != nil {
			return err
		}
	}
}

// again submits everything a second time and counts the answers that say
// "already have it".
func (s *submitter) again(ctx context.Context) (answers int, err error) {
	second := newSubmitter(s.client, s.list, 0)
	err = second.run(ctx)
	for _, known := range second.duplicates {
		if known {
			answers++
		}
	}
	return answers, err
}

// taskOf returns the task of an order: always the same one.
func taskOf(o *orders.Order) *fenfa.Task {
	return fenfa.NewTask(orders.Queue, o.Payload, fenfa.Key(o.SKU), fenfa.WithID(fenfa.ID(o.ID)))
}

// repeatable reports whether the same submit may succeed later.
func repeatable(err error) bool {
	if errors.Is(err, fenfa.ErrUnknownOutcome) {
		return true
	}
	code := fenfa.CodeOf(err)
	return code == fenfa.CodeUnavailable || code == fenfa.CodeResourceExhausted
}

// wait waits for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
