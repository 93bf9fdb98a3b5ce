package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/fenfa/fenfa"
)

// The types of this file are what --json writes; their fields are a promise to
// scripts. Durations are text like "30s", times RFC 3339 in UTC.

type attemptView struct {
	At        string `json:"at"`
	StartedAt string `json:"started_at,omitempty"`
	Worker    string `json:"worker"`
	Error     string `json:"error"`
}

// runningView is the attempt that is under way.
type runningView struct {
	StartedAt string        `json:"started_at,omitempty"`
	Deadline  string        `json:"deadline,omitempty"`
	HeardAt   string        `json:"heard_at,omitempty"`
	Progress  *progressView `json:"progress,omitempty"`
}

type progressView struct {
	Ratio float64 `json:"ratio"`
	Text  string  `json:"text,omitempty"`
	At    string  `json:"at"`
}

func viewRunning(r *fenfa.RunningAttempt) *runningView {
	if r == nil {
		return nil
	}
	v := &runningView{StartedAt: timeView(r.StartedAt), Deadline: timeView(r.Deadline), HeardAt: timeView(r.HeardAt)}
	if p := r.Progress; p != nil {
		v.Progress = &progressView{Ratio: p.Ratio, Text: p.Text, At: timeView(p.At)}
	}
	return v
}

func attemptViews(history []fenfa.Attempt) []attemptView {
	views := make([]attemptView, len(history))
	for i, a := range history {
		views[i] = attemptView{At: timeView(a.At), StartedAt: timeView(a.StartedAt), Worker: a.Worker, Error: a.Error}
	}
	return views
}

type taskView struct {
	ID            string            `json:"id"`
	State         fenfa.LifeState   `json:"state"`
	Queue         string            `json:"queue,omitempty"`
	Key           string            `json:"key,omitempty"`
	Type          string            `json:"type,omitempty"`
	CreatedAt     string            `json:"created_at,omitempty"`
	StartedAt     string            `json:"started_at,omitempty"`
	FinishedAt    string            `json:"finished_at,omitempty"`
	NextAt        string            `json:"next_at,omitempty"`
	Attempts      int               `json:"attempts"`
	Deliveries    int               `json:"deliveries"`
	Worker        string            `json:"worker,omitempty"`
	Result        json.RawMessage   `json:"result,omitempty"`
	ResultBase64  []byte            `json:"result_base64,omitempty"`
	Error         string            `json:"error,omitempty"`
	History       []attemptView     `json:"history,omitempty"`
	Headers       map[string]string `json:"headers,omitempty"`
	Payload       json.RawMessage   `json:"payload,omitempty"`
	PayloadBase64 []byte            `json:"payload_base64,omitempty"`
	Require       []string          `json:"require,omitempty"`
	Prefer        []string          `json:"prefer,omitempty"`
	WaitsFor      string            `json:"waits_for,omitempty"`
	Running       *runningView      `json:"running,omitempty"`
}

func viewTask(s *fenfa.TaskStatus) taskView {
	v := taskView{
		ID: s.ID.String(), State: s.State, Queue: s.Queue, Key: s.Key,
		CreatedAt: timeView(s.CreatedAt), StartedAt: timeView(s.StartedAt), FinishedAt: timeView(s.FinishedAt), NextAt: timeView(s.NextAt),
		Attempts: s.Attempts, Deliveries: s.Deliveries, Worker: s.Worker, Error: s.Error, History: attemptViews(s.History),
		WaitsFor: s.WaitsFor, Running: viewRunning(s.Running),
	}
	v.Result, v.ResultBase64 = viewBytes(s.Result)
	if s.Task != nil {
		v.Type, v.Headers = s.Task.Type(), s.Task.Headers()
		v.Payload, v.PayloadBase64 = viewBytes(s.Task.Payload())
		place := s.Task.Placement()
		v.Require, v.Prefer = place.Require, place.Prefer
	}
	return v
}

type lockView struct {
	Name      string `json:"name"`
	Holder    string `json:"holder,omitempty"`
	Token     uint64 `json:"token"`
	TTL       string `json:"ttl,omitempty"`
	ExpiresIn string `json:"expires_in,omitempty"`
	Since     string `json:"since,omitempty"`
	Waiters   int    `json:"waiters"`
}

func viewLock(l *fenfa.LockInfo) lockView {
	return lockView{
		Name: l.Name, Holder: l.Holder, Token: l.Token, TTL: l.TTL.String(), ExpiresIn: l.ExpiresIn.Round(time.Millisecond).String(),
		Since: timeView(l.Since), Waiters: l.Waiters,
	}
}

