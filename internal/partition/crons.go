package partition

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/cron"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// cronCounters are the metrics of schedules.
type cronCounters struct {
	ticks *prometheus.CounterVec // by result
	late  prometheus.Histogram
}

func newCronCounters(reg prometheus.Registerer) *cronCounters {
	c := &cronCounters{
		ticks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenfa_cron_ticks_total", Help: "Ticks of schedules by what became of them: fired, skipped (an overlap) or missed; manual runs count as fired.",
		}, []string{"result"}),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fenfa_cron_lateness_seconds", Help: "From the time of a schedule's tick until the tick is taken.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 12),
		}),
	}
	reg.MustRegister(c.ticks, c.late)
	return c
}

func (c *cronCounters) count(before, after cron.Counts) {
	c.ticks.WithLabelValues("fired").Add(float64(after.Fired - before.Fired))
	c.ticks.WithLabelValues("skipped").Add(float64(after.Skipped - before.Skipped))
	c.ticks.WithLabelValues("missed").Add(float64(after.Missed - before.Missed))
}

// cronQueue are the settings of the queue of messages to schedules. A message that
// repeats is known by the schedule itself.
func cronQueue() task.Queue {
	q := task.DefaultQueue(cron.Queue)
	q.DedupeWindow, q.ResultTTL = time.Hour, time.Second
	return q
}

// CreateCron begins a schedule, durably. Where there is one with this definition
// already it does nothing, and created is false.
func (e *Engine) CreateCron(ctx context.Context, d cron.Definition) (s *cron.Schedule, created bool, err error) {
	if err := e.checkCron(&d); err != nil {
		return nil, false, err
	}
	if _, ok := e.Queue(cron.Queue); !ok {
		if _, _, err := e.ConfigureQueue(ctx, cronQueue()); err != nil {
			return nil, false, err
		}
	}
	a, err := e.askCron(ctx, d.Name, func(c *core, now time.Time, answer func(cronAnswer)) { c.createCron(now, &d, answer) })
	return a.s, !a.same, err
}

func (e *Engine) checkCron(d *cron.Definition) error {
	if err := d.Normalize(); err != nil {
		return err
	}
	if _, ok := e.Queue(d.Queue); !ok {
		return e.unknownQueue(d.Queue)
	}
	return nil
}

func (e *Engine) askCron(ctx context.Context, name string, f func(c *core, now time.Time, answer func(cronAnswer))) (cronAnswer, error) {
	a, err := ask(ctx, e.of(cron.KeyOf(name)), f)
	if err == nil {
		err = a.err
	}
	return a, err
}

// OperateCron carries out what a person asks of a schedule, and returns it as it is
// then. Only a run is another one each time.
func (e *Engine) OperateCron(ctx context.Context, name string, op cron.Operation) (*cron.Schedule, error) {
	if op.Definition != nil {
		op.Definition.Name = name
		if err := e.checkCron(op.Definition); err != nil {
			return nil, err
		}
	}
	a, err := e.askCron(ctx, name, func(c *core, now time.Time, answer func(cronAnswer)) { c.operateCron(now, name, &op, answer) })
	return a.s, err
}

// Cron returns a schedule as it is.
func (e *Engine) Cron(ctx context.Context, name string) (*cron.Schedule, error) {
	a, err := e.askCron(ctx, name, func(c *core, _ time.Time, answer func(cronAnswer)) { c.getCron(name, answer) })
	return a.s, err
}

// CronTicks returns the next ticks of a schedule, as if it were not paused.
func (e *Engine) CronTicks(ctx context.Context, name string, count int) ([]time.Time, error) {
	s, err := e.Cron(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.Ticks(e.cfg.Clock.Now(), count)
}

// DeleteCron ends a schedule; tasks that it submitted go on. It returns what it was.
func (e *Engine) DeleteCron(ctx context.Context, name string) (*cron.Schedule, error) {
	a, err := e.askCron(ctx, name, func(c *core, now time.Time, answer func(cronAnswer)) { c.deleteCron(now, name, answer) })
	return a.s, err
}

// Crons lists schedules whose names begin with a prefix, by name. The token of a page
// is the last name before it; empty: there is no other page.
func (e *Engine) Crons(ctx context.Context, prefix string, limit int, after string) (all []*cron.Schedule, next string, err error) {
	for _, o := range e.owners {
		part, err := ask(ctx, o, func(c *core, _ time.Time, answer func([]*cron.Schedule)) {
			c.whenLoaded(func() {
				var found []*cron.Schedule
				for name, s := range c.crons.open {
					if strings.HasPrefix(name, prefix) && name > after {
						found = append(found, s.Clone())
					}
				}
				c.afterDurable(func() { answer(found) })
			})
		})
		if err != nil {
			return nil, "", err
		}
		all = append(all, part...)
	}
	slices.SortFunc(all, func(a, b *cron.Schedule) int { return strings.Compare(a.Definition.Name, b.Definition.Name) })
	if len(all) > limit {
		all = all[:limit]
		next = all[limit-1].Definition.Name
	}
	return all, next, nil
}

// loadCrons finds the schedules of the partition.
func (own *ownership) loadCrons(ctx context.Context) error {
	type records struct{ definition, state []byte }
	found := map[string]*records{}
	if _, used := own.e.Queue(cron.Queue); used {
		scan := store.Scan{Table: store.TableRecord, From: &store.Record{Key: cron.KeyPrefix}, To: &store.Record{Key: cron.KeyPrefix + "\xff"}}
		err := own.each(ctx, scan, func(rows []store.Row) (next store.Row, err error) {
			for _, row := range rows {
				r, ok := row.(*store.Record)
				if !ok {
					continue
				}
				next = &store.Record{Key: r.Key, Name: r.Name + "\x00"}
				if found[r.Key] == nil {
					found[r.Key] = &records{}
				}
				switch r.Name {
				case cron.RecordDefinition:
					found[r.Key].definition = r.Value
				case cron.RecordState:
					found[r.Key].state = r.Value
				}
			}
			return next, nil
		})
		if err != nil {
			return err
		}
	}
	all := make([]*cron.Schedule, 0, len(found))
	for key, r := range found {
		if r.definition == nil || r.state == nil {
			continue // it was deleted while it was read
		}
		s, err := cron.Decode(r.definition, r.state)
		if err != nil {
			own.e.counts.corrupt.Inc()
			own.log.Error("schedule cannot be read", "schedule", cron.NameOf(key), "error", err)
			continue
		}
		all = append(all, s)
	}
	own.mail.post(func(c *core, _ time.Time) { c.cronsLoaded(all) })
	return nil
}
