package fenfa

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// WatchOptions says what a Watch is about and where it begins.
type WatchOptions struct {
	Keys []string // these keys only, at most 10,000; instead of a prefix
	Name string   // only records of this name; empty: of every name

	// At most one of From, Initial and Oldest says where the watch begins; none: with
	// what changes from now on.
	From    Position // where another watch of the same prefix or keys has stopped
	Initial bool     // with the records as they are
	Oldest  bool     // with the oldest change that the op logs have

	// Progress is how often an event tells how far the watch is while nothing else
	// happens; default 1 s, at least 100 ms.
	Progress time.Duration
}

// WatchKind says what a WatchEvent tells.
type WatchKind uint8

// The kinds.
const (
	WatchChange       WatchKind = iota + 1 // a record was changed: Change
	WatchRecord                            // a record as it is: Record
	WatchLive                              // everything that was there when it connected has been told
	WatchProgress                          // nothing happened, and the position may have moved
	WatchLag                               // the reader is slow: Behind and Lag say how far
	WatchDisconnected                      // the connection is lost, and made again: Err says why
)

// String returns the kind in lower case.
func (k WatchKind) String() string {
	names := [...]string{"?", "change", "record", "live", "progress", "lag", "disconnected"}
	if int(k) < len(names) {
		return names[k]
	}
	return names[0]
}

// WatchEvent is what a watch tells next.
type WatchEvent struct {
	Kind      WatchKind
	Partition int
	Change    Change
	Record    Record
	// Behind is how many entries of the op logs are durable and were not looked at
	// yet, and Lag how old what is told now is: in events of progress and lag.
	Behind uint64
	Lag    time.Duration
	Err    error // of a lost connection
}

// TrimmedError says that the op log does not reach back to the position from which
// a watch was to begin or go on.
type TrimmedError struct {
	Partition int
	Oldest    uint64 // the oldest number that a position can have there
	err       error
}

// Error says what to do.
func (e *TrimmedError) Error() string { return e.err.Error() }

// Unwrap returns the node's Error.
func (e *TrimmedError) Unwrap() error { return e.err }

// Watcher is a watch that reconnects by itself and goes on where it was: every
// durable change is told once, in the order of its partition. What is not read
// waits at the node, in the op log.
type Watcher struct {
	client *Client
	open   *fenfav1.WatchRequest

	mu  sync.Mutex
	at  Position // after the last event that was handed out
	err error    // of the last connection; nil while there is one

	// Of the cache, which asks how far the node is.
	pings chan uint64
	pong  func(uint64)
}

// Watch makes a watch of the records whose key begins with prefix. It connects when
// Events is read.
func (c *Client) Watch(prefix string, opts WatchOptions) *Watcher {
	w := &Watcher{client: c, at: opts.From.clone(), open: &fenfav1.WatchRequest{
		KeyPrefix: prefix, Keys: opts.Keys, Name: opts.Name, Initial: opts.Initial, Oldest: opts.Oldest, From: opts.From.toWire(),
	}}
	if opts.Progress != 0 {
		w.open.Progress = durationpb.New(opts.Progress)
	}
	return w
}

// Position is where another watch of the same prefix or keys goes on after the last
// event that Events has handed out. It has no partitions before the first event.
func (w *Watcher) Position() Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at.clone()
}

// Err returns why the watch is not connected at the moment, or nil.
func (w *Watcher) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Events is the stream. It ends when ctx ends, without an error, or with an error
// that a repeat would only meet again: the request is wrong, or the op log does
// not reach back to its position (a TrimmedError). Everything else it gets over:
// it connects again and goes on.
func (w *Watcher) Events(ctx context.Context) iter.Seq2[WatchEvent, error] {
	return func(yield func(WatchEvent, error) bool) {
		for failures := 0; ctx.Err() == nil; {
			more, useful, err := w.connection(ctx, yield)
			if !more || ctx.Err() != nil {
				return
			}
			if useful {
				failures = 0
			}
			failures++
			if finalWatch(err) {
				yield(WatchEvent{}, err)
				return
			}
			w.client.cfg.logger.WarnContext(ctx, "watch disconnected", "addr", w.client.addr, "error", err, "failures", failures)
			w.disconnected(err)
			if failures == 1 && !yield(WatchEvent{Kind: WatchDisconnected, Err: err}, nil) {
				return
			}
			pause(ctx, backoffDelay(failures))
		}
	}
}

// finalWatch reports whether a repeat would meet the same error.
func finalWatch(err error) bool {
	switch CodeOf(err) {
	case CodeUnavailable, CodeResourceExhausted, CodeUnknown:
		return false
	default:
		return true
	}
}

