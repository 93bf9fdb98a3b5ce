package partition

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Move is a move of a partition to another shard: one that is under way, or the
// latest that has ended since the node started.
type Move struct {
	store.Move
	Step     store.MoveStep // what was done last
	Compared int64          // rows of the source that were read so far
	Written  int64          // rows that were written to the target, or deleted there
	Paused   time.Duration  // how long nobody owned the partition; 0: that did not happen yet
	Ended    time.Time      // zero: it is under way
	Error    string         // why it was undone; empty: it was not
}

// Shards is where the partitions are.
type Shards struct {
	Addresses  []string // of each shard, by number
	Placements []store.Placement
	Moves      []Move // by partition
}

// moves carries moves out.
type moves struct {
	e     *Engine
	mover store.Mover // nil: the store has no shards

	mu      sync.Mutex
	run     context.Context //nolint:containedctx // What moves live in, from the start of the engine to its end.
	byPart  map[int]*Move
	ended   *prometheus.CounterVec
	rows    prometheus.Counter
	pauses  prometheus.Histogram
	current prometheus.Gauge
}

// The outcomes of moves in metrics.
const (
	moveDone   = "done"
	moveUndone = "undone"
)

func newMoves(e *Engine) *moves {
	const space, sub = "fenfa", "move"
	m := &moves{
		e: e, byPart: map[int]*Move{},
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: space, Subsystem: sub, Name: "ended_total", Help: "Moves of partitions to other shards that have ended, by outcome: done or undone."}, []string{"outcome"}),
		rows:  prometheus.NewCounter(prometheus.CounterOpts{Namespace: space, Subsystem: sub, Name: "rows_total", Help: "Rows that moves of partitions wrote to their targets, or deleted there."}),
		pauses: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: space, Subsystem: sub, Name: "pause_seconds", Help: "How long nobody owned a partition while its last changes were moved.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 12),
		}),
		current: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: space, Subsystem: sub, Name: "running", Help: "Moves of partitions that are under way."}),
	}
	for _, outcome := range []string{moveDone, moveUndone} {
		m.ended.WithLabelValues(outcome) // shows as 0
	}
	m.mover, _ = e.cfg.Store.(store.Mover)
	e.cfg.Registerer.MustRegister(m.ended, m.rows, m.pauses, m.current)
	return m
}

// resume carries on what an earlier process began. Moves live until run ends.
func (m *moves) resume(ctx, run context.Context) error {
	m.mu.Lock()
	m.run = run
	m.mu.Unlock()
	if m.mover == nil {
		return nil
	}
	list, err := m.mover.Moves(ctx)
	if err != nil {
		return err
	}
	for _, mv := range list {
		if mv.Part < len(m.e.owners) {
			m.start(run, mv)
		}
	}
	return nil
}

// start carries out a move that was begun.
func (m *moves) start(run context.Context, mv store.Move) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run == nil {
		return // The engine has ended; the next process carries it on.
	}
	m.byPart[mv.Part] = &Move{Move: mv}
	m.current.Inc()
	m.e.group.Go(func() {
		defer m.current.Dec()
		m.end(run, mv.Part, m.carry(run, mv.Part))
	})
}

// carry carries a move out until it has ended: done, or undone with an error.
func (m *moves) carry(run context.Context, part int) error {
	for {
		err := m.mover.Move(run, part, m.hooks(part))
		if err == nil || errors.Is(err, store.ErrFenced) {
			return err
		}
		left, listErr := m.mover.Moves(run)
		if listErr == nil && !slices.ContainsFunc(left, func(mv store.Move) bool { return mv.Part == part }) {
			return err
		}
		m.e.cfg.Logger.Warn("a move of a partition stands still", "partition", part, "error", err)
		if !m.e.wait(run, reclaimMax) {
			return err
		}
	}
}

// close keeps moves from being started. Those that run end with their context.
func (m *moves) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.run = nil
}

// change changes what is told of a move.
func (m *moves) change(part int, f func(*Move)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m.byPart[part])
}