type deadView struct {
	ID            string            `json:"id"`
	Queue         string            `json:"queue"`
	Key           string            `json:"key,omitempty"`
	Type          string            `json:"type,omitempty"`
	Reason        string            `json:"reason"`
	DiedAt        string            `json:"died_at"`
	Attempts      int               `json:"attempts"`
	Deliveries    int               `json:"deliveries"`
	Requeues      int               `json:"requeues,omitempty"`
	HaltsKey      bool              `json:"halts_key,omitempty"`
	History       []attemptView     `json:"history,omitempty"`
	Headers       map[string]string `json:"headers,omitempty"`
	Payload       json.RawMessage   `json:"payload,omitempty"`
	PayloadBase64 []byte            `json:"payload_base64,omitempty"`
}

func viewDead(d *fenfa.DeadLetter) deadView {
	v := deadView{
		ID: d.Task.ID().String(), Queue: d.Task.Queue(), Key: d.Task.Key(), Type: d.Task.Type(), Reason: d.Reason, DiedAt: timeView(d.DiedAt),
		Attempts: d.Attempts, Deliveries: d.Deliveries, Requeues: d.Requeues, HaltsKey: d.HaltsKey, History: attemptViews(d.History), Headers: d.Task.Headers(),
	}
	v.Payload, v.PayloadBase64 = viewBytes(d.Task.Payload())
	return v
}

type retryView struct {
	Base        string  `json:"base"`
	Factor      float64 `json:"factor"`
	Max         string  `json:"max"`
	MaxAttempts int     `json:"max_attempts"`
}

type balanceView struct {
	Policy    string  `json:"policy"`
	LoadBound float64 `json:"load_bound"`
	Overflow  string  `json:"overflow"`
}

type statsView struct {
	BacklogTasks   int64  `json:"backlog_tasks"`
	BacklogBytes   int64  `json:"backlog_bytes"`
	Oldest         string `json:"oldest,omitempty"`
	Scheduled      int64  `json:"scheduled"`
	Parked         int64  `json:"parked"`
	Ready          int64  `json:"ready"`
	Running        int64  `json:"running"`
	BlockedLanes   int64  `json:"blocked_lanes"`
	HaltedLanes    int64  `json:"halted_lanes"`
	Dead           int64  `json:"dead"`
	DoneTotal      int64  `json:"done_total"`
	FailedTotal    int64  `json:"failed_total"`
	DeadTotal      int64  `json:"dead_total"`
	CancelledTotal int64  `json:"cancelled_total"`
	Workers        int64  `json:"workers"`
	// How long tasks of the last 10 to 20 s could have started and were not handed out.
	StartP50MS float64 `json:"start_p50_ms"`
	StartP99MS float64 `json:"start_p99_ms"`
	// What ready tasks ask of workers; queue describe only.
	Waiting []waitingView `json:"waiting,omitempty"`
	// The limit that keeps tasks from starting: concurrency or rate.
	LimitedBy string `json:"limited_by,omitempty"`
}

// rateView is a rate; 0: no limit.
type rateView struct {
	PerSecond float64 `json:"per_second"`
	Burst     int     `json:"burst"`
}

// waitingView is the ready tasks of a queue that ask the same of workers.
type waitingView struct {
	Require []string `json:"require"`
	Prefer  []string `json:"prefer"`
	Tasks   int64    `json:"tasks"`
	Parked  bool     `json:"parked"`
	Workers int64    `json:"workers"`
}

func viewWaiting(classes []fenfa.WaitingClass) []waitingView {
	views := make([]waitingView, len(classes))
	for i, c := range classes {
		views[i] = waitingView{
			Require: append([]string{}, c.Placement.Require...), Prefer: append([]string{}, c.Placement.Prefer...),
			Tasks: c.Tasks, Parked: c.Parked, Workers: c.Workers,
		}
	}
	return views
}

