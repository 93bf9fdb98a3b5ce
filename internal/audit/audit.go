package audit

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// Sizes of what is read and held at a time.
const (
	DefaultRecords = 1 << 20 // records of one pass
	pageRows       = 1000
	pageBytes      = 4 << 20
	mostPause      = time.Second
)

// Config says what is audited.
type Config struct {
	Store      store.Store
	Partitions int
	Part       int
	// Head is the durable head of the partition that the op log must end at; what
	// comes after it is not judged.
	Head store.Fence
	// Busy is the share of the time that the audit may work, above 0 and at most 1: it
	// pauses after each page. Default 1.
	Busy float64
	// Records is how many records one pass holds; default DefaultRecords.
	Records int
	Clock   clock.Clock // default: the machine's
	// Found is told of each difference. An error ends the audit.
	Found func(Difference) error
	// Progress is told after each page; nil: nobody is.
	Progress func(Summary)
}

// Summary counts what was looked at.
type Summary struct {
	Partition   int
	Head        uint64 // number of the last row that was judged
	Rows        uint64 // of the op log, of all passes
	Records     uint64
	Marks       uint64
	Passes      int
	Differences uint64
	// Work is roughly how much there is to do in all, and Done how much is done, in
	// rows and records.
	Work, Done uint64
}

// auditor is one run.
type auditor struct {
	cfg  Config
	sum  Summary
	seed [2]maphash.Seed
	gaps gaps
	// judged is the row up to which the first walk has compared the versions of all
	// records.
	judged uint64
	// since is the row of the op log after which each delete is in the index, if it has
	// one.
	since   uint64
	indexed bool
}

// Run audits one partition. Its error says why the audit could not be finished;
// differences are not errors.
func Run(ctx context.Context, cfg Config) (Summary, error) {
	switch {
	case cfg.Store == nil || cfg.Found == nil:
		return Summary{}, errors.New("audit: a store and somebody to tell are needed")
	case cfg.Partitions < 1 || cfg.Part < 0 || cfg.Part >= cfg.Partitions:
		return Summary{}, fmt.Errorf("audit: partition %d of %d: there is none", cfg.Part, cfg.Partitions)
	case cfg.Busy < 0 || cfg.Busy > 1:
		return Summary{}, fmt.Errorf("audit: busy for a share of %v of the time: want above 0 and at most 1", cfg.Busy)
	}
	if cfg.Busy == 0 {
		cfg.Busy = 1
	}
	if cfg.Records == 0 {
		cfg.Records = DefaultRecords
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	a := &auditor{cfg: cfg, seed: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	a.sum = Summary{Partition: cfg.Part, Head: cfg.Head.Seq, Work: 2 * cfg.Head.Seq}
	err := a.run(ctx)
	a.sum.Done = a.sum.Work
	return a.sum, err
}

// run makes as many passes as the records need: how many these are is known when
// the first pass is through the log.
func (a *auditor) run(ctx context.Context) error {
	if err := a.sinceWhen(ctx); err != nil {
		return err
	}
	if err := a.branches(ctx); err != nil {
		return err
	}
	first := newReplay(a, 0, 1)
	if err := a.log(ctx, first, true); err != nil {
		return err
	}
	if !first.full {
		return a.pass(ctx, first)
	}
	passes := uint64(2)
	for passes*uint64(a.cfg.Records)/2 < first.live {
		passes *= 2
	}
	a.sum.Work += 2 * (passes - 1) * a.cfg.Head.Seq
	for which := range passes {
		r := newReplay(a, which, passes)
		if err := a.log(ctx, r, false); err != nil {
			return err
		}
		if err := a.pass(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// pass compares the records of one replay.
func (a *auditor) pass(ctx context.Context, r *replay) error {
	a.sum.Passes++
	if err := a.records(ctx, r); err != nil {
		return err
	}
	return a.missing(ctx, r)
}

// found tells of a difference.
func (a *auditor) found(d Difference) error {
	d.Partition = a.cfg.Part
	a.sum.Differences++
	return a.cfg.Found(d)
}

// load reads a page and pauses after it. Rows that cannot be read end the page
// before the first of them; corrupt is why.
func (a *auditor) load(ctx context.Context, scan store.Scan) (rows []store.Row, corrupt, err error) {
	scan.Part, scan.Bytes = a.cfg.Part, pageBytes
	began := a.cfg.Clock.Now()
	for scan.Limit = pageRows; ; scan.Limit /= 2 {
		rows, err = a.cfg.Store.Load(ctx, scan)
		if err == nil || !errors.Is(err, task.ErrCorrupt) {
			break
		}
		if corrupt = err; scan.Limit == 1 {
			return nil, corrupt, nil
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("audit partition %d: %w", a.cfg.Part, err)
	}
	return rows, nil, a.worked(ctx, began)
}

// get reads rows by their keys and pauses after it.
func (a *auditor) get(ctx context.Context, keys []store.Row) ([]store.Row, error) {
	began := a.cfg.Clock.Now()
	rows, err := a.cfg.Store.Get(ctx, a.cfg.Part, keys)
	if err != nil {
		return nil, fmt.Errorf("audit partition %d: %w", a.cfg.Part, err)
	}
	return rows, a.worked(ctx, began)
}

// worked tells of the progress, and pauses as long as the share of the time asks.
func (a *auditor) worked(ctx context.Context, began time.Time) error {
	a.sum.Work = max(a.sum.Work, a.sum.Done)
	if a.cfg.Progress != nil {
		a.cfg.Progress(a.sum)
	}
	took := a.cfg.Clock.Now().Sub(began)
	pause := min(mostPause, time.Duration(float64(took)*(1/a.cfg.Busy-1)))
	if pause <= 0 {
		return ctx.Err()
	}
	passed := make(chan struct{})
	timer := a.cfg.Clock.AfterFunc(pause, func() { close(passed) })
	select {
	case <-passed:
		return nil
	case <-ctx.Done():
		timer.Stop()
		return ctx.Err()
	}
}
