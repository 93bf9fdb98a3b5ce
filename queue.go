package fenfa

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Order says which tasks of a queue wait for each other.
type Order string

// OnDead says what a key does after one of its tasks became a dead letter.
type OnDead string

// The values of queue settings that are names.
const (
	OrderKey   Order  = "key"  // tasks of one key run one at a time, in order
	OrderNone  Order  = "none" // no task waits for another
	OnDeadSkip OnDead = "skip" // go on with the key's next task
	OnDeadHalt OnDead = "halt" // the key waits for a person
)

// Names of balancing policies and of what consistent_hash does when a worker is
// full.
const (
	BalanceRoundRobin     = "round_robin"     // turns
	BalanceRandom         = "random"          // a draw by weight
	BalanceWeighted       = "weighted"        // smooth turns by weight
	BalanceLeastInflight  = "least_inflight"  // the least loaded for its weight
	BalanceP2C            = "p2c"             // the better of two drawn ones, by latency and load
	BalanceConsistentHash = "consistent_hash" // a key stays with its worker
	OverflowNext          = "next"
	OverflowWait          = "wait"
)

// BalancePolicies returns the names of all policies.
func BalancePolicies() []string {
	return []string{BalanceRoundRobin, BalanceRandom, BalanceWeighted, BalanceLeastInflight, BalanceP2C, BalanceConsistentHash}
}

// Balance is a balancing policy and its parameters.
type Balance struct {
	Policy    string  // default least_inflight
	LoadBound float64 // consistent_hash: the most load of one worker over the mean, default 1.25
	Overflow  string  // consistent_hash: next (default) or wait
}

// RetryPolicy says when a failed attempt is tried again: after the n-th failure
// the delay is drawn uniformly from [0, min(Max, Base*Factor^(n-1))].
type RetryPolicy struct {
	Base        time.Duration // default 1 s
	Factor      float64       // default 2, at least 1
	Max         time.Duration // default 10 min
	MaxAttempts int           // failures until the task is a dead letter, default 10
}

// Queue is the configuration of a queue. In ConfigureQueue the zero value of a
// field means "as it is", or the default where the queue is new.
type Queue struct {
	Name            string // letters, digits, '.', '_' and '-', at most 128
	Order           Order  // default OrderKey
	OnDead          OnDead // default OnDeadSkip
	Balance         Balance
	Share           float64   // weight against other queues on workers that serve both, 0.001 to 1000, default 1
	Placement       Placement // what it asks of workers; AnyWorker takes a list back
	Retry           RetryPolicy
	Timeout         time.Duration // per attempt, default 30 s
	Batch           int           // most tasks of a key in one lease, default 256
	MaxDeliveries   int           // hand-outs until a task that kills its workers is a dead letter, default 20
	DedupeWindow    time.Duration // how long a repeated submit is recognized, default 24 h
	ResultTTL       time.Duration // how long a result is kept at least, default 24 h
	MaxBacklogTasks int64         // default 100 million
	MaxBacklogBytes int64         // default 64 GiB
	DeadTTL         time.Duration // how long a dead letter is kept; default: until somebody deletes it, which NoLimit sets again
	Concurrency     int           // most of its tasks that run at a time; NoLimit takes it away
	KeyConcurrency  int           // with OrderNone: most tasks of one key that run at a time; NoLimit takes it away
	Rate            Rate          // of tasks that start; NoLimit as PerSecond takes it away
	Paused          bool          // nothing is handed out; PauseQueue and ResumeQueue change it, ConfigureQueue does not
	Priorities      Switch        // tasks take weighted turns by their priority: high 6, normal 3, low 1; default SwitchOff
	Webhook         *Webhook      // URLs that tasks are pushed to; nil: as it is, at first none
}

