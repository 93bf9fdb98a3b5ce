package workers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sync/errgroup"

	fenfa "github.com/fenfa/fenfa"
)

// crewEnv is the environment variable that makes the test binary a crew, and
// describes it.
const crewEnv = "FENFA_WORKERS_CREW"

// crew is the workers of one process. The test fills it in and hands it over as
// JSON.
type crew struct {
	Workers   []string          `json:"workers"` // their names
	Queues    []string          `json:"queues"`  // default: all of the fleet
	Slots     int               `json:"slots"`   // of each worker; default 8
	Labels    map[string]string `json:"labels,omitempty"`
	Sick      string            `json:"sick,omitempty"`       // while this file exists every attempt fails
	SickQueue string            `json:"sick_queue,omitempty"` // only those of this queue
	Mutant    mutant            `json:"mutant,omitempty"`
	Addr      string            `json:"addr"`
	Path      string            `json:"path"` // of the journal

	journal *journal
	client  *fenfa.Client
}

// mutant is a rule that a crew breaks on purpose, so that a test sees that its
// checks would find it.
type mutant string

const (
	mutantPastTheFence mutant = "past-the-fence" // writes directly instead of with the outcome
	mutantNoDrain      mutant = "no-drain"       // drops what it has when it is told to stop
)

// crewMain is the whole life of a crew's process.
func crewMain(text string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := runCrew(ctx, text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runCrew(ctx context.Context, text string) (err error) {
	var c crew
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return fmt.Errorf("read %s: %w", crewEnv, err)
	}
	if c.journal, err = openJournal(c.Path); err != nil {
		return err
	}
	defer func() { _ = c.journal.file.Close() }()
	if c.client, err = fenfa.Dial(c.Addr, fenfa.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil)))); err != nil {
		return err
	}
	defer func() { _ = c.client.Close() }()
	var group errgroup.Group
	for _, name := range c.Workers {
		group.Go(func() error { return c.worker(name).Run(ctx) })
	}
	err = group.Wait()
	if c.Mutant == mutantNoDrain && ctx.Err() != nil {
		return nil
	}
	return err
}

// worker makes one worker of the crew.
func (c *crew) worker(name string) *fenfa.Worker {
	opts := []fenfa.WorkerOption{fenfa.WorkerID(name), fenfa.Concurrency(c.Slots), fenfa.Labels(c.Labels)}
	if c.Mutant == mutantNoDrain {
		opts = append(opts, fenfa.DrainTimeout(0))
	}
	w := c.client.Worker(opts...)
	for _, queue := range c.Queues {
		w.Handle(queue, func(ctx context.Context, task *fenfa.Task) error { return c.handle(ctx, name, task) })
	}
	return w
}

// countPastTheFence counts up the tally as a worker must not: by a write of its
// own, which no lease fences.
func (c *crew) countPastTheFence(ctx context.Context, task *fenfa.Task) error {
	n := 0
	record, err := c.client.State().Get(context.WithoutCancel(ctx), task.Key(), tally)
	if err == nil {
		err = record.Decode(&n)
	}
	if err != nil && !errors.Is(err, fenfa.ErrNotFound) {
		return err
	}
	if _, err := c.client.State().PutAny(context.WithoutCancel(ctx), task.Key(), tally, n+1); err != nil {
		return err
	}
	return task.Return(n + 1)
}