type queueView struct {
	Name            string       `json:"name"`
	Order           fenfa.Order  `json:"order"`
	OnDead          fenfa.OnDead `json:"on_dead"`
	Balance         balanceView  `json:"balance"`
	Share           float64      `json:"share"`
	Require         []string     `json:"require"`
	Prefer          []string     `json:"prefer"`
	Retry           retryView    `json:"retry"`
	Timeout         string       `json:"timeout"`
	Batch           int          `json:"batch"`
	MaxDeliveries   int          `json:"max_deliveries"`
	DedupeWindow    string       `json:"dedupe_window"`
	ResultTTL       string       `json:"result_ttl"`
	DeadTTL         string       `json:"dead_ttl,omitempty"` // empty: kept until somebody deletes them
	MaxBacklogTasks int64        `json:"max_backlog_tasks"`
	MaxBacklogBytes int64        `json:"max_backlog_bytes"`
	Priorities      fenfa.Switch `json:"priorities"`
	Concurrency     int          `json:"concurrency"`     // 0: no limit
	KeyConcurrency  int          `json:"key_concurrency"` // 0: no limit
	Rate            rateView     `json:"rate"`
	Paused          bool         `json:"paused"`
	Webhook         *webhookView `json:"webhook,omitempty"`
	Stats           *statsView   `json:"stats,omitempty"`
	Created         *bool        `json:"created,omitempty"` // queue set only
}

// ttlView is how long something is kept; empty: without end.
func ttlView(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return span(d)
}

func viewQueue(q *fenfa.Queue) queueView {
	return queueView{
		Name: q.Name, Order: q.Order, OnDead: q.OnDead,
		Balance: balanceView(q.Balance), Share: q.Share, Require: append([]string{}, q.Placement.Require...), Prefer: append([]string{}, q.Placement.Prefer...),
		Retry:   retryView{Base: span(q.Retry.Base), Factor: q.Retry.Factor, Max: span(q.Retry.Max), MaxAttempts: q.Retry.MaxAttempts},
		Timeout: span(q.Timeout), Batch: q.Batch, MaxDeliveries: q.MaxDeliveries, DedupeWindow: span(q.DedupeWindow),
		ResultTTL: span(q.ResultTTL), DeadTTL: ttlView(q.DeadTTL), MaxBacklogTasks: q.MaxBacklogTasks, MaxBacklogBytes: q.MaxBacklogBytes,
		Priorities: q.Priorities, Concurrency: q.Concurrency, KeyConcurrency: q.KeyConcurrency, Rate: rateView(q.Rate), Paused: q.Paused,
		Webhook: viewWebhook(q.Webhook),
	}
}

func viewQueueInfo(q *fenfa.QueueInfo) queueView {
	v, s := viewQueue(&q.Queue), q.Stats
	v.Stats = &statsView{
		BacklogTasks: s.BacklogTasks, BacklogBytes: s.BacklogBytes, Oldest: timeView(s.Oldest), Scheduled: s.Scheduled, Parked: s.Parked,
		Ready: s.Ready, Running: s.Running, BlockedLanes: s.BlockedLanes, HaltedLanes: s.HaltedLanes, Dead: s.Dead,
		DoneTotal: s.DoneTotal, FailedTotal: s.FailedTotal, DeadTotal: s.DeadTotal, CancelledTotal: s.CancelledTotal, Workers: s.Workers,
		StartP50MS: float64(s.StartP50) / float64(time.Millisecond), StartP99MS: float64(s.StartP99) / float64(time.Millisecond),
		Waiting: viewWaiting(s.Waiting), LimitedBy: s.LimitedBy,
	}
	return v
}

type recordView struct {
	Key         string          `json:"key"`
	Name        string          `json:"name"`
	Version     uint64          `json:"version"`
	Value       json.RawMessage `json:"value,omitempty"`
	ValueBase64 []byte          `json:"value_base64,omitempty"`
	UpdatedAt   string          `json:"updated_at,omitempty"`
	TaskID      string          `json:"task_id,omitempty"`
	Escrow      *escrowView     `json:"escrow,omitempty"` // nil: the record is not declared so
}

// escrowView is what undecided transactions may do to a counter.
type escrowView struct {
	ReservedLow  int64 `json:"reserved_low"`
	ReservedHigh int64 `json:"reserved_high"`
}

func viewRecord(r *fenfa.Record) recordView {
	v := recordView{Key: r.Key, Name: r.Name, Version: r.Version, UpdatedAt: timeView(r.UpdatedAt), TaskID: idText(r.TaskID)}
	v.Value, v.ValueBase64 = viewBytes(r.Value)
	if r.Escrow {
		v.Escrow = &escrowView{ReservedLow: r.ReservedLow, ReservedHigh: r.ReservedHigh}
	}
	return v
}

