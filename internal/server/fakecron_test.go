package server

import (
	"cmp"
	"context"
	"time"

	"github.com/fenfa/fenfa/internal/cron"
)

// someCron is a schedule of the queue orders that ran once by hand.
func someCron(name string) *cron.Schedule {
	d := cron.Definition{Name: name, Spec: "30 2 * * *", Zone: "Europe/Berlin", Queue: "orders", Headers: map[string]string{"a": "b"}}
	if err := d.Normalize(); err != nil {
		panic(err)
	}
	s := cron.New(time.Unix(1_700_000_000, 0), 1, d)
	s.Operate(time.Unix(1_700_000_100, 0), &cron.Operation{Do: cron.DoRun})
	return s
}

func (e *fakeEngine) CreateCron(_ context.Context, d cron.Definition) (*cron.Schedule, bool, error) {
	e.called("create cron " + d.Name + " " + d.Spec + " " + d.Queue)
	return someCron("nightly"), true, e.err
}

func (e *fakeEngine) OperateCron(_ context.Context, name string, op cron.Operation) (*cron.Schedule, error) {
	e.called("cron " + string(op.Do) + " " + name)
	return someCron("nightly"), e.err
}

func (e *fakeEngine) Cron(context.Context, string) (*cron.Schedule, error) {
	return someCron("nightly"), e.err
}

func (e *fakeEngine) Crons(_ context.Context, prefix string, _ int, after string) ([]*cron.Schedule, string, error) {
	e.called("crons " + prefix + " " + after)
	return []*cron.Schedule{someCron("nightly")}, "nightly", e.err
}

func (e *fakeEngine) CronTicks(_ context.Context, name string, count int) ([]time.Time, error) {
	ticks, err := someCron(name).Ticks(time.Unix(1_700_000_000, 0), count)
	return ticks, cmp.Or(e.err, err)
}

func (e *fakeEngine) DeleteCron(_ context.Context, name string) (*cron.Schedule, error) {
	e.called("delete cron " + name)
	return someCron("nightly"), e.err
}