// QueueStats is what a queue holds and did.
type QueueStats struct {
	BacklogTasks   int64     // in the broker's log, not finished
	BacklogBytes   int64     // of these
	Oldest         time.Time // creation of the oldest of these; zero: none
	Scheduled      int64     // waiting for their time
	Parked         int64     // set aside behind a blocked lane
	Ready          int64     // waiting for a worker
	Running        int64     // at workers
	BlockedLanes   int64     // lanes that wait for a retry
	HaltedLanes    int64     // lanes that wait for a person
	Dead           int64     // dead letters
	DoneTotal      int64     // since the node started
	FailedTotal    int64     // since the node started
	DeadTotal      int64     // since the node started
	CancelledTotal int64     // since the node started
	Workers        int64     // that may get tasks now which ask no more than the queue does
	// StartP50 and StartP99 are what half of the tasks, and 99% of them, took at most
	// over the last 10 to 20 s from when they could start, for all that stood before
	// them, to their hand-out. Zero: nothing was handed out.
	StartP50 time.Duration
	StartP99 time.Duration
	// Waiting is what ready tasks ask of workers, those first that no worker may get.
	// At most 20; only from DescribeQueue.
	Waiting []WaitingClass
	// LimitedBy is the limit of the queue that keeps tasks from starting now:
	// "concurrency" or "rate". Empty: neither does.
	LimitedBy string
}

// WaitingClass is the ready tasks of a queue that ask the same of workers.
type WaitingClass struct {
	Placement Placement // with what the queue asks
	Tasks     int64     // ready ones; those that are parked are not among them
	Parked    bool      // others of them are parked until a worker takes some
	Workers   int64     // that may get them now
}

// QueueInfo is a queue's configuration and what it holds.
type QueueInfo struct {
	Queue
	Stats QueueStats
}

// ConfigureQueue creates a queue, or changes the settings that are given; it
// takes effect at once. It returns the whole configuration as it is now, and
// whether the queue is new.
func (c *Client) ConfigureQueue(ctx context.Context, q Queue) (now Queue, created bool, err error) {
	resp, err := call(ctx, c, "configure queue", c.queues.Configure, &fenfav1.ConfigureQueueRequest{Queue: q.toWire()})
	if err != nil {
		return Queue{}, false, err
	}
	return queueOf(resp.GetQueue()), resp.GetCreated(), nil
}

// DescribeQueue returns one queue. It fails with CodeNotFound where there is
// none of the name.
func (c *Client) DescribeQueue(ctx context.Context, name string) (QueueInfo, error) {
	resp, err := call(ctx, c, "describe queue", c.queues.Describe, &fenfav1.DescribeQueueRequest{Name: name})
	if err != nil {
		return QueueInfo{}, err
	}
	return queueInfoOf(resp), nil
}

// Queues returns all queues, by name.
func (c *Client) Queues(ctx context.Context) ([]QueueInfo, error) {
	resp, err := call(ctx, c, "list queues", c.queues.List, &fenfav1.ListQueuesRequest{})
	if err != nil {
		return nil, err
	}
	infos := make([]QueueInfo, len(resp.GetQueues()))
	for i, q := range resp.GetQueues() {
		infos[i] = queueInfoOf(q)
	}
	return infos, nil
}

func (p RetryPolicy) toWire() *fenfav1.RetryPolicy {
	if p == (RetryPolicy{}) {
		return nil
	}
	return &fenfav1.RetryPolicy{
		Base:        durationToWire(p.Base),
		Factor:      p.Factor,
		Max:         durationToWire(p.Max),
		MaxAttempts: clampUint32(p.MaxAttempts),
	}
}

func (q Queue) toWire() *fenfav1.Queue {
	w := &fenfav1.Queue{
		Name:            q.Name,
		Order:           string(q.Order),
		OnDead:          string(q.OnDead),
		Share:           q.Share,
		Placement:       q.Placement.toWire(),
		Retry:           q.Retry.toWire(),
		Timeout:         durationToWire(q.Timeout),
		Batch:           clampUint32(q.Batch),
		MaxDeliveries:   clampUint32(q.MaxDeliveries),
		DedupeWindow:    durationToWire(q.DedupeWindow),
		ResultTtl:       durationToWire(q.ResultTTL),
		MaxBacklogTasks: q.MaxBacklogTasks,
		MaxBacklogBytes: q.MaxBacklogBytes,
	}
	if q.Balance != (Balance{}) {
		w.Balance = &fenfav1.Balance{Policy: q.Balance.Policy, LoadBound: q.Balance.LoadBound, Overflow: q.Balance.Overflow}
	}
	w.Webhook = q.Webhook.toWire()
	q.limitsToWire(w)
	w.Priorities = q.Priorities.toWire()
	if w.DeadTtl = durationToWire(q.DeadTTL); q.DeadTTL == NoLimit {
		w.DeadTtl = &durationpb.Duration{}
	}
	return w
}

