package server

import (
	"context"
	"time"

	"github.com/fenfa/fenfa/internal/cron"
	"github.com/fenfa/fenfa/internal/lock"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/watch"
)

// TaskEngine takes tasks and knows where they are.
type TaskEngine interface {
	// Submit returns one result for each task when all are durable or refused. It
	// may write to the tasks, and does not keep them after it returned.
	Submit(ctx context.Context, tasks []task.Task) []partition.SubmitResult
	TaskStatus(ctx context.Context, id task.ID) (partition.TaskStatus, error)
	// TaskNews takes what a handler says of a task of a lease while it runs.
	TaskNews(w partition.WorkerRef, ref task.LeaseRef, index int, n task.News)
	// AwaitTasks calls tell for each of the tasks as soon as it has ended, or at once
	// with an error where it is not known.
	AwaitTasks(ctx context.Context, ids []task.ID, tell func(partition.TaskStatus, error) error) error
}

// ControlEngine changes what becomes of tasks that are there.
type ControlEngine interface {
	// Cancel returns one result for each task when all that it did is durable.
	Cancel(ctx context.Context, ids []task.ID, why string) []partition.CancelResult
	PauseQueue(ctx context.Context, name string, paused bool) (task.Queue, error)
	PreviewPurge(ctx context.Context, p partition.Purge) (partition.Purged, error)
	PurgeQueue(ctx context.Context, p partition.Purge) (partition.Purged, error)
}

// QueueEngine keeps queues.
type QueueEngine interface {
	ConfigureQueue(ctx context.Context, q task.Queue) (now task.Queue, created bool, err error)
	Queue(name string) (task.Queue, bool)
	Queues() []task.Queue
	QueueStats(ctx context.Context, name string) (partition.QueueStats, error)
	Waiting(ctx context.Context, name string) ([]partition.WaitingClass, error)
}

// SearchEngine finds tasks, and says why they are where they are.
type SearchEngine interface {
	Tasks(ctx context.Context, f partition.TaskFilter, limit int, pageToken string) (partition.TaskPage, error)
	Explain(ctx context.Context, id task.ID) (partition.Explanation, error)
}

// DeadEngine looks after dead letters.
type DeadEngine interface {
	DeadLetters(ctx context.Context, f partition.DeadFilter, limit int, pageToken string) ([]partition.DeadLetter, string, error)
	// DeadLetter, RequeueDead and DeleteDead ask may about the queue of a dead letter,
	// and pass over one about which it fails. An ID may have several.
	DeadLetter(ctx context.Context, id task.ID, may func(queue string) error) (partition.DeadLetter, error)
	// RequeueDead sends the task back, with another payload unless that is nil.
	RequeueDead(ctx context.Context, id task.ID, payload []byte, may func(queue string) error) error
	DeleteDead(ctx context.Context, id task.ID, may func(queue string) error) error
	ChangeDead(ctx context.Context, req partition.DeadChange) (partition.DeadProgress, error)
	HaltedKeys(ctx context.Context, queue, key string, limit int, pageToken string) ([]partition.HaltedKey, string, error)
	ResumeKey(ctx context.Context, queue, key string) error
}

// RecordEngine keeps records and their op log.
type RecordEngine interface {
	GetRecord(ctx context.Context, key, name string) (task.Record, error)
	ScanRecords(ctx context.Context, prefix, name string, limit int, pageToken string) ([]task.Record, string, error)
	PutRecord(ctx context.Context, w task.Write, anyVersion bool) (version uint64, err error)
	Commit(ctx context.Context, req partition.Commit) (partition.CommitResult, error)
	History(ctx context.Context, q partition.HistoryQuery) (partition.HistoryPage, error)
}

// LockEngine hands out locks.
type LockEngine interface {
	AcquireLock(ctx context.Context, r lock.Request) (lock.Held, error)
	RenewLocks(ctx context.Context, refs []partition.LockRef) []partition.Renewal
	ReleaseLock(ctx context.Context, ref partition.LockRef) error
	StealLock(ctx context.Context, r lock.Request) (lock.Held, error)
	Lock(ctx context.Context, name string) (lock.View, error)
	Locks(ctx context.Context, prefix string, limit int, pageToken string) ([]lock.View, string, error)
}

// WatchEngine streams the op log.
type WatchEngine interface {
	// Watch opens a stream of changes. Whoever gets it closes it.
	Watch(ctx context.Context, req *watch.Request) (*watch.Watch, error)
}

// LeaseEngine moves the deadlines of leases.
type LeaseEngine interface {
	ExtendLease(ctx context.Context, w partition.WorkerRef, ref task.LeaseRef, index int, by time.Duration) error
}

// SagaEngine runs sagas.
type SagaEngine interface {
	DefineSaga(ctx context.Context, d *saga.Definition) (version string, created bool, err error)
	SagaDefinition(ctx context.Context, name, version string) (*saga.Definition, error)
	SagaDefinitions(ctx context.Context) ([]*saga.Definition, error)
	StartSaga(ctx context.Context, name, version, id string, input []byte) (in *saga.Instance, existed bool, err error)
	Saga(ctx context.Context, id string) (*saga.Instance, error)
	Sagas(ctx context.Context, filter partition.SagaFilter, limit int, pageToken string) ([]*saga.State, string, error)
	OperateSaga(ctx context.Context, id string, op saga.Operation) (*saga.Instance, error)
}

// CronEngine keeps schedules.
type CronEngine interface {
	CreateCron(ctx context.Context, d cron.Definition) (s *cron.Schedule, created bool, err error)
	OperateCron(ctx context.Context, name string, op cron.Operation) (*cron.Schedule, error)
	Cron(ctx context.Context, name string) (*cron.Schedule, error)
	Crons(ctx context.Context, prefix string, limit int, after string) (all []*cron.Schedule, next string, err error)
	CronTicks(ctx context.Context, name string, count int) ([]time.Time, error)
	DeleteCron(ctx context.Context, name string) (*cron.Schedule, error)
}

// AuditEngine compares records with the op log.
type AuditEngine interface {
	// Audit audits partitions one after another; none: all. It tells of differences
	// and progress from the caller's goroutine.
	Audit(ctx context.Context, req partition.AuditRequest) error
}

// ShardEngine knows where partitions are, and moves them.
type ShardEngine interface {
	Shards(ctx context.Context) (partition.Shards, error)
	// MovePartition begins a move and returns at once.
	MovePartition(ctx context.Context, part, to int) (partition.Move, error)
}

// FlowEngine makes tasks by itself: the steps of sagas, and those of schedules.
type FlowEngine interface {
	SagaEngine
	CronEngine
}

// WorkEngine distributes work.
type WorkEngine interface {
	TaskEngine
	ControlEngine
	QueueEngine
	LeaseEngine
	SearchEngine
	DeadEngine
	FlowEngine
}

// Engine is what the server calls.
type Engine interface {
	WorkEngine
	RecordEngine
	LockEngine
	WatchEngine
	AuditEngine
	ShardEngine
	// Problems says why the node is not ready; none: it is.
	Problems() []string
}

var _ Engine = (*partition.Engine)(nil)
