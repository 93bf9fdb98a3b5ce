package server

import (
	"testing"

	"google.golang.org/grpc/codes"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/task"
)

func TestRecordsOverGRPC(t *testing.T) {
	h := newHarness(t)
	c := fenfav1.NewStateServiceClient(h.conn)
	got, err := c.Get(t.Context(), &fenfav1.GetRecordRequest{Key: "k", Name: "n"})
	if err != nil || got.GetRecord().GetVersion() != 3 {
		t.Fatalf("get: %v, %v", got, err)
	}
	scan, err := c.Scan(t.Context(), &fenfav1.ScanRecordsRequest{KeyPrefix: "sku", PageSize: 1000})
	if err != nil || len(scan.GetRecords()) != 1 || scan.GetNextPageToken() != "next" {
		t.Fatalf("scan: %v, %v", scan, err)
	}
	put, err := c.Put(t.Context(), &fenfav1.PutRecordRequest{Key: "k", Name: "n", ExpectedVersion: 8})
	if err != nil || put.GetVersion() != 9 {
		t.Fatalf("put: %v, %v", put, err)
	}
	history, err := c.History(t.Context(), &fenfav1.RecordHistoryRequest{Key: "k", Name: "n"})
	if err != nil || len(history.GetChanges()) != 1 || len(history.GetChanges()[0].GetHash()) != 32 {
		t.Fatalf("history: %v, %v", history, err)
	}
	_, err = c.Scan(t.Context(), &fenfav1.ScanRecordsRequest{PageSize: 1001})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
	_, err = c.History(t.Context(), &fenfav1.RecordHistoryRequest{PageSize: 1001})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
	_, err = c.Put(t.Context(), &fenfav1.PutRecordRequest{Key: "k", Name: "n", Value: make([]byte, task.MaxRecordValue+1)})
	refused(t, err, codes.InvalidArgument, task.CodeTooLarge)
	_, err = c.Put(t.Context(), &fenfav1.PutRecordRequest{Key: "k", Name: "n", ExpectedVersion: 1, AnyVersion: true})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
	_, err = c.Put(t.Context(), &fenfav1.PutRecordRequest{Key: "k", Name: "n", Value: []byte("v"), Delete: true})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
}

func TestErrorsOfTheEngineReachEveryResource(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) { e.err = task.Errorf(task.CodeUnavailable, "not now") })
	state, queue, tasks := fenfav1.NewStateServiceClient(h.conn), fenfav1.NewQueueServiceClient(h.conn), h.tasks()
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"task":    func() error { _, err := tasks.Get(ctx, &fenfav1.GetTaskRequest{Id: someID}); return err },
		"get":     func() error { _, err := state.Get(ctx, &fenfav1.GetRecordRequest{}); return err },
		"scan":    func() error { _, err := state.Scan(ctx, &fenfav1.ScanRecordsRequest{}); return err },
		"put":     func() error { _, err := state.Put(ctx, &fenfav1.PutRecordRequest{Key: "k", Name: "n"}); return err },
		"history": func() error { _, err := state.History(ctx, &fenfav1.RecordHistoryRequest{}); return err },
		"describe": func() error {
			_, err := queue.Describe(ctx, &fenfav1.DescribeQueueRequest{Name: "orders"})
			return err
		},
		"list": func() error { _, err := queue.List(ctx, &fenfav1.ListQueuesRequest{}); return err },
	} {
		t.Run(name, func(t *testing.T) { refused(t, call(), codes.Unavailable, task.CodeUnavailable) })
	}
}

func TestQueuesOverGRPC(t *testing.T) {
	h := newHarness(t)
	c := fenfav1.NewQueueServiceClient(h.conn)
	now, err := c.Configure(t.Context(), &fenfav1.ConfigureQueueRequest{Queue: &fenfav1.Queue{Name: "q", Batch: 9}})
	if err != nil || !now.GetCreated() || now.GetQueue().GetBatch() != 9 || now.GetQueue().GetOrder() != "key" {
		t.Fatalf("configure: %v, %v", now, err)
	}
	_, err = c.Configure(t.Context(), &fenfav1.ConfigureQueueRequest{})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
	_, err = c.Configure(t.Context(), &fenfav1.ConfigureQueueRequest{Queue: &fenfav1.Queue{Name: "q", MaxBacklogTasks: -1}})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
	h.worker(t)
	q, err := c.Describe(t.Context(), &fenfav1.DescribeQueueRequest{Name: "orders"})
	if err != nil || q.GetStats().GetWorkers() != 1 || q.GetStats().GetRunning() != 2 {
		t.Fatalf("describe: %v, %v", q, err)
	}
	_, err = c.Describe(t.Context(), &fenfav1.DescribeQueueRequest{Name: "nope"})
	refused(t, err, codes.NotFound, task.CodeNotFound)
	list, err := c.List(t.Context(), &fenfav1.ListQueuesRequest{})
	if err != nil || len(list.GetQueues()) != 2 || list.GetQueues()[0].GetQueue().GetName() != "mail" {
		t.Fatalf("list: %v, %v", list, err)
	}
}

func TestTheClusterOverGRPC(t *testing.T) {
	h := newHarness(t)
	c := fenfav1.NewClusterServiceClient(h.conn)
	health, err := c.Health(t.Context(), &fenfav1.HealthRequest{})
	if err != nil || !health.GetReady() || health.GetStartedAt() == nil || health.GetVersion() != "v0" {
		t.Fatalf("health: %v, %v", health, err)
	}
	h.worker(t)
	h.assign(t, 1, 1)
	list, err := c.Workers(t.Context(), &fenfav1.WorkersRequest{})
	if err != nil || len(list.GetWorkers()) != 1 {
		t.Fatalf("workers: %v, %v", list, err)
	}
	w := list.GetWorkers()[0]
	if w.GetId() != "w1" || w.GetState() != "active" || w.GetSlots() != 4 || w.GetInFlight() != 1 || w.GetWeight() != 1 || w.GetClient() != "test" || w.GetAddress() == "" || w.GetConnectedAt() == nil {
		t.Errorf("worker: %v", w)
	}
}
