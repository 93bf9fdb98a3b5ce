package task

import (
	"math"
	"slices"
	"strings"
	"time"
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

// Policies of balance, as named in settings.
const (
	BalanceRoundRobin     = "round_robin"     // turns
	BalanceRandom         = "random"          // a draw by weight
	BalanceWeighted       = "weighted"        // smooth turns by weight
	BalanceLeastInflight  = "least_inflight"  // the least loaded for its weight
	BalanceP2C            = "p2c"             // the better of two drawn ones, by latency and load
	BalanceConsistentHash = "consistent_hash" // a key stays with its worker
)

// BalancePolicies are the names of all policies, in the order in which help and
// errors list them.
func BalancePolicies() []string {
	return []string{BalanceRoundRobin, BalanceRandom, BalanceWeighted, BalanceLeastInflight, BalanceP2C, BalanceConsistentHash}
}

// RetryPolicy says when a failed attempt is tried again: after the n-th failure
// the delay is drawn uniformly from [0, min(Max, Base*Factor^(n-1))] (full
// jitter, as in the AWS Architecture Blog, "Exponential Backoff And Jitter").
type RetryPolicy struct {
	Base        time.Duration // default 1 s
	Factor      float64       // default 2, at least 1
	Max         time.Duration // default 10 min
	MaxAttempts int           // failures until the task is a dead letter; default 10
}

// Ceiling is the longest delay after the n-th failure, n counted from 1.
func (p RetryPolicy) Ceiling(n int) time.Duration {
	d := float64(p.Base) * math.Pow(p.Factor, float64(n-1))
	if d > float64(p.Max) || math.IsNaN(d) || math.IsInf(d, 0) {
		return p.Max
	}
	return time.Duration(d)
}

// Delay is the delay after the n-th failure for u, uniform in [0, 1).
func (p RetryPolicy) Delay(n int, u float64) time.Duration {
	return time.Duration(u * float64(p.Ceiling(n)))
}

// Validate reports the first field that is out of range.
func (p RetryPolicy) Validate() error {
	switch {
	case p.Base < 0 || p.Base > 24*time.Hour:
		return Errorf(CodeInvalidArgument, "retry.base %v is out of range: want 0 to 24h", p.Base).WithField("retry.base")
	case p.Factor < 1 || p.Factor > 100 || math.IsNaN(p.Factor):
		return Errorf(CodeInvalidArgument, "retry.factor %v is out of range: want 1 to 100", p.Factor).WithField("retry.factor")
	case p.Max < p.Base || p.Max > 366*24*time.Hour:
		return Errorf(CodeInvalidArgument, "retry.max %v is out of range: want retry.base to 8784h", p.Max).WithField("retry.max")
	case p.MaxAttempts < 1 || p.MaxAttempts > 10000:
		return Errorf(CodeInvalidArgument, "retry.max_attempts %d is out of range: want 1 to 10000", p.MaxAttempts).WithField("retry.max_attempts")
	}
	return nil
}

// Balance is a balancing policy and its parameters.
type Balance struct {
	Policy    string  `json:"policy"`     // default least_inflight
	LoadBound float64 `json:"load_bound"` // consistent_hash: the most load over the mean, default 1.25
	Overflow  string  `json:"overflow"`   // consistent_hash: next (default) or wait
}

// Queue is the configuration of one queue. The zero value of a field in a
// change means "as it is"; DefaultQueue has every field set.
type Queue struct {
	Name            string
	Order           Order
	OnDead          OnDead
	Balance         Balance
	Share           float64   // weight against other queues on workers that serve both, default 1
	Placement       Placement // what it asks of workers
	Retry           RetryPolicy
	Timeout         time.Duration // per attempt, default 30 s
	Batch           int           // most tasks of a key in one lease, default 256
	MaxDeliveries   int           // hand-outs until a task that kills its workers is a dead letter, default 20
	DedupeWindow    time.Duration // default 24 h
	ResultTTL       time.Duration // how long a result is kept at least, default 24 h
	MaxBacklogTasks int64         // default 100 million
	MaxBacklogBytes int64         // default 64 GiB
	Concurrency     int           // most of its tasks that run at a time; 0: no limit
	KeyConcurrency  int           // without order: most tasks of one key that run at a time; 0: no limit
	Rate            Rate          // of tasks that start
	DeadTTL         time.Duration // how long a dead letter is kept; 0, the default: until somebody deletes it
	Paused          bool          // nothing is handed out; no part of a change
	Webhook         *Webhook      // nil: tasks are not pushed
	Priorities      Switch        // tasks take turns by their priority; default off
	Banded          bool          // priorities are on, or were once: there are logs for them; no part of a change
}

// DefaultQueue returns the settings of a queue that nobody configured.
func DefaultQueue(name string) Queue {
	return Queue{
		Name:            name,
		Order:           OrderKey,
		OnDead:          OnDeadSkip,
		Balance:         Balance{Policy: BalanceLeastInflight, LoadBound: 1.25, Overflow: "next"},
		Share:           1,
		Retry:           RetryPolicy{Base: time.Second, Factor: 2, Max: 10 * time.Minute, MaxAttempts: 10},
		Timeout:         30 * time.Second,
		Batch:           256,
		MaxDeliveries:   20,
		DedupeWindow:    24 * time.Hour,
		ResultTTL:       24 * time.Hour,
		MaxBacklogTasks: 100_000_000,
		MaxBacklogBytes: 64 << 30,
		Priorities:      SwitchOff,
	}
}

// ValidateQueueName reports whether name can name a queue: 1 to 128 characters,
// letters, digits, '.', '_' and '-', not beginning with '.' or '-'.
func ValidateQueueName(name string) error {
	if name == "" {
		return Errorf(CodeInvalidArgument, "the queue has no name: set queue").WithField("queue")
	}
	if len(name) > MaxQueueName {
		return Errorf(CodeInvalidArgument, "queue name has %d bytes; at most %d are allowed", len(name), MaxQueueName).WithField("queue")
	}
	for i, r := range name {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || i > 0 && strings.ContainsRune(".-", r)
		if !ok {
			return Errorf(CodeInvalidArgument, "queue name %q has %q at byte %d: want letters, digits, '_', and '.' or '-' not in front", name, r, i).WithField("queue")
		}
	}
	return nil
}

// Validate reports the first setting that is out of range.
func (q *Queue) Validate() error {
	if err := ValidateQueueName(q.Name); err != nil {
		return err
	}
	if q.Order != OrderKey && q.Order != OrderNone {
		return Errorf(CodeInvalidArgument, "order %q is not known: want key or none", q.Order).WithField("order")
	}
	if q.OnDead != OnDeadSkip && q.OnDead != OnDeadHalt {
		return Errorf(CodeInvalidArgument, "on_dead %q is not known: want skip or halt", q.OnDead).WithField("on_dead")
	}
	if err := q.Balance.Validate(); err != nil {
		return err
	}
	if err := q.Retry.Validate(); err != nil {
		return err
	}
	if !(q.Share >= 1./1000 && q.Share <= 1000) {
		return Errorf(CodeInvalidArgument, "share %v is out of range: want 0.001 to 1000", q.Share).WithField("share")
	}
	if err := q.Placement.Validate(); err != nil {
		return err
	}
	if q.Webhook != nil {
		if err := q.Webhook.Validate(); err != nil {
			return err
		}
	}
	if err := q.validateLimits(); err != nil {
		return err
	}
	if err := q.validatePriorities(); err != nil {
		return err
	}
	for _, c := range []struct {
		field            string
		got, least, most int64
	}{
		{"timeout (ms)", q.Timeout.Milliseconds(), 1, 24 * 3600 * 1000},
		{"batch", int64(q.Batch), 1, 10_000},
		{"max_deliveries", int64(q.MaxDeliveries), 1, 10_000},
		{"dedupe_window (s)", int64(q.DedupeWindow.Seconds()), 60, 366 * 24 * 3600},
		{"result_ttl (s)", int64(q.ResultTTL.Seconds()), 1, 366 * 24 * 3600},
		{"dead_ttl (s)", int64(math.Ceil(q.DeadTTL.Seconds())), 0, 100 * 366 * 24 * 3600},
		{"max_backlog_tasks", q.MaxBacklogTasks, 1, math.MaxInt64},
		{"max_backlog_bytes", q.MaxBacklogBytes, 1 << 20, math.MaxInt64},
	} {
		if c.got < c.least || c.got > c.most {
			return Errorf(CodeInvalidArgument, "%s is %d: want %d to %d", c.field, c.got, c.least, c.most).WithField(c.field)
		}
	}
	return nil
}

// Validate reports the first parameter that is out of range.
func (b Balance) Validate() error {
	if policies := BalancePolicies(); !slices.Contains(policies, b.Policy) {
		return Errorf(CodeInvalidArgument, "balance policy %q is not known: want one of %s",
			b.Policy, strings.Join(policies, ", ")).WithField("balance.policy")
	}
	if b.LoadBound < 1.01 || b.LoadBound > 100 {
		return Errorf(CodeInvalidArgument, "balance load_bound %v is out of range: want 1.01 to 100", b.LoadBound).WithField("balance.load_bound")
	}
	if b.Overflow != "next" && b.Overflow != "wait" {
		return Errorf(CodeInvalidArgument, "balance overflow %q is not known: want next or wait", b.Overflow).WithField("balance.overflow")
	}
	return nil
}

// Merge takes over every field of change that is set.
func (q *Queue) Merge(change Queue) {
	set(&q.Order, change.Order)
	set(&q.OnDead, change.OnDead)
	set(&q.Balance.Policy, change.Balance.Policy)
	set(&q.Balance.LoadBound, change.Balance.LoadBound)
	set(&q.Balance.Overflow, change.Balance.Overflow)
	set(&q.Share, change.Share)
	set(&q.Placement.Require, change.Placement.Require)
	set(&q.Placement.Prefer, change.Placement.Prefer)
	for _, s := range []*Selector{&q.Placement.Require, &q.Placement.Prefer} {
		if *s == AnyWorker {
			*s = ""
		}
	}
	set(&q.Retry.Base, change.Retry.Base)
	set(&q.Retry.Factor, change.Retry.Factor)
	set(&q.Retry.Max, change.Retry.Max)
	set(&q.Retry.MaxAttempts, change.Retry.MaxAttempts)
	if change.Webhook != nil {
		q.Webhook = q.Webhook.merge(change.Webhook)
	}
	set(&q.Timeout, change.Timeout)
	set(&q.Batch, change.Batch)
	set(&q.MaxDeliveries, change.MaxDeliveries)
	set(&q.DedupeWindow, change.DedupeWindow)
	set(&q.ResultTTL, change.ResultTTL)
	set(&q.MaxBacklogTasks, change.MaxBacklogTasks)
	set(&q.MaxBacklogBytes, change.MaxBacklogBytes)
	q.mergeLimits(&change)
	q.mergePriorities(&change)
	if set(&q.DeadTTL, change.DeadTTL); q.DeadTTL == NoLimit {
		q.DeadTTL = 0
	}
}

func set[T comparable](field *T, value T) {
	var zero T
	if value != zero {
		*field = value
	}
}
