package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/fenfa/fenfa"
)

// WorkerCommand is the hidden subcommand that runs RunWorker.
const WorkerCommand = "bench-worker"

// sampleEvery is how often a worker process notes how busy it was.
const sampleEvery = 50 * time.Millisecond

// WorkerConfig is what a worker process of a benchmark is told.
type WorkerConfig struct {
	Addr        string // of the node
	ID          string
	Concurrency int           // handlers at a time
	Service     time.Duration // what each task takes: the handler waits for so long
	Lines       int           // handlers that are served at a time, the others wait in the handler; 0: all
	Epoch       int64         // submits are stamped with the time since then, in Unix nanoseconds
	Report      string        // file for what it saw, written when it ends
}

// station is a worker process: its handlers take a fixed time, and note how long
// tasks had waited.
type station struct {
	cfg   WorkerConfig
	epoch time.Time
	lines chan struct{}

	busy   atomic.Int64 // nanoseconds in handlers, over all slots
	served atomic.Int64 // of these, without the time that tasks waited for a line
	done   atomic.Int64
	phases [phases]struct {
		start, finish *latencies
		tasks         atomic.Int64
	}
}

// A task's number carries its phase above numberBits; phase 0 is not measured.
const (
	numberBits = 48
	phases     = 8
)

// numbered makes the number of a task in a phase.
func numbered(phase int, n uint64) uint64 { return uint64(phase)<<numberBits | n }

// sample is how far a worker was at a moment since the epoch.
type sample struct {
	At     time.Duration `json:"at"`
	Busy   time.Duration `json:"busy"`
	Served time.Duration `json:"served"`
	Done   int64         `json:"done"`
}

// stationReport is what a worker process says at its end.
type stationReport struct {
	ID      string         `json:"id"`
	Samples []sample       `json:"samples"`
	Phases  []stationPhase `json:"phases"`
}

// stationPhase is what a worker saw of the tasks of one phase. Start is from
// submit to the handler's start, Finish to its end.
type stationPhase struct {
	Tasks  int64                  `json:"tasks"`
	Start  *hdrhistogram.Snapshot `json:"start,omitempty"`
	Finish *hdrhistogram.Snapshot `json:"finish,omitempty"`
}

// RunWorker is a worker process of a benchmark: it works until ctx ends, and
// writes its report.
func RunWorker(ctx context.Context, cfg WorkerConfig) (err error) {
	s := &station{cfg: cfg, epoch: time.Unix(0, cfg.Epoch)}
	if cfg.Lines > 0 {
		s.lines = make(chan struct{}, cfg.Lines)
	}
	for i := range s.phases {
		s.phases[i].start, s.phases[i].finish = newLatencies(), newLatencies()
	}
	client, err := fenfa.Dial(cfg.Addr)
	if err != nil {
		return fmt.Errorf("dial node: %w", err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	worker := client.Worker(fenfa.WorkerID(cfg.ID), fenfa.Concurrency(cfg.Concurrency))
	worker.Handle(queue, s.handle)
	samples, ended := make(chan []sample, 1), make(chan struct{})
	go func() { samples <- s.watch(ended) }()
	err = worker.Run(ctx)
	close(ended)
	return errors.Join(err, s.report(<-samples))
}

// now is the time since the epoch by the clock of the machine, which all
// processes of a benchmark share.
func (s *station) now() time.Duration { return time.Now().Round(0).Sub(s.epoch) }

func (s *station) handle(ctx context.Context, t *fenfa.Task) error {
	began := time.Now()
	at, n := stamped(t.Payload())
	p := &s.phases[n>>numberBits%phases]
	p.start.record(n, s.now()-at, 1)
	if s.lines != nil {
		select {
		case s.lines <- struct{}{}:
			defer func() { <-s.lines }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	served := time.Now()
	if s.cfg.Service > 0 {
		if err := pause(ctx, s.cfg.Service); err != nil {
			return err
		}
	}
	p.finish.record(n, s.now()-at, 1)
	p.tasks.Add(1)
	s.done.Add(1)
	s.served.Add(int64(time.Since(served)))
	s.busy.Add(int64(time.Since(began)))
	return nil
}

// watch samples until the worker has ended.
func (s *station) watch(ended <-chan struct{}) (samples []sample) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			samples = append(samples, sample{
				At: s.now(), Busy: time.Duration(s.busy.Load()), Served: time.Duration(s.served.Load()), Done: s.done.Load(),
			})
		case <-ended:
			return samples
		}
	}
}

// report writes what the worker saw. The file appears whole or not at all.
func (s *station) report(samples []sample) error {
	r := stationReport{ID: s.cfg.ID, Samples: samples, Phases: make([]stationPhase, phases)}
	for i := range s.phases {
		if n := s.phases[i].tasks.Load(); n > 0 {
			r.Phases[i] = stationPhase{Tasks: n, Start: s.phases[i].start.all().Export(), Finish: s.phases[i].finish.all().Export()}
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	part := s.cfg.Report + ".part"
	if err := os.WriteFile(part, b, 0o600); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.Rename(part, s.cfg.Report); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// readReport reads what a worker process wrote at its end.
func readReport(path string) (*stationReport, error) {
	b, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	r := &stationReport{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	return r, nil
}

// between returns what a worker did between two moments, by the samples nearest to
// them; nothing where it has none.
func (r *stationReport) between(from, to time.Duration) (did sample) {
	var first, last *sample
	for i := range r.Samples {
		s := &r.Samples[i]
		if s.At >= from && first == nil {
			first = s
		}
		if s.At <= to {
			last = s
		}
	}
	if first == nil || last == nil || last.At <= first.At {
		return sample{}
	}
	return sample{At: last.At - first.At, Busy: last.Busy - first.Busy, Served: last.Served - first.Served, Done: last.Done - first.Done}
}
