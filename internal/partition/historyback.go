package partition

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/fenfa/fenfa/internal/store"
)

// backward goes from the newest change of a record, or of all of a key, to the oldest.
// A record's version is the number of the row that wrote it, and a row says which
// version was before: so it hops from row to row. What came before a delete is found
// by the index of deletes. Where that does not reach, because an earlier version wrote
// the rows or they are damaged, it walks along the op log.
type backward struct {
	h       *historian
	heads   []uint64 // rows to visit, in order: the newest last
	below   uint64   // deletes with a smaller number were not met yet
	gone    []uint64 // some of them, the newest first
	ended   bool     // there are no more of them than in gone
	tired   bool     // enough was looked at for one page
	since   uint64   // up to here deletes may be missing in the index
	last    uint64   // the row that was visited last; 0: none
	walking bool     // from now on rows below walk are looked at one by one
	walk    uint64
}

// maxHeads is how many records a key may have, for their changes to be found by hops.
const maxHeads = 64

// Sizes of what is read at a time.
const (
	gonePage   = 100
	walkPage   = 256
	nearby     = 256 // rows that are no further apart are read together
	windowSize = 512
)

// begin goes to the newest change.
func (h *historian) begin(ctx context.Context) (*backward, error) {
	b := &backward{h: h, below: math.MaxUint64}
	rows, err := h.store.Get(ctx, h.part, []store.Row{store.Since(store.IndexGone, 0)})
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	since, indexed := store.SinceOf(rows[0])
	if b.since = since; !indexed {
		b.since = math.MaxUint64
	}
	from, to := &store.Record{Key: h.q.Key, Name: h.q.Name}, &store.Record{Key: h.q.Key + "\x00"}
	if h.q.Name != "" {
		to = &store.Record{Key: h.q.Key, Name: h.q.Name + "\x00"}
	}
	records, err := h.store.Load(ctx, store.Scan{Part: h.part, Table: store.TableRecord, From: from, To: to, Limit: maxHeads + 1, Bytes: pageBytes})
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	size := 0
	for _, row := range records {
		if r, ok := row.(*store.Record); ok {
			b.push(r.Version)
			size += len(r.Value)
		}
	}
	if h.q.Name == "" && (!indexed || len(records) > maxHeads || size >= pageBytes) {
		b.walkBelow(math.MaxUint64) // There may be more than was read.
	}
	return b, nil
}

func (b *backward) push(seq uint64) {
	at, known := slices.BinarySearch(b.heads, seq)
	if seq != 0 && !known {
		b.heads = slices.Insert(b.heads, at, seq)
	}
}

func (b *backward) walkBelow(seq uint64) { b.walking, b.walk = true, seq }

// next returns the next older change; nil: there is none, or the rest is found by
// walking.
func (b *backward) next(ctx context.Context) (*store.OpLog, error) {
	for !b.walking {
		if err := b.loadGone(ctx); err != nil || b.tired {
			return nil, err
		}
		seq := uint64(0)
		if n := len(b.heads); n > 0 {
			seq = b.heads[n-1]
		}
		deleted := len(b.gone) > 0 && b.gone[0] > seq
		if deleted {
			seq = b.gone[0]
		}
		switch {
		case seq == 0 && b.since == 0:
			return nil, nil //nolint:nilnil // No row is an answer.
		case seq == 0:
			b.walkBelow(b.unindexed())
			return nil, nil //nolint:nilnil // No row is an answer.
		case b.h.q.Name == "" && seq <= b.since:
			b.walkBelow(b.since + 1) // There may be rows of records that nothing points to.
			return nil, nil          //nolint:nilnil // No row is an answer.
		case deleted:
			b.below, b.gone = seq, b.gone[1:]
		default:
			b.heads = b.heads[:len(b.heads)-1]
		}
		if b.last != 0 && seq >= b.last {
			continue // It was deleted while this began.
		}
		return b.visit(ctx, seq)
	}
	return nil, nil //nolint:nilnil // No row is an answer.
}

// unindexed is where walking begins when nothing is left to hop to.
func (b *backward) unindexed() uint64 {
	end := b.since
	if end != math.MaxUint64 {
		end++
	}
	if b.last != 0 {
		end = min(end, b.last)
	}
	return end
}

// visit reads a row and notes where to hop from there.
func (b *backward) visit(ctx context.Context, seq uint64) (*store.OpLog, error) {
	r, err := b.h.row(ctx, seq)
	if err != nil {
		return nil, err
	}
	if r == nil || !b.h.wants(r) || r.Before >= seq {
		b.walkBelow(seq + 1)
		return nil, nil //nolint:nilnil // No row is an answer.
	}
	b.last = seq
	b.push(r.Before)
	if len(b.heads) > maxHeads {
		b.walkBelow(seq)
	}
	return r, nil
}

