package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/orders"
	"github.com/fenfa/fenfa/internal/task"
)

// historyPage is how many op-log rows one call asks for.
const historyPage = 1000

// idlePoll is how often the queue is asked whether everything is done.
const idlePoll = 25 * time.Millisecond

// queueDescriber is what waiting for the end needs of a client.
type queueDescriber interface {
	DescribeQueue(ctx context.Context, name string) (fenfa.QueueInfo, error)
}

// taskGetter is what collecting outcomes needs of a client.
type taskGetter interface {
	Task(ctx context.Context, id fenfa.ID) (*fenfa.TaskStatus, error)
}

// idleLooks is how often in a row the queue must look idle: a broker on servers of
// its own does not count what is on its way at that moment.
const idleLooks = 3

// awaitIdle waits until the queue holds nothing that has not ended. When nothing
// moves for as long as patience it gives up, without an error: what has not ended
// by then is found lost.
func awaitIdle(ctx context.Context, client queueDescriber, patience time.Duration) error {
	var last fenfa.QueueStats
	moved := time.Now()
	looks := 0
	for time.Since(moved) < patience {
		info, err := client.DescribeQueue(ctx, orders.Queue)
		if ctx.Err() != nil {
			return fmt.Errorf("wait for the queue: %w", ctx.Err())
		}
		if err == nil {
			s := info.Stats
			if s.BacklogTasks+s.Scheduled+s.Parked+s.Ready+s.Running > 0 {
				looks = 0
			} else if looks++; looks == idleLooks {
				return nil
			}
			if s.BacklogTasks != last.BacklogTasks || s.Parked != last.Parked || s.Scheduled != last.Scheduled || s.DoneTotal != last.DoneTotal {
				moved, last = time.Now(), s
			}
		}
		if err := wait(ctx, idlePoll); err != nil {
			return err
		}
	}
	return nil
}

// collectOutcomes asks for every confirmed order by its id, and counts them as it
// goes.
func collectOutcomes(ctx context.Context, client taskGetter, list *orders.List, ev *Evidence, count *atomic.Int64) error {
	group, ctx := errgroup.WithContext(ctx)
	chunk := max(1, (len(list.Orders)+parallel-1)/parallel)
	for from := 0; from < len(list.Orders); from += chunk {
		group.Go(func() error {
			for i := from; i < min(from+chunk, len(list.Orders)); i++ {
				if !ev.Confirmed[i] {
					continue
				}
				outcome, err := outcomeOf(ctx, client, list.Orders[i].ID)
				if err != nil {
					return fmt.Errorf("get result of line %d: %w", list.Orders[i].Line, err)
				}
				ev.Outcomes[i] = outcome
				count.Add(1)
			}
			return nil
		})
	}
	return group.Wait()
}

func outcomeOf(ctx context.Context, client taskGetter, id task.ID) (Outcome, error) {
	status, err := client.Task(ctx, fenfa.ID(id))
	if fenfa.CodeOf(err) == fenfa.CodeNotFound {
		return Outcome{}, nil
	}
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{FinishedAt: status.FinishedAt}
	switch status.State {
	case fenfa.StateDone:
		out.Ending = EndingDone
	case fenfa.StateDead:
		out.Ending = EndingDead
		return out, nil
	default:
		return out, nil
	}
	var answer Answer
	if json.Unmarshal(status.Result, &answer) == nil && answer.SKU != "" {
		out.Answer = &answer
	}
	return out, nil
}

// collectAudit lets the node compare its records with its op logs.
func collectAudit(ctx context.Context, client *fenfa.Client, ev *Evidence) error {
	sums, err := client.Audit(ctx, fenfa.AuditOptions{Busy: 1, Found: func(d fenfa.AuditDifference) {
		ev.AuditedDifferences = append(ev.AuditedDifferences,
			fmt.Sprintf("partition %d, row %d, record %q of key %q: %s: expected %s, found %s", d.Partition, d.Seq, d.Name, d.Key, d.Kind, d.Expected, d.Found))
	}})
	for _, sum := range sums {
		ev.AuditedRows += int(sum.Rows)
	}
	return err
}

// collectStock reads the stock record of every SKU and its whole op log.
func collectStock(ctx context.Context, state records, list *orders.List, ev *Evidence) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	var lock sync.Mutex
	for _, sku := range list.SKUs() {
		group.Go(func() error {
			available, there, err := readStock(ctx, state, sku)
			if err != nil {
				return fmt.Errorf("read stock of %s: %w", sku, err)
			}
			entries, err := readHistory(ctx, state, sku)
			if err != nil {
				return fmt.Errorf("read op log of %s: %w", sku, err)
			}
			lock.Lock()
			defer lock.Unlock()
			if there {
				ev.Stocks[sku] = available
			}
			ev.History[sku] = entries
			return nil
		})
	}
	return group.Wait()
}

func readStock(ctx context.Context, state records, sku string) (available int64, there bool, err error) {
	record, err := state.Get(ctx, sku, recordName)
	if fenfa.CodeOf(err) == fenfa.CodeNotFound {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	available, there = stockOf(record.Value)
	return available, there, nil
}

func readHistory(ctx context.Context, state records, sku string) ([]Entry, error) {
	var entries []Entry
	for after := uint64(0); ; {
		changes, next, err := state.History(ctx, sku, recordName, after, historyPage)
		if err != nil {
			return nil, err
		}
		for _, c := range changes {
			available, readable := stockOf(c.Value)
			entries = append(entries, Entry{
				TaskID: task.ID(c.TaskID), VersionBefore: c.VersionBefore, VersionAfter: c.VersionAfter, Available: available, Readable: readable,
			})
		}
		if next == 0 {
			return entries, nil
		}
		if next <= after {
			return nil, fmt.Errorf("the page after %d begins after %d", after, next)
		}
		after = next
	}
}

// stockOf reads a stock from the value of a record.
func stockOf(value []byte) (available int64, readable bool) {
	var stock struct {
		Available *int64 `json:"available"`
	}
	if json.Unmarshal(value, &stock) != nil || stock.Available == nil {
		return 0, false
	}
	return *stock.Available, true
}
