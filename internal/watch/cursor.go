package watch

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Sizes of what is taken at a time.
const (
	pageRows  = 512
	pageBytes = 1 << 20
)

// cursor is a watch's place in one partition.
type cursor struct {
	Position
	tail *Tail
	keys []string       // the watched ones of this partition, sorted, where keys are watched
	at   task.Timestamp // of the last row that was read from the log; 0: none
	goal uint64         // the watch is live once Seq has reached it
}

// changes takes what comes next of the op log, and moves behind it. moved says
// whether there was anything; logged, that it was read from the store.
func (c *cursor) changes(ctx context.Context, h *Hub, want *filter) (rows []*store.OpLog, moved, logged bool, err error) {
	rows, last, ok := c.tail.take(c.Seq, pageRows, want)
	if ok {
		moved = last > c.Seq
		c.Seq, c.at = last, 0
		return rows, moved, false, nil
	}
	rows, err = c.log(ctx, h, want)
	return rows, err == nil, true, err
}

// log reads the next page of the op log from the store, and nothing that the tail
// has not heard of: a position beyond it would be refused.
func (c *cursor) log(ctx context.Context, h *Hub, want *filter) ([]*store.OpLog, error) {
	fence, _ := c.tail.Head()
	page, err := h.load(ctx, store.Scan{
		Part: c.Part, Table: store.TableOpLog, From: &store.OpLog{Seq: c.Seq + 1}, To: &store.OpLog{Seq: fence.Seq + 1},
		Limit: pageRows, Bytes: pageBytes,
	})
	if err != nil {
		return nil, fmt.Errorf("read op log of partition %d: %w", c.Part, err)
	}
	var rows []*store.OpLog
	next := c.Seq + 1
	for _, row := range page {
		r, ok := row.(*store.OpLog)
		if !ok || r.Seq != next {
			break
		}
		if next++; want.match(r.Key, r.Name) {
			rows = append(rows, r)
		}
		c.at = r.HLC
	}
	if next == c.Seq+1 {
		return nil, c.hole(ctx, h)
	}
	c.Seq = next - 1
	return rows, nil
}

// hole says why the row behind the cursor is not in the log.
func (c *cursor) hole(ctx context.Context, h *Hub) error {
	first, err := h.load(ctx, store.Scan{Part: c.Part, Table: store.TableOpLog, Limit: 1})
	if err != nil {
		return fmt.Errorf("read op log of partition %d: %w", c.Part, err)
	}
	if len(first) == 1 {
		if r, ok := first[0].(*store.OpLog); ok && r.Seq > c.Seq+1 {
			return &TrimmedError{Part: c.Part, Wanted: c.Seq + 1, Oldest: r.Seq}
		}
	}
	return missing(c.Part, c.Seq+1)
}

// oldest moves the cursor before the first row of the op log.
func (c *cursor) oldest(ctx context.Context, h *Hub) error {
	first, err := h.load(ctx, store.Scan{Part: c.Part, Table: store.TableOpLog, Limit: 1})
	if err != nil {
		return fmt.Errorf("read op log of partition %d: %w", c.Part, err)
	}
	if len(first) == 1 {
		if r, ok := first[0].(*store.OpLog); ok {
			c.Seq = r.Seq - 1
		}
	}
	return nil
}

// records takes the next records as they are, and moves behind them. Those that
// changed after the cursor's number are left out: their change follows.
func (c *cursor) records(ctx context.Context, h *Hub, want *filter) ([]*store.Record, error) {
	scan, key := c.span(want)
	page, err := h.load(ctx, scan)
	if err != nil {
		return nil, fmt.Errorf("read records of partition %d: %w", c.Part, err)
	}
	var found []*store.Record
	for _, row := range page {
		r, ok := row.(*store.Record)
		if !ok || key == "" && !strings.HasPrefix(r.Key, want.prefix) {
			page = nil
			break
		}
		c.Key, c.Name = r.Key, r.Name
		if r.Version <= c.Seq && want.match(r.Key, r.Name) {
			found = append(found, r)
		}
	}
	switch {
	case len(page) > 0:
	case key != "": // the next one is searched behind it
		c.Key, c.Name = key+"\x00", ""
	default:
		c.Reading, c.Key, c.Name = false, "", ""
		fence, _ := c.tail.Head()
		c.goal = fence.Seq
	}
	return found, nil
}

// span returns which records to read next: those of one key, where keys are
// watched and there is one left, else those of the prefix.
func (c *cursor) span(want *filter) (scan store.Scan, key string) {
	from := &store.Record{Key: want.prefix}
	if c.Key != "" {
		from = &store.Record{Key: c.Key, Name: c.Name + "\x00"}
	}
	scan = store.Scan{Part: c.Part, Table: store.TableRecord, From: from, Limit: pageRows, Bytes: pageBytes}
	if want.keys == nil {
		return scan, ""
	}
	i, _ := slices.BinarySearch(c.keys, c.Key)
	if i == len(c.keys) {
		scan.From, scan.To = from, from // nothing is left
		return scan, ""
	}
	if key = c.keys[i]; key != c.Key {
		scan.From = &store.Record{Key: key}
	}
	scan.To = &store.Record{Key: key + "\x00"}
	return scan, key
}

// load reads a page of the store when it is its turn.
func (h *Hub) load(ctx context.Context, scan store.Scan) ([]store.Row, error) {
	select {
	case h.reads <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.reads }()
	if scan.Table == store.TableOpLog {
		h.metrics.pages.Inc()
	}
	return h.cfg.Store.Load(ctx, scan)
}
