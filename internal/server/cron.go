package server

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/cron"
	"github.com/fenfa/fenfa/internal/task"
)

// Bounds of Next.
const (
	defaultTicks = 5
	maxTicks     = 1000
)

// cronService implements fenfa.v1.CronService.
type cronService struct {
	fenfav1.UnimplementedCronServiceServer
	*Server
}

// Create begins a schedule.
func (s *cronService) Create(ctx context.Context, req *fenfav1.CreateCronRequest) (*fenfav1.CreateCronResponse, error) {
	if req.GetDefinition() == nil {
		return nil, errNoDefinition()
	}
	now, created, err := s.cfg.Engine.CreateCron(ctx, *cronFromWire(req.GetDefinition()))
	if err != nil {
		return nil, err
	}
	return &fenfav1.CreateCronResponse{Cron: cronToWire(now), Created: created}, nil
}

func errNoDefinition() error {
	return task.Errorf(task.CodeInvalidArgument, "the request has no definition").WithField("definition")
}

// Get returns a schedule.
func (s *cronService) Get(ctx context.Context, req *fenfav1.GetCronRequest) (*fenfav1.GetCronResponse, error) {
	found, err := s.cfg.Engine.Cron(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	return &fenfav1.GetCronResponse{Cron: cronToWire(found)}, nil
}

// List lists those schedules whose queue the caller may read.
func (s *cronService) List(ctx context.Context, req *fenfav1.ListCronsRequest) (*fenfav1.ListCronsResponse, error) {
	limit, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	all, next, err := s.cfg.Engine.Crons(ctx, req.GetPrefix(), limit, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &fenfav1.ListCronsResponse{NextPageToken: next}
	c := callerOf(ctx)
	for _, found := range all {
		if c.May(access.Read, found.Definition.Queue) {
			resp.Crons = append(resp.Crons, cronToWire(found))
		}
	}
	return resp, nil
}

// Update gives a schedule another definition.
func (s *cronService) Update(ctx context.Context, req *fenfav1.UpdateCronRequest) (*fenfav1.UpdateCronResponse, error) {
	if req.GetDefinition() == nil {
		return nil, errNoDefinition()
	}
	if name := req.GetDefinition().GetName(); name != "" && name != req.GetName() {
		return nil, task.Errorf(task.CodeInvalidArgument, "the definition is that of %q, and the schedule is %q: a schedule keeps its name", name, req.GetName()).WithField("definition.name")
	}
	now, err := s.cfg.Engine.OperateCron(ctx, req.GetName(), cron.Operation{Do: cron.DoUpdate, Definition: cronFromWire(req.GetDefinition())})
	if err != nil {
		return nil, err
	}
	return &fenfav1.UpdateCronResponse{Cron: cronToWire(now)}, nil
}

// Pause ends the ticks of a schedule.
func (s *cronService) Pause(ctx context.Context, req *fenfav1.PauseCronRequest) (*fenfav1.PauseCronResponse, error) {
	now, err := s.cfg.Engine.OperateCron(ctx, req.GetName(), cron.Operation{Do: cron.DoPause})
	if err != nil {
		return nil, err
	}
	return &fenfav1.PauseCronResponse{Cron: cronToWire(now)}, nil
}

// Resume lets a schedule tick again.
func (s *cronService) Resume(ctx context.Context, req *fenfav1.ResumeCronRequest) (*fenfav1.ResumeCronResponse, error) {
	now, err := s.cfg.Engine.OperateCron(ctx, req.GetName(), cron.Operation{Do: cron.DoResume})
	if err != nil {
		return nil, err
	}
	return &fenfav1.ResumeCronResponse{Cron: cronToWire(now)}, nil
}

// Delete ends a schedule.
func (s *cronService) Delete(ctx context.Context, req *fenfav1.DeleteCronRequest) (*fenfav1.DeleteCronResponse, error) {
	was, err := s.cfg.Engine.DeleteCron(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	return &fenfav1.DeleteCronResponse{Cron: cronToWire(was)}, nil
}

// Run submits a task of a schedule now.
func (s *cronService) Run(ctx context.Context, req *fenfav1.RunCronRequest) (*fenfav1.RunCronResponse, error) {
	now, err := s.cfg.Engine.OperateCron(ctx, req.GetName(), cron.Operation{Do: cron.DoRun})
	if err != nil {
		return nil, err
	}
	resp := &fenfav1.RunCronResponse{Cron: cronToWire(now)}
	for i := range now.Runs {
		if now.Runs[i].Manual {
			resp.TaskId = now.Runs[i].TaskID.String() // the latest one
		}
	}
	return resp, nil
}

// Next tells the next ticks of a schedule.
func (s *cronService) Next(ctx context.Context, req *fenfav1.NextCronRequest) (*fenfav1.NextCronResponse, error) {
	count := int(req.GetCount())
	switch {
	case count == 0:
		count = defaultTicks
	case count > maxTicks:
		return nil, task.Errorf(task.CodeInvalidArgument, "count is %d: want 1 to %d, or 0 for %d", count, maxTicks, defaultTicks).WithField("count")
	}
	ticks, err := s.cfg.Engine.CronTicks(ctx, req.GetName(), count)
	if err != nil {
		return nil, err
	}
	return &fenfav1.NextCronResponse{Ticks: timesToWire(ticks)}, nil
}

func timesToWire(times []time.Time) []*timestamppb.Timestamp {
	all := make([]*timestamppb.Timestamp, len(times))
	for i, at := range times {
		all[i] = timestamppb.New(at)
	}
	return all
}

// cronFromWire reads a definition; cron.Definition says what is valid.
func cronFromWire(w *fenfav1.CronDefinition) *cron.Definition {
	return &cron.Definition{
		Name: w.GetName(), Spec: w.GetSpec(), Zone: w.GetZone(), Queue: w.GetQueue(), Key: w.GetKey(), Type: w.GetType(),
		Payload: w.GetPayload(), Headers: w.GetHeaders(), Overlap: cron.Overlap(w.GetOverlap()), Missed: cron.Missed(w.GetMissed()),
	}
}

func cronToWire(s *cron.Schedule) *fenfav1.Cron {
	d := &s.Definition
	w := &fenfav1.Cron{
		Definition: &fenfav1.CronDefinition{
			Name: d.Name, Spec: d.Spec, Zone: d.Zone, Queue: d.Queue, Key: d.Key, Type: d.Type, Payload: d.Payload, Headers: d.Headers,
			Overlap: string(d.Overlap), Missed: string(d.Missed),
		},
		Paused: s.Paused, NextAt: timeToWire(s.Next), LastAt: timeToWire(s.Last), Problem: text(s.Problem),
		Fired: s.Counts.Fired, Skipped: s.Counts.Skipped, Missed: s.Counts.Missed,
	}
	for i := range s.Runs {
		r := &s.Runs[i]
		run := &fenfav1.CronRun{TickAt: timeToWire(r.Tick), TaskId: r.TaskID.String(), Manual: r.Manual, EndedAt: timeToWire(r.EndedAt), Error: text(r.Error)}
		if r.State != task.StateUnknown {
			run.State = stateToWire(r.State)
		}
		w.Runs = append(w.Runs, run)
	}
	for _, q := range s.Queued {
		w.Queued = append(w.Queued, timestamppb.New(q.Tick))
	}
	return w
}
