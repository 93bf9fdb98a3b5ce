package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/orders"
	"github.com/fenfa/fenfa/internal/task"
)

// WorkerConfig is what a worker process of the demo is told.
type WorkerConfig struct {
	Addr        string // of the node
	ID          string
	Concurrency int
	Recorder    string // path of its flight recorder
}

// RunWorker is a worker process of the demo: it works on orders until ctx ends.
func RunWorker(ctx context.Context, cfg WorkerConfig) (err error) {
	notes, err := openRecorder(cfg.Recorder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, notes.close()) }()
	client, err := fenfa.Dial(cfg.Addr)
	if err != nil {
		return fmt.Errorf("dial node: %w", err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	worker := client.Worker(fenfa.WorkerID(cfg.ID), fenfa.Concurrency(cfg.Concurrency))
	worker.Handle(orders.Queue, func(ctx context.Context, t *fenfa.Task) error {
		started := time.Now()
		notes.start(task.ID(t.ID()), started)
		defer notes.end()
		return handle(ctx, t, cfg.ID, started)
	})
	if err := worker.Run(ctx); err != nil {
		return fmt.Errorf("run worker: %w", err)
	}
	return nil
}

// handle decides one order over the stock of its SKU.
func handle(ctx context.Context, t *fenfa.Task, worker string, started time.Time) error {
	var order orders.Payload
	if err := t.Decode(&order); err != nil {
		return fenfa.Reject(err)
	}
	pieces, err := order.Pieces()
	if err != nil {
		return fenfa.Reject(err)
	}
	var stock Stock
	if err := t.State().Get(ctx, recordName, &stock); err != nil {
		return fmt.Errorf("get stock of %s: %w", order.SKU, err)
	}
	after, accepted := Decide(stock.Available, pieces)
	answer := Answer{SKU: order.SKU, Accepted: accepted, StockAfter: after, Worker: worker, StartedUS: started.UnixMicro()}
	if !accepted {
		answer.Reason = reasonSoldOut
		return t.Return(answer)
	}
	t.State().Put(recordName, Stock{Available: after})
	return t.Return(answer)
}