func queueOf(w *fenfav1.Queue) Queue {
	return Queue{
		Name:   w.GetName(),
		Order:  Order(w.GetOrder()),
		OnDead: OnDead(w.GetOnDead()),
		Balance: Balance{
			Policy:    w.GetBalance().GetPolicy(),
			LoadBound: w.GetBalance().GetLoadBound(),
			Overflow:  w.GetBalance().GetOverflow(),
		},
		Share:     w.GetShare(),
		Placement: placementOf(w.GetPlacement()),
		Webhook:   webhookOf(w.GetWebhook()),
		Retry: RetryPolicy{
			Base:        w.GetRetry().GetBase().AsDuration(),
			Factor:      w.GetRetry().GetFactor(),
			Max:         w.GetRetry().GetMax().AsDuration(),
			MaxAttempts: int(w.GetRetry().GetMaxAttempts()),
		},
		Timeout:         w.GetTimeout().AsDuration(),
		Batch:           int(w.GetBatch()),
		MaxDeliveries:   int(w.GetMaxDeliveries()),
		DedupeWindow:    w.GetDedupeWindow().AsDuration(),
		ResultTTL:       w.GetResultTtl().AsDuration(),
		MaxBacklogTasks: w.GetMaxBacklogTasks(),
		MaxBacklogBytes: w.GetMaxBacklogBytes(),
		DeadTTL:         w.GetDeadTtl().AsDuration(),
		Paused:          w.GetPaused(),
		Priorities:      switchOf(w.GetPriorities()),
		Concurrency:     int(w.GetConcurrency()),
		KeyConcurrency:  int(w.GetKeyConcurrency()),
		Rate:            Rate{PerSecond: w.GetRate().GetPerSecond(), Burst: int(w.GetRate().GetBurst())},
	}
}

func queueInfoOf(w *fenfav1.DescribeQueueResponse) QueueInfo {
	s := w.GetStats()
	return QueueInfo{Queue: queueOf(w.GetQueue()), Stats: QueueStats{
		BacklogTasks:   s.GetBacklogTasks(),
		BacklogBytes:   s.GetBacklogBytes(),
		Oldest:         timeOf(s.GetOldest()),
		Scheduled:      s.GetScheduled(),
		Parked:         s.GetParked(),
		Ready:          s.GetReady(),
		Running:        s.GetRunning(),
		BlockedLanes:   s.GetBlockedLanes(),
		HaltedLanes:    s.GetHaltedLanes(),
		Dead:           s.GetDead(),
		DoneTotal:      s.GetDoneTotal(),
		FailedTotal:    s.GetFailedTotal(),
		DeadTotal:      s.GetDeadTotal(),
		CancelledTotal: s.GetCancelledTotal(),
		Workers:        s.GetWorkers(),
		StartP50:       s.GetStartP50().AsDuration(),
		StartP99:       s.GetStartP99().AsDuration(),
		Waiting:        waitingOf(s.GetWaiting()),
		LimitedBy:      s.GetLimitedBy(),
	}}
}

func waitingOf(w []*fenfav1.WaitingClass) []WaitingClass {
	if len(w) == 0 {
		return nil
	}
	all := make([]WaitingClass, len(w))
	for i, c := range w {
		all[i] = WaitingClass{Placement: placementOf(c.GetPlacement()), Tasks: c.GetTasks(), Parked: c.GetParked(), Workers: c.GetWorkers()}
	}
	return all
}

// durationToWire leaves a zero duration unset.
func durationToWire(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// timeOf gives the zero time for an unset timestamp.
func timeOf(ts *timestamppb.Timestamp) time.Time {
	if ts == nil {
		return time.Time{}
	}
	return ts.AsTime()
}

// clampUint32 keeps a nonsensical number nonsensical on the wire, so that the
// node refuses it by name, instead of wrapping it into a sensible one.
func clampUint32(n int) uint32 {
	const most = 1<<32 - 1
	if n < 0 || n > most {
		return most
	}
	return uint32(n)
}
