package partition

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// HistoryQuery asks for changes of a key's records.
type HistoryQuery struct {
	Key  string
	Name string // of the record; empty: all of the key
	// Since and Until bound the time of the changes: from Since, before Until. The zero
	// time is no bound.
	Since, Until time.Time
	Limit        int    // most changes; at least 1
	Newest       bool   // the newest first
	After        uint64 // oldest first: only changes with a greater number
	Page         string // newest first: HistoryPage.Page of the page before
}

// HistoryPage is an answer. A page may be short, or empty, and not be the last.
type HistoryPage struct {
	Changes []Change
	After   uint64 // oldest first: HistoryQuery.After of the next page; 0: that was all
	Page    string // newest first: HistoryQuery.Page of the next page; empty: that was all
}

// History lists changes of a key's records, or of one of them, from the op log.
func (e *Engine) History(ctx context.Context, q HistoryQuery) (HistoryPage, error) {
	switch {
	case q.Key == "" || len(q.Key) > task.MaxKey:
		return HistoryPage{}, task.Errorf(task.CodeInvalidArgument, "a key has 1 to %d bytes, this one has %d", task.MaxKey, len(q.Key)).WithField("key")
	case q.Limit < 1:
		return HistoryPage{}, badLimit(q.Limit)
	case !q.Until.IsZero() && q.Until.Before(q.Since):
		return HistoryPage{}, task.Errorf(task.CodeInvalidArgument, "the history is to end, at %s, before it begins", q.Until.UTC().Format(time.RFC3339Nano)).WithField("until")
	case q.Newest && q.After != 0:
		return HistoryPage{}, task.Errorf(task.CodeInvalidArgument, "the newest changes come first: page_token is for the next page, not after_seq").WithField("after_seq")
	case !q.Newest && q.Page != "":
		return HistoryPage{}, task.Errorf(task.CodeInvalidArgument, "the oldest changes come first: after_seq is for the next page, not page_token").WithField("page_token")
	}
	h := &historian{store: e.cfg.Store, part: task.PartitionOf(q.Key, e.cfg.Partitions), q: q}
	var err error
	if q.Newest {
		err = h.newest(ctx)
	} else {
		err = h.oldest(ctx)
	}
	if err != nil {
		return HistoryPage{}, err
	}
	return h.page, nil
}

// historian answers one query. It reads what is durable.
type historian struct {
	store  store.Store
	part   int
	q      HistoryQuery
	page   HistoryPage
	size   int
	looked int // rows
	window window
}

// wants reports whether a row is asked for, but for its time.
func (h *historian) wants(r *store.OpLog) bool {
	return r.Key == h.q.Key && (h.q.Name == "" || r.Name == h.q.Name)
}

// early and late report whether a row is out of the range of time.
func (h *historian) early(r *store.OpLog) bool { return r.HLC.Time().Before(h.q.Since) }

func (h *historian) late(r *store.OpLog) bool {
	return !h.q.Until.IsZero() && !r.HLC.Time().Before(h.q.Until)
}

// add takes a row into the page and reports whether that is full.
func (h *historian) add(r *store.OpLog) (full bool) {
	h.page.Changes = append(h.page.Changes, exportChange(r))
	h.size += len(r.Value)
	return len(h.page.Changes) >= h.q.Limit || h.size >= pageBytes
}

// fewChanges is up to how many changes of a record are found from its end, where its
// begin is asked for: beyond, walking along the op log takes fewer reads.
const fewChanges = 256

// oldest answers with the oldest changes first. Those of a record with few are found
// one by one; else the op log is walked along from where the time begins.
func (h *historian) oldest(ctx context.Context) error {
	after := h.q.After
	if !h.q.Since.IsZero() {
		first, err := h.first(ctx, func(r *store.OpLog) bool { return !h.early(r) })
		if err != nil {
			return err
		}
		after = max(after, first-1)
	}
	rows, all, err := h.recent(ctx, after)
	if err != nil {
		return err
	}
	if !all {
		return h.walkUp(ctx, after)
	}
	for i, r := range slices.Backward(rows) {
		if h.late(r) {
			return nil
		}
		if h.add(r) && i > 0 {
			h.page.After = r.Seq
			return nil
		}
	}
	return nil
}

// recent returns all changes with a greater number, the newest first, if they are few.
func (h *historian) recent(ctx context.Context, after uint64) (rows []*store.OpLog, all bool, err error) {
	if h.q.Name == "" {
		return nil, false, nil
	}
	b, err := h.begin(ctx)
	if err != nil {
		return nil, false, err
	}
	for len(rows) < fewChanges && !b.walking && !b.tired {
		r, err := b.next(ctx)
		switch {
		case err != nil:
			return nil, false, err
		case r == nil:
			return rows, !b.walking && !b.tired, nil
		case r.Seq <= after:
			return rows, true, nil
		}
		rows = append(rows, r)
	}
	return nil, false, nil
}

// walkUp goes along the op log.
func (h *historian) walkUp(ctx context.Context, after uint64) error {
	for h.looked < historyScan {
		rows, err := h.load(ctx, after+1, 0)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return nil
		}
		for _, r := range rows {
			if h.late(r) {
				return nil
			}
			after = r.Seq
			if h.wants(r) && h.add(r) {
				h.page.After = after
				return nil
			}
		}
	}
	h.page.After = after
	return nil
}

// load reads rows of the op log from a number on, before another one if that is not 0.
func (h *historian) load(ctx context.Context, from, to uint64) ([]*store.OpLog, error) {
	scan := store.Scan{Part: h.part, Table: store.TableOpLog, From: &store.OpLog{Seq: from}, Limit: scanPage, Bytes: pageBytes}
	if to != 0 {
		scan.To = &store.OpLog{Seq: to}
	}
	loaded, err := h.store.Load(ctx, scan)
	if err != nil {
		return nil, fmt.Errorf("read op log: %w", err)
	}
	h.looked += len(loaded)
	rows := make([]*store.OpLog, 0, len(loaded))
	for _, row := range loaded {
		if r, ok := row.(*store.OpLog); ok {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// first returns the number of the first row that is so, or one behind the last row. All
// rows behind it must be so too: few are looked at.
func (h *historian) first(ctx context.Context, is func(*store.OpLog) bool) (uint64, error) {
	low, high := uint64(1), uint64(1)
	for reaching := true; low < high || reaching; {
		seq := high
		if !reaching {
			seq = low + (high-low)/2
		}
		rows, err := h.store.Load(ctx, store.Scan{Part: h.part, Table: store.TableOpLog, From: &store.OpLog{Seq: seq}, Limit: 1})
		if err != nil {
			return 0, fmt.Errorf("read op log: %w", err)
		}
		var r *store.OpLog
		if len(rows) > 0 {
			r, _ = rows[0].(*store.OpLog)
		}
		switch {
		case r == nil || is(r):
			high, reaching = seq, false
		case reaching:
			low, high = r.Seq+1, 2*r.Seq+1
		default:
			low = r.Seq + 1
		}
	}
	return low, nil
}
