package watch

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Defaults of a Config.
const (
	DefaultWatches   = 1024
	DefaultRingRows  = 4096
	DefaultRingBytes = 4 << 20
	DefaultLogReads  = 4
)

// Config is what a Hub needs.
type Config struct {
	Partitions int
	Store      store.Store
	Clock      clock.Clock           // default: the machine's
	Registerer prometheus.Registerer // default: none
	Watches    int                   // most at a time; default DefaultWatches
	RingRows   int                   // most rows of one partition in memory; default DefaultRingRows
	RingBytes  int                   // most bytes of their values; default DefaultRingBytes
	LogReads   int                   // most pages of op logs that are read at a time; default DefaultLogReads
}

// Hub opens watches over the partitions of a node.
type Hub struct {
	cfg     Config
	tails   []*Tail
	reads   chan struct{} // a value for each page that may be read
	metrics *metrics
	closed  chan struct{}

	mu      sync.Mutex
	watches map[*Watch]struct{}
	ended   bool
}

// NewHub returns a hub whose partitions nobody owns yet.
func NewHub(cfg Config) (*Hub, error) {
	if cfg.Partitions < 1 || cfg.Store == nil {
		return nil, errors.New("watch hub: partitions and a store are needed")
	}
	for _, n := range []struct {
		of  *int
		def int
	}{{&cfg.Watches, DefaultWatches}, {&cfg.RingRows, DefaultRingRows}, {&cfg.RingBytes, DefaultRingBytes}, {&cfg.LogReads, DefaultLogReads}} {
		if *n.of == 0 {
			*n.of = n.def
		}
		if *n.of < 1 {
			return nil, fmt.Errorf("watch hub: a limit is %d: want at least 1", *n.of)
		}
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	h := &Hub{cfg: cfg, reads: make(chan struct{}, cfg.LogReads), closed: make(chan struct{}), watches: make(map[*Watch]struct{})}
	h.metrics = newMetrics(h)
	if err := h.metrics.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("register metrics of watches: %w", err)
	}
	for range cfg.Partitions {
		h.tails = append(h.tails, newTail(cfg.RingRows, cfg.RingBytes))
	}
	return h, nil
}

// Tail returns the end of a partition's op log, for its owner.
func (h *Hub) Tail(part int) *Tail { return h.tails[part] }

// Close ends all watches: their Next fails.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ended {
		h.ended = true
		close(h.closed)
	}
}

// Open begins a watch. Whoever gets it closes it.
func (h *Hub) Open(ctx context.Context, req *Request) (*Watch, error) {
	want, err := req.filter()
	if err != nil {
		return nil, err
	}
	parts, err := req.parts(&want, len(h.tails))
	if err != nil {
		return nil, err
	}
	from, err := req.begin(parts)
	if err != nil {
		return nil, err
	}
	every, err := req.progress()
	if err != nil {
		return nil, err
	}
	w := &Watch{h: h, want: want, every: every, wake: make(chan struct{}, 1)}
	if err := h.admit(w); err != nil {
		return nil, err
	}
	for _, part := range parts {
		h.tails[part].attach(w)
		w.cursors = append(w.cursors, &cursor{Position: Position{Part: part}, tail: h.tails[part], keys: want.keysOf(part, len(h.tails))})
	}
	if err := w.begin(ctx, req, from); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// admit counts the watch in, or says that there are too many.
func (h *Hub) admit(w *Watch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return errClosed()
	}
	if len(h.watches) >= h.cfg.Watches {
		h.metrics.refused.Inc()
		return task.Errorf(task.CodeResourceExhausted, "the node has %d watches, which is the most: end some, or let several readers share one", len(h.watches)).
			WithRetryAfter(retryAfter)
	}
	h.watches[w] = struct{}{}
	return nil
}

func (h *Hub) release(w *Watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watches, w)
}

// totals returns how many watches there are, and by how many entries the slowest
// of them is behind.
func (h *Hub) totals() (watches int, lag uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watches {
		lag = max(lag, w.behind.Load())
	}
	return len(h.watches), lag
}
