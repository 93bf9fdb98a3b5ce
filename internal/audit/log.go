package audit

import (
	"context"
	"fmt"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// link is where a walk along the op log is.
type link struct {
	seq     uint64
	hlc     task.Timestamp
	chain   [32]byte
	known   bool // chain is that of the row before
	scratch []byte
}

// log walks along the op log and replays it. The first walk judges the rows
// themselves too.
func (a *auditor) log(ctx context.Context, r *replay, first bool) error {
	at := link{known: true}
	for at.seq < a.cfg.Head.Seq {
		rows, corrupt, err := a.load(ctx, store.Scan{
			Table: store.TableOpLog, From: &store.OpLog{Seq: at.seq + 1}, To: &store.OpLog{Seq: a.cfg.Head.Seq + 1},
		})
		if err != nil {
			return err
		}
		if corrupt != nil {
			if err = a.skipCorrupt(ctx, &at, first); err != nil {
				return err
			}
		} else if len(rows) == 0 {
			break
		}
		for _, row := range rows {
			row, ok := row.(*store.OpLog)
			if !ok {
				continue
			}
			if first {
				if err := a.judge(&at, row); err != nil {
					return err
				}
			}
			at.seq, at.hlc, at.chain, at.known = row.Seq, row.HLC, row.Hash, true
			if err := r.apply(row, first); err != nil {
				return err
			}
		}
		if first {
			if err := a.deleted(ctx, rows); err != nil {
				return err
			}
		}
		a.sum.Rows += uint64(len(rows))
		a.sum.Done += uint64(len(rows))
	}
	if !first {
		return nil
	}
	return a.end(&at)
}

// skipCorrupt names the next row, which cannot be read, and moves behind it.
func (a *auditor) skipCorrupt(ctx context.Context, at *link, first bool) error {
	for seq := at.seq + 1; ; seq++ {
		_, err := a.get(ctx, []store.Row{&store.OpLog{Seq: seq}})
		if err == nil {
			if seq < a.cfg.Head.Seq {
				continue // It is missing, for the scan stopped behind it.
			}
			at.seq = seq
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		if first {
			if err := a.gap(at, seq); err != nil {
				return err
			}
			if err := a.found(Difference{Kind: KindCorrupt, Seq: seq, Expected: "a row that can be read", Found: err.Error()}); err != nil {
				return err
			}
			a.gaps.add(seq, seq)
		}
		at.seq, at.known = seq, false
		return nil
	}
}

// judge looks at one row and at how it follows the one before.
func (a *auditor) judge(at *link, row *store.OpLog) error {
	if err := a.gap(at, row.Seq); err != nil {
		return err
	}
	d := Difference{Seq: row.Seq, Key: row.Key, Name: row.Name}
	var hash [32]byte
	if hash, at.scratch = ledger.Chain(at.chain, row, at.scratch); at.known && hash != row.Hash {
		d.Kind, d.Expected, d.Found = KindChain, fmt.Sprintf("hash %x", hash), fmt.Sprintf("hash %x", row.Hash)
		if err := a.found(d); err != nil {
			return err
		}
	}
	switch {
	case row.HLC <= at.hlc:
		d.Kind, d.Expected, d.Found = KindTimestamp, "later than "+stamp(at.hlc), stamp(row.HLC)
	case row.HLC > a.cfg.Head.HLC:
		d.Kind, d.Expected, d.Found = KindTimestamp, "not after the head's "+stamp(a.cfg.Head.HLC), stamp(row.HLC)
	default:
		return a.content(row)
	}
	if err := a.found(d); err != nil {
		return err
	}
	return a.content(row)
}

// content looks at what a row says by itself.
func (a *auditor) content(row *store.OpLog) error {
	d := Difference{Kind: KindRow, Seq: row.Seq, Key: row.Key, Name: row.Name}
	after := row.Seq
	if row.Op == store.OpDelete {
		after = 0
	}
	switch part := task.PartitionOf(row.Key, a.cfg.Partitions); {
	case row.After != after:
		d.Expected, d.Found = fmt.Sprintf("version after %d", after), fmt.Sprint(row.After)
	case row.Before >= row.Seq:
		d.Expected, d.Found = fmt.Sprintf("a version before below %d", row.Seq), fmt.Sprint(row.Before)
	case row.Op.String() == "?":
		d.Expected, d.Found = "a known op", fmt.Sprintf("op %d", row.Op)
	case part != a.cfg.Part:
		d.Kind, d.Expected, d.Found = KindForeign, fmt.Sprintf("a key of partition %d", a.cfg.Part), fmt.Sprintf("one of partition %d", part)
	default:
		return nil
	}
	return a.found(d)
}

// gap names the rows that are missing before the next one.
func (a *auditor) gap(at *link, next uint64) error {
	if next == at.seq+1 {
		return nil
	}
	at.known = false
	a.gaps.add(at.seq+1, next-1)
	missing := fmt.Sprintf("row %d is missing", at.seq+1)
	if next-1 > at.seq+1 {
		missing = fmt.Sprintf("rows %d to %d are missing", at.seq+1, next-1)
	}
	return a.found(Difference{Kind: KindGap, Seq: at.seq + 1, Expected: fmt.Sprintf("row %d", at.seq+1), Found: missing})
}

// end compares the end of the log with the head.
func (a *auditor) end(at *link) error {
	head := a.cfg.Head
	switch {
	case at.seq < head.Seq:
		a.gaps.add(at.seq+1, head.Seq)
		return a.found(Difference{
			Kind: KindHead, Seq: at.seq + 1, Expected: fmt.Sprintf("a log that ends at the head, %d", head.Seq), Found: fmt.Sprintf("its end at %d", at.seq),
		})
	case at.known && at.chain != head.Chain:
		return a.found(Difference{Kind: KindHead, Seq: at.seq, Expected: fmt.Sprintf("the head's hash %x", head.Chain), Found: fmt.Sprintf("%x", at.chain)})
	}
	return nil
}

func stamp(ts task.Timestamp) string {
	return fmt.Sprintf("%s (%d)", ts.Time().Format("2006-01-02T15:04:05.000000Z07:00"), uint64(ts))
}

// gaps are ranges of numbers that the log does not have, in order.
type gaps struct{ ranges [][2]uint64 }

// mostGaps bounds the memory; beyond, consequences of gaps are named too.
const mostGaps = 10_000

func (g *gaps) add(first, last uint64) {
	if n := len(g.ranges); n > 0 && g.ranges[n-1][1]+1 == first {
		g.ranges[n-1][1] = last
	} else if n < mostGaps {
		g.ranges = append(g.ranges, [2]uint64{first, last})
	}
}

func (g *gaps) has(seq uint64) bool {
	for _, r := range g.ranges {
		if r[0] <= seq && seq <= r[1] {
			return true
		}
	}
	return false
}