// loadGone reads deletes of the key that were not met yet.
func (b *backward) loadGone(ctx context.Context) error {
	for len(b.gone) == 0 && !b.ended {
		if b.tired = b.h.looked >= historyScan; b.tired {
			return nil
		}
		from, to := store.GoneOf(b.h.q.Key, b.below)
		rows, err := b.h.store.Load(ctx, store.Scan{Part: b.h.part, Table: store.TableRecord, From: from, To: to, Limit: gonePage})
		if err != nil {
			return fmt.Errorf("read index: %w", err)
		}
		b.h.looked += len(rows)
		for _, row := range rows {
			r, ok := row.(*store.Record)
			if !ok {
				continue
			}
			switch {
			case b.h.q.Name == "" || string(r.Value) == b.h.q.Name:
				b.gone = append(b.gone, r.Version)
			case len(b.gone) == 0:
				b.below = r.Version // It is passed.
			}
		}
		b.ended = len(rows) == 0
	}
	return nil
}

// window is a stretch of the op log that was read.
type window struct {
	last uint64 // the row that was asked for last
	rows []*store.OpLog
}

// row returns one of the op log, or nil. Where rows close to each other are asked for,
// it reads those before too.
func (h *historian) row(ctx context.Context, seq uint64) (*store.OpLog, error) {
	w := &h.window
	compare := func(r *store.OpLog, seq uint64) int { return cmp.Compare(r.Seq, seq) }
	near := w.last > seq && w.last-seq <= nearby
	w.last = seq
	if i, ok := slices.BinarySearchFunc(w.rows, seq, compare); ok {
		return w.rows[i], nil
	}
	if near {
		rows, err := h.load(ctx, max(seq, windowSize)-windowSize+1, seq+1)
		if err != nil {
			return nil, err
		}
		if n := len(rows); n > 0 && rows[n-1].Seq == seq { // else it was too large
			w.rows = rows
			return rows[n-1], nil
		}
	}
	rows, err := h.store.Get(ctx, h.part, []store.Row{&store.OpLog{Seq: seq}})
	if err != nil {
		return nil, fmt.Errorf("read op log: %w", err)
	}
	h.looked++
	r, _ := rows[0].(*store.OpLog)
	return r, nil
}

// newest answers with the newest changes first.
func (h *historian) newest(ctx context.Context) error {
	b, err := h.begin(ctx)
	if err != nil {
		return err
	}
	if h.q.Page != "" {
		if err := b.parse(h.q.Page); err != nil {
			return err
		}
	}
	for h.looked < historyScan && !b.walking && !b.tired {
		r, err := b.next(ctx)
		switch {
		case err != nil:
			return err
		case r == nil && !b.walking && !b.tired, r != nil && h.early(r):
			return nil
		case r == nil || h.late(r):
		case h.add(r):
			h.page.Page = b.String()
			return nil
		}
	}
	if b.walking {
		return b.walkDown(ctx)
	}
	h.page.Page = b.String()
	return nil
}

// walkDown looks at all rows of the op log, page by page from the newest on.
func (b *backward) walkDown(ctx context.Context) error {
	h := b.h
	if !h.q.Until.IsZero() || b.walk == math.MaxUint64 {
		end, err := h.first(ctx, h.late)
		if err != nil {
			return err
		}
		b.walk = min(b.walk, end)
	}
	for h.looked < historyScan && b.walk > 1 {
		from := max(b.walk, walkPage+1) - walkPage
		var found []*store.OpLog
		early := false
		for next := from; next < b.walk; {
			rows, err := h.load(ctx, next, b.walk)
			if err != nil {
				return err
			}
			if len(rows) == 0 {
				break
			}
			for _, r := range rows {
				next = r.Seq + 1
				if early = early || h.early(r); h.wants(r) && !h.early(r) {
					found = append(found, r)
				}
			}
		}
		for _, r := range slices.Backward(found) {
			if b.walk = r.Seq; h.add(r) {
				h.page.Page = b.String()
				return nil
			}
		}
		if b.walk = from; early {
			return nil
		}
	}
	if b.walk > 1 {
		h.page.Page = b.String()
	}
	return nil
}

// String is where this is, as a token of a page.
func (b *backward) String() string {
	if b.walking {
		return "w" + strconv.FormatUint(b.walk, 10)
	}
	parts := []string{"h" + strconv.FormatUint(b.below, 10), strconv.FormatUint(b.last, 10)}
	for _, seq := range b.heads {
		parts = append(parts, strconv.FormatUint(seq, 10))
	}
	return strings.Join(parts, ".")
}

// parse goes to the place that a token tells. What it says is looked at like the index:
// rows of other keys are found out.
func (b *backward) parse(token string) error {
	var numbers []uint64
	for field := range strings.SplitSeq(token[1:], ".") {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil || len(numbers) > maxHeads+2 {
			return badPage(token)
		}
		numbers = append(numbers, n)
	}
	b.heads = nil
	switch kind := token[0]; {
	case kind == 'w' && len(numbers) == 1:
		b.walkBelow(numbers[0])
	case kind == 'h' && len(numbers) > 1 && numbers[0] > 0:
		b.walking, b.below, b.last = false, numbers[0], numbers[1]
		for _, seq := range numbers[2:] {
			b.push(seq)
		}
	default:
		return badPage(token)
	}
	return nil
}
