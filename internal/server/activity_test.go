package server

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/activity"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// kept is an activity.Store in memory, of one day.
type kept struct {
	mu   sync.Mutex
	rows map[string][]byte
}

func (k *kept) PutActivity(_ context.Context, _, name string, value []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rows[name] = value
	return nil
}

func (k *kept) Activity(_ context.Context, day, after string, limit int) ([]task.Record, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var found []task.Record
	for name, value := range k.rows {
		if name > after && day == time.Now().UTC().Format("2006-01-02") {
			found = append(found, task.Record{Name: name, Value: value})
		}
	}
	slices.SortFunc(found, func(a, b task.Record) int { return strings.Compare(a.Name, b.Name) })
	return found[:min(limit, len(found))], nil
}

func (k *kept) TrimActivity(context.Context, string) (int, error) { return 0, nil }

func TestChangesAreKeptWithWhoAskedForThem(t *testing.T) {
	recorder, err := activity.New(activity.Config{Store: &kept{rows: map[string][]byte{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(recorder.Close)
	h := newGuarded(t, func(e *fakeEngine, cfg *Config) {
		cfg.Activity = recorder
		e.status = func(id task.ID) (partition.TaskStatus, error) {
			return partition.TaskStatus{ID: id, Queue: "orders"}, nil
		}
	})
	admin := h.token(t, "boss", "*:admin")
	ctx := bearing(t.Context(), admin)
	queues := fenfav1.NewQueueServiceClient(h.conn)
	if _, err := queues.Configure(ctx, &fenfav1.ConfigureQueueRequest{Queue: &fenfav1.Queue{Name: "new", Timeout: durationpb.New(time.Second)}}); err != nil {
		t.Fatal(err)
	}
	_, _ = queues.Configure(ctx, &fenfav1.ConfigureQueueRequest{Queue: &fenfav1.Queue{Name: "fenfa.own"}})
	if _, err := queues.List(ctx, &fenfav1.ListQueuesRequest{}); err != nil {
		t.Fatal(err)
	}
	// What changes nothing is not kept.
	if _, err := queues.Purge(ctx, &fenfav1.PurgeQueueRequest{Name: "orders", DryRun: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := fenfav1.NewDeadServiceClient(h.conn).DeleteAll(ctx, &fenfav1.DeleteAllDeadRequest{DryRun: true}); err != nil {
		t.Fatal(err)
	}
	if got := h.do(t, "DELETE", "/v1/tokens/nobody", nil, "Authorization", "Bearer "+admin); got.status != 404 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	resp, err := fenfav1.NewActivityServiceClient(h.conn).List(ctx, &fenfav1.ListActivityRequest{PageSize: 10})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, a := range resp.GetActivities() {
		lines = append(lines, a.GetActor()+" "+a.GetMethod()+" "+strings.Join(a.GetOn(), ",")+" "+a.GetOutcome())
		if a.GetAddress() == "" || a.GetTokenId() == "" {
			t.Errorf("an entry is %v", a)
		}
	}
	slices.Sort(lines)
	if got := strings.Join(lines, "; "); got != "boss QueueService.Configure fenfa.own invalid_argument; boss QueueService.Configure new ok; boss TokenService.Revoke nobody not_found" {
		t.Errorf("kept: %s", got)
	}
	for _, a := range resp.GetActivities() {
		if a.GetOutcome() == "ok" && !strings.Contains(strings.ReplaceAll(a.GetRequest(), " ", ""), `"timeout":"1s"`) {
			t.Errorf("the request is %s", a.GetRequest())
		}
	}
}

// TestRequestsAreKeptWithoutSecrets shows requests with something in every place that
// may hold one.
func TestRequestsAreKeptWithoutSecrets(t *testing.T) {
	const canary = "pa55word"
	for _, m := range []proto.Message{
		&fenfav1.SubmitRequest{Tasks: []*fenfav1.Task{{Queue: "visible", Payload: []byte(canary), Headers: map[string]string{"authorization": canary}}}},
		&fenfav1.CreateTokenResponse{Secret: canary, Token: &fenfav1.Token{Name: "visible"}},
		&fenfav1.PutRecordRequest{Key: "visible", Value: []byte(canary)},
		&fenfav1.StartSagaRequest{Id: "visible", Input: []byte(canary)},
	} {
		before := proto.Clone(m)
		if got := shown(m); strings.Contains(got, canary) || strings.Contains(got, "cGE1NXdvcmQ") || !strings.Contains(got, "visible") {
			t.Errorf("it shows %s", got)
		}
		if !proto.Equal(before, m) {
			t.Error("the request was changed")
		}
	}
	if got := shown(&fenfav1.AcquireLockRequest{Name: strings.Repeat("é", 10_000)}); len(got) > maxShownRequest+3 {
		t.Errorf("it shows %d bytes", len(got))
	}
}

// TestWhichMethodsAreChanges names those that are, so that a new one is looked at.
func TestWhichMethodsAreChanges(t *testing.T) {
	all := rules()
	for method, want := range map[string]bool{
		fenfav1.QueueService_Configure_FullMethodName: true, fenfav1.TaskService_Cancel_FullMethodName: true, fenfav1.LockService_Steal_FullMethodName: true,
		fenfav1.SagaService_Skip_FullMethodName: true, fenfav1.ShardService_Move_FullMethodName: true, fenfav1.ClusterService_DrainWorker_FullMethodName: true,
		fenfav1.TokenService_Create_FullMethodName: true, fenfav1.TokenService_List_FullMethodName: false, fenfav1.TaskService_Submit_FullMethodName: false,
		fenfav1.CronService_Run_FullMethodName: true, fenfav1.CronService_Next_FullMethodName: false, fenfav1.SagaService_Start_FullMethodName: false,
		fenfav1.StateService_Put_FullMethodName: false, fenfav1.ActivityService_List_FullMethodName: false,
	} {
		if changes(method, all[method]) != want {
			t.Errorf("%s is a change: %v", method, !want)
		}
	}
}

func TestWhatAChangeIsAboutIsFoundInItsRequest(t *testing.T) {
	for want, req := range map[string]proto.Message{
		someID:   &fenfav1.CancelTasksRequest{Ids: []string{someID}},
		"orders": &fenfav1.ConfigureQueueRequest{Queue: &fenfav1.Queue{Name: "orders"}},
		"mail":   &fenfav1.PauseQueueRequest{Name: "mail"},
		"daily":  &fenfav1.CreateCronRequest{Definition: &fenfav1.CronDefinition{Name: "daily", Queue: "mail"}},
		"shop":   &fenfav1.DefineSagaRequest{Definition: &fenfav1.SagaDefinition{Name: "shop"}},
	} {
		if got := namesIn(req); !slices.Equal(got, []string{want}) {
			t.Errorf("%T is about %v, want %s", req, got, want)
		}
	}
}