func (m *moves) hooks(part int) store.MoveHooks {
	return store.MoveHooks{
		Freeze: func(ctx context.Context) (func(), error) {
			begin := m.e.cfg.Clock.Now()
			return m.e.owners[part].holdBack(ctx, func() {
				paused := m.e.cfg.Clock.Now().Sub(begin)
				m.pauses.Observe(paused.Seconds())
				m.change(part, func(mv *Move) { mv.Paused = paused })
			})
		},
		Step: func(step store.MoveStep) {
			m.change(part, func(mv *Move) { mv.Step = step })
			if m.e.cfg.Moved != nil {
				m.e.cfg.Moved(step)
			}
		},
		Rows: func(compared, written int) {
			m.rows.Add(float64(written))
			m.change(part, func(mv *Move) { mv.Compared, mv.Written = mv.Compared+int64(compared), mv.Written+int64(written) })
		},
	}
}

func (m *moves) end(run context.Context, part int, err error) {
	if err != nil && run.Err() != nil {
		return // The next process carries it on.
	}
	outcome := moveDone
	m.change(part, func(mv *Move) {
		mv.Ended = m.e.cfg.Clock.Now()
		if err != nil {
			outcome, mv.Error = moveUndone, err.Error()
		}
	})
	m.ended.WithLabelValues(outcome).Inc()
	if err != nil {
		m.e.cfg.Logger.Error("a move of a partition was undone", "partition", part, "error", err)
	}
}

// MovePartition begins to move a partition to another shard and returns at once;
// Shards tells how it goes on.
func (e *Engine) MovePartition(ctx context.Context, part, to int) (Move, error) {
	m := e.moves
	if part < 0 || part >= len(e.owners) {
		return Move{}, task.Errorf(task.CodeInvalidArgument, "there are partitions 0 to %d only, not %d", len(e.owners)-1, part).WithField("partition")
	}
	if m.mover == nil {
		return Move{}, errNoShards()
	}
	m.mu.Lock()
	run := m.run
	m.mu.Unlock()
	if run == nil || e.draining.Load() {
		return Move{}, task.Errorf(task.CodeUnavailable, "the node is starting or draining: try again").WithRetryAfter(reclaimMax)
	}
	mv, err := m.mover.BeginMove(ctx, part, to)
	switch {
	case errors.Is(err, store.ErrNoShard):
		return Move{}, task.Errorf(task.CodeInvalidArgument, "there are shards 0 to %d only, not %d: store.url names them", len(m.mover.Shards())-1, to).WithField("to")
	case errors.Is(err, store.ErrPlaced):
		return Move{}, task.Errorf(task.CodeFailedPrecondition, "partition %d is on shard %d already", part, to).WithField("to")
	case errors.Is(err, store.ErrMoving):
		return Move{}, task.Errorf(task.CodeFailedPrecondition, "partition %d is being moved: wait until that has ended", part).WithField("partition")
	case err != nil:
		return Move{}, task.Errorf(task.CodeUnavailable, "the move could not begin: %w", err)
	}
	m.start(run, mv) //nolint:contextcheck // It lives longer than the call.
	return Move{Move: mv}, nil
}

func errNoShards() error {
	return task.Errorf(task.CodeFailedPrecondition, "the embedded store has no shards, so nothing can be moved: store.url names databases")
}

// Shards returns where the partitions are, and the moves.
func (e *Engine) Shards(ctx context.Context) (Shards, error) {
	m := e.moves
	if m.mover == nil {
		return Shards{}, errNoShards()
	}
	// The moves come first: one that ends meanwhile shows as under way, and its
	// partition in its new place, and never the other way round.
	m.mu.Lock()
	list := make([]Move, 0, len(m.byPart))
	for _, mv := range maps.All(m.byPart) {
		list = append(list, *mv)
	}
	m.mu.Unlock()
	slices.SortFunc(list, func(a, b Move) int { return cmp.Compare(a.Part, b.Part) })
	placements, err := m.mover.Placements(ctx)
	if err != nil {
		return Shards{}, task.Errorf(task.CodeUnavailable, "the shards did not answer: %w", err)
	}
	return Shards{Addresses: m.mover.Shards(), Placements: placements, Moves: list}, nil
}