type changeView struct {
	Seq           uint64          `json:"seq"`
	At            string          `json:"at"`
	Op            string          `json:"op"`
	Key           string          `json:"key"`
	Name          string          `json:"name"`
	VersionBefore uint64          `json:"version_before"`
	VersionAfter  uint64          `json:"version_after"`
	Value         json.RawMessage `json:"value,omitempty"`
	ValueBase64   []byte          `json:"value_base64,omitempty"`
	TaskID        string          `json:"task_id,omitempty"`
	Attempt       int             `json:"attempt,omitempty"`
	Node          string          `json:"node,omitempty"`
	Worker        string          `json:"worker,omitempty"`
	Transaction   string          `json:"transaction,omitempty"`
	Hash          string          `json:"hash"`
}

func viewChange(c *fenfa.Change) changeView {
	v := changeView{
		Seq: c.Seq, At: timeView(c.At), Op: c.Op, Key: c.Key, Name: c.Name, VersionBefore: c.VersionBefore, VersionAfter: c.VersionAfter,
		TaskID: idText(c.TaskID), Attempt: c.Attempt, Node: c.Node, Worker: c.Worker, Transaction: idText(c.Transaction), Hash: fmt.Sprintf("%x", c.Hash),
	}
	v.Value, v.ValueBase64 = viewBytes(c.Value)
	return v
}

type workerView struct {
	ID             string            `json:"id"`
	State          string            `json:"state"`
	Queues         []string          `json:"queues"`
	Slots          int               `json:"slots"`
	InFlight       int               `json:"in_flight"`
	Weight         float64           `json:"weight"`
	Effective      float64           `json:"effective_weight"`
	WeightIsSet    bool              `json:"weight_is_set"`
	Prefetch       int               `json:"prefetch"`
	Serving        []servingView     `json:"serving"`
	Labels         map[string]string `json:"labels,omitempty"`
	Client         string            `json:"client"`
	Address        string            `json:"address"`
	ConnectedAt    string            `json:"connected_at"`
	HeartbeatAgeMS int64             `json:"heartbeat_age_ms"`
	DoneTotal      int64             `json:"done_total"`
	FailedTotal    int64             `json:"failed_total"`
}

// servingView is a worker's part in one of its queues.
type servingView struct {
	Queue        string  `json:"queue"`
	InFlight     int     `json:"in_flight"`
	LatencyMS    float64 `json:"latency_ms,omitempty"`
	EjectedUntil string  `json:"ejected_until,omitempty"`
	EjectedFor   string  `json:"ejected_for,omitempty"`
}

func viewWorker(w *fenfa.WorkerInfo) workerView {
	v := workerView{
		ID: w.ID, State: w.State, Queues: w.Queues, Slots: w.Slots, InFlight: w.InFlight, Weight: w.Weight, Labels: w.Labels, Client: w.Client,
		Effective: w.EffectiveWeight, WeightIsSet: w.WeightIsSet, Prefetch: w.Prefetch, Serving: make([]servingView, len(w.Serving)),
		Address: w.Address, ConnectedAt: timeView(w.ConnectedAt), HeartbeatAgeMS: w.HeartbeatAge.Milliseconds(), DoneTotal: w.DoneTotal, FailedTotal: w.FailedTotal,
	}
	for i, q := range w.Serving {
		v.Serving[i] = servingView{
			Queue: q.Queue, InFlight: q.InFlight, LatencyMS: float64(q.Latency) / float64(time.Millisecond),
			EjectedUntil: timeView(q.EjectedUntil), EjectedFor: q.EjectedFor,
		}
	}
	return v
}

type healthView struct {
	Node       string   `json:"node"`
	Version    string   `json:"version"`
	Ready      bool     `json:"ready"`
	Problems   []string `json:"problems"`
	StartedAt  string   `json:"started_at"`
	Partitions int      `json:"partitions"`
	Durability string   `json:"durability"`
}

func viewHealth(h *fenfa.Health) healthView {
	v := healthView{
		Node: h.Node, Version: h.Version, Ready: h.Ready, Problems: h.Problems,
		StartedAt: timeView(h.StartedAt), Partitions: h.Partitions, Durability: h.Durability,
	}
	if v.Problems == nil {
		v.Problems = []string{}
	}
	return v
}

func idText(id fenfa.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// span is a duration without units that are zero: 24h, not 24h0m0s.
func span(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if len(text) > len(zero) && text[len(text)-len(zero):] == zero {
			text = text[:len(text)-2]
		}
	}
	return text
}

func count(n int64) string { return strconv.FormatInt(n, 10) }
