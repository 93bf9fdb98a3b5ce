package fenfa

import (
	"context"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Crons keeps schedules: each submits a task at every tick of its spec.
type Crons struct{ client *Client }

// Crons returns access to schedules.
func (c *Client) Crons() *Crons { return &Crons{client: c} }

// CronDefinition says what is submitted when.
type CronDefinition struct {
	Name string // letters, digits and . _ -, at most 128 bytes
	// Spec is minute, hour, day of month, month and day of week; with six fields a
	// second stands before them. Or @yearly, @monthly, @weekly, @daily, @hourly, or
	// @every 90s.
	Spec    string
	Zone    string // of the time zone database, as Europe/Berlin; empty: UTC
	Queue   string
	Key     string            // of the tasks; empty: they have no order
	Type    string            // of the tasks
	Payload []byte            // at most 64 KiB
	Headers map[string]string // of the tasks
	Overlap CronOverlap       // empty: CronSkip
	Missed  CronMissed        // empty: CronRunOnce
}

// CronOverlap says what becomes of a tick while the task of an earlier one has not
// ended.
type CronOverlap string

// The ways to treat an overlap.
const (
	CronSkip  CronOverlap = "skip"  // it is left out
	CronAllow CronOverlap = "allow" // its task is submitted all the same
	CronQueue CronOverlap = "queue" // its task is submitted when those before have ended
)

// CronMissed says what becomes of ticks that nobody could take in time, that is within
// 30 s, because no node ran.
type CronMissed string

// The ways to treat missed ticks.
const (
	CronRunOnce    CronMissed = "run_once" // one task for all of them
	CronSkipMissed CronMissed = "skip"     // none
)

// Cron is a schedule and where it is.
type Cron struct {
	CronDefinition
	Paused       bool
	NextAt       time.Time   // zero: it is paused, or has no tick any more
	LastAt       time.Time   // the latest tick that was taken
	FiredTicks   uint64      // tasks that were submitted
	SkippedTicks uint64      // left out because of an overlap
	MissedTicks  uint64      // without a task because nobody could take them in time
	Runs         []CronRun   // the latest ones and those that have not ended, oldest first
	Queued       []time.Time // ticks that wait for the end of the tasks before them
	Problem      string      // why it does not do what it should; empty: it does
}

// CronRun is a task that a schedule submitted.
type CronRun struct {
	TickAt  time.Time
	TaskID  ID
	Manual  bool      // it was asked for by Run
	State   LifeState // how it ended; empty: it has not
	EndedAt time.Time
	Error   string
}

// Create begins a schedule, durably. The same definition again does nothing, and
// created is false; another one under its name fails with CodeAlreadyExists.
func (s *Crons) Create(ctx context.Context, d CronDefinition) (now Cron, created bool, err error) {
	resp, err := call(ctx, s.client, "create schedule", s.client.crons.Create, &fenfav1.CreateCronRequest{Definition: d.toWire()})
	if err != nil {
		return Cron{}, false, err
	}
	return cronOf(resp.GetCron()), resp.GetCreated(), nil
}

// Update gives a schedule another definition. Its tasks go on.
func (s *Crons) Update(ctx context.Context, d CronDefinition) (Cron, error) {
	resp, err := call(ctx, s.client, "update schedule", s.client.crons.Update, &fenfav1.UpdateCronRequest{Name: d.Name, Definition: d.toWire()})
	return cronOf(resp.GetCron()), err
}

// Get returns a schedule.
func (s *Crons) Get(ctx context.Context, name string) (Cron, error) {
	resp, err := call(ctx, s.client, "get schedule", s.client.crons.Get, &fenfav1.GetCronRequest{Name: name})
	return cronOf(resp.GetCron()), err
}

// List returns a page of the schedules whose names begin with a prefix, by name, and
// the token of the next one; empty: there is none.
func (s *Crons) List(ctx context.Context, prefix string, page Page) (crons []Cron, next string, err error) {
	resp, err := call(ctx, s.client, "list schedules", s.client.crons.List,
		&fenfav1.ListCronsRequest{Prefix: prefix, PageSize: uint32(max(page.Size, 0)), PageToken: page.Token})
	if err != nil {
		return nil, "", err
	}
	for _, w := range resp.GetCrons() {
		crons = append(crons, cronOf(w))
	}
	return crons, resp.GetNextPageToken(), nil
}

// Pause ends the ticks of a schedule until Resume; those in between are not made up
// for.
func (s *Crons) Pause(ctx context.Context, name string) (Cron, error) {
	resp, err := call(ctx, s.client, "pause schedule", s.client.crons.Pause, &fenfav1.PauseCronRequest{Name: name})
	return cronOf(resp.GetCron()), err
}

// Resume lets a schedule tick again.
func (s *Crons) Resume(ctx context.Context, name string) (Cron, error) {
	resp, err := call(ctx, s.client, "resume schedule", s.client.crons.Resume, &fenfav1.ResumeCronRequest{Name: name})
	return cronOf(resp.GetCron()), err
}

// Delete ends a schedule, and returns what it was. Its tasks go on.
func (s *Crons) Delete(ctx context.Context, name string) (Cron, error) {
	resp, err := call(ctx, s.client, "delete schedule", s.client.crons.Delete, &fenfav1.DeleteCronRequest{Name: name})
	return cronOf(resp.GetCron()), err
}

// Run submits a task of a schedule now, beside its ticks, and returns its ID. Each
// call submits one: after CodeUnavailable it may have been submitted.
func (s *Crons) Run(ctx context.Context, name string) (ID, error) {
	resp, err := call(ctx, s.client, "run schedule", s.client.crons.Run, &fenfav1.RunCronRequest{Name: name})
	if err != nil {
		return ID{}, err
	}
	return ParseID(resp.GetTaskId())
}

// Next tells the next ticks of a schedule, at most 1000; 0: 5. They are told of a
// paused one, too.
func (s *Crons) Next(ctx context.Context, name string, count int) ([]time.Time, error) {
	resp, err := call(ctx, s.client, "look ahead", s.client.crons.Next, &fenfav1.NextCronRequest{Name: name, Count: uint32(max(count, 0))})
	if err != nil {
		return nil, err
	}
	ticks := make([]time.Time, len(resp.GetTicks()))
	for i, w := range resp.GetTicks() {
		ticks[i] = w.AsTime()
	}
	return ticks, nil
}

func (d *CronDefinition) toWire() *fenfav1.CronDefinition {
	return &fenfav1.CronDefinition{
		Name: d.Name, Spec: d.Spec, Zone: d.Zone, Queue: d.Queue, Key: d.Key, Type: d.Type, Payload: d.Payload, Headers: d.Headers,
		Overlap: string(d.Overlap), Missed: string(d.Missed),
	}
}

func cronOf(w *fenfav1.Cron) Cron {
	d := w.GetDefinition()
	c := Cron{
		CronDefinition: CronDefinition{
			Name: d.GetName(), Spec: d.GetSpec(), Zone: d.GetZone(), Queue: d.GetQueue(), Key: d.GetKey(), Type: d.GetType(),
			Payload: d.GetPayload(), Headers: d.GetHeaders(), Overlap: CronOverlap(d.GetOverlap()), Missed: CronMissed(d.GetMissed()),
		},
		Paused: w.GetPaused(), NextAt: timeOf(w.GetNextAt()), LastAt: timeOf(w.GetLastAt()),
		FiredTicks: w.GetFired(), SkippedTicks: w.GetSkipped(), MissedTicks: w.GetMissed(), Problem: w.GetProblem(),
	}
	for _, r := range w.GetRuns() {
		run := CronRun{TickAt: timeOf(r.GetTickAt()), Manual: r.GetManual(), EndedAt: timeOf(r.GetEndedAt()), Error: r.GetError()}
		if id, err := ParseID(r.GetTaskId()); err == nil {
			run.TaskID = id
		}
		if r.GetState() != fenfav1.TaskState_TASK_STATE_UNSPECIFIED {
			run.State = lifeStateOf(r.GetState())
		}
		c.Runs = append(c.Runs, run)
	}
	for _, q := range w.GetQueued() {
		c.Queued = append(c.Queued, q.AsTime())
	}
	return c
}