func (w *Watcher) disconnected(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// connection reads one stream until it ends. more is false once the reader has
// enough; useful says that the node answered.
func (w *Watcher) connection(ctx context.Context, yield func(WatchEvent, error) bool) (more, useful bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.client.await(ctx, w.client.conn)
	stream, err := w.client.watches.Watch(ctx)
	if err != nil {
		return true, false, w.client.errorOf(ctx, err)
	}
	// An error of Send is io.EOF: the reason comes from Recv.
	_ = stream.Send(w.request())
	pinging := w.ping(ctx, stream.Send, stream.CloseSend)
	defer func() { cancel(); <-pinging }()
	var trimmed *fenfav1.WatchTrimmed
	for {
		m, err := stream.Recv()
		if err != nil {
			failed := error(w.client.errorOf(ctx, err))
			if trimmed != nil {
				failed = &TrimmedError{Partition: int(trimmed.GetPartition()), Oldest: trimmed.GetOldest(), err: failed}
			}
			return true, useful, failed
		}
		if !useful {
			useful = true
			w.disconnected(nil)
		}
		if trimmed = m.GetTrimmed(); trimmed == nil && !w.deliver(m, yield) {
			return false, true, nil
		}
	}
}

// request opens the watch, or goes on with it.
func (w *Watcher) request() *fenfav1.WatchRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.at.parts) == 0 {
		return w.open
	}
	return &fenfav1.WatchRequest{
		KeyPrefix: w.open.GetKeyPrefix(), Keys: w.open.GetKeys(), Name: w.open.GetName(), Progress: w.open.GetProgress(),
		From: w.at.toWire(),
	}
}

// ping passes pings on, or ends this half of the stream where there will be none.
func (w *Watcher) ping(ctx context.Context, send func(*fenfav1.WatchRequest) error, end func() error) (done chan struct{}) {
	done = make(chan struct{})
	if w.pings == nil {
		_ = end() // A stream that has failed says so to its reader.
		close(done)
		return done
	}
	go func() {
		defer close(done)
		for {
			select {
			case id := <-w.pings:
				if send(&fenfav1.WatchRequest{Ping: id}) != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return done
}

// deliver hands out what a message tells, and reports whether the reader wants
// more.
func (w *Watcher) deliver(m *fenfav1.WatchResponse, yield func(WatchEvent, error) bool) bool {
	switch m := m.GetKind().(type) {
	case *fenfav1.WatchResponse_Changes:
		part := m.Changes.GetPosition().GetPartition()
		for _, c := range m.Changes.GetChanges() {
			w.moved(&fenfav1.WatchPosition{Partition: part, Seq: c.GetSeq()})
			if !yield(WatchEvent{Kind: WatchChange, Partition: int(part), Change: changeOf(c)}, nil) {
				return false
			}
		}
		w.moved(m.Changes.GetPosition())
	case *fenfav1.WatchResponse_Records:
		return w.records(m.Records, yield)
	case *fenfav1.WatchResponse_Lag:
		return yield(WatchEvent{Kind: WatchLag, Behind: m.Lag.GetEntries(), Lag: m.Lag.GetLag().AsDuration()}, nil)
	case *fenfav1.WatchResponse_Progress:
		return w.progress(m.Progress, yield)
	}
	return true
}

func (w *Watcher) records(m *fenfav1.WatchRecords, yield func(WatchEvent, error) bool) bool {
	at := m.GetPosition()
	for _, r := range m.GetRecords() {
		w.moved(&fenfav1.WatchPosition{
			Partition: at.GetPartition(), Seq: at.GetSeq(), Reading: true, AfterKey: r.GetKey(), AfterName: r.GetName(),
		})
		if !yield(WatchEvent{Kind: WatchRecord, Partition: int(at.GetPartition()), Record: recordOf(r)}, nil) {
			return false
		}
	}
	w.moved(at)
	return true
}

func (w *Watcher) progress(m *fenfav1.WatchProgress, yield func(WatchEvent, error) bool) bool {
	w.moved(m.GetPositions()...)
	if w.pong != nil && len(m.GetPings()) > 0 {
		w.pong(slices.Max(m.GetPings()))
	}
	ev := WatchEvent{Kind: WatchProgress, Behind: m.GetLagEntries(), Lag: m.GetLag().AsDuration()}
	if m.GetLive() {
		live := ev
		live.Kind = WatchLive
		if !yield(live, nil) {
			return false
		}
	}
	return yield(ev, nil)
}

// moved notes how far the watch is. The first message of a stream tells of every
// partition.
func (w *Watcher) moved(positions ...*fenfav1.WatchPosition) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at.parts == nil {
		w.at.parts = make(map[int]place, len(positions))
	}
	for _, p := range positions {
		w.at.parts[int(p.GetPartition())] = placeOf(p)
	}
}
