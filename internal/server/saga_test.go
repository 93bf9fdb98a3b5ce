package server

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/task"
)

// wholeDefinition has every field set.
func wholeDefinition() *fenfav1.SagaDefinition {
	return &fenfav1.SagaDefinition{
		Name: "whole", Deadline: durationpb.New(time.Minute), Retention: durationpb.New(time.Hour),
		Stages: []*fenfav1.SagaStage{
			{Steps: []*fenfav1.SagaStep{{
				Name: "a", Queue: "orders", Key: "${input.k}", Type: "ta", Payload: []byte(`{"n":"${input.n}"}`), OnDead: "halt",
				Retry:   &fenfav1.RetryPolicy{Base: durationpb.New(2 * time.Second), Factor: 3, Max: durationpb.New(time.Minute), MaxAttempts: 4},
				Timeout: durationpb.New(5 * time.Second),
				Compensation: &fenfav1.SagaCompensation{
					Queue: "mail", Type: "tu", Payload: []byte(`{}`), Retry: &fenfav1.RetryPolicy{MaxAttempts: 9}, Timeout: durationpb.New(6 * time.Second), When: "tried",
				},
			}}},
			{Steps: []*fenfav1.SagaStep{{Name: "b", Queue: "mail"}, {Name: "c", Queue: "mail"}}},
		},
	}
}

func TestADefinitionSurvivesTheWire(t *testing.T) {
	h := newHarness(t)
	c := fenfav1.NewSagaServiceClient(h.conn)
	sent := wholeDefinition()
	got, err := c.Define(t.Context(), &fenfav1.DefineSagaRequest{Definition: sent})
	if err != nil || !got.GetCreated() || len(got.GetDefinition().GetVersion()) != 12 {
		t.Fatalf("define: %v, %v", got, err)
	}
	sent.Version = got.GetDefinition().GetVersion()
	if !proto.Equal(sent, got.GetDefinition()) {
		t.Errorf("sent %v\n got %v", sent, got.GetDefinition())
	}
}

func TestDefinitionsThatCannotBeReadAreRefusedByField(t *testing.T) {
	h := newHarness(t)
	c := fenfav1.NewSagaServiceClient(h.conn)
	for name, change := range map[string]func(d *fenfav1.SagaDefinition){
		"definition.deadline":  func(d *fenfav1.SagaDefinition) { d.Deadline = &durationpb.Duration{Nanos: -1} },
		"definition.retention": func(d *fenfav1.SagaDefinition) { d.Retention = &durationpb.Duration{Seconds: 1, Nanos: -1} },
		"definition.stages[0].timeout": func(d *fenfav1.SagaDefinition) {
			d.Stages[0].Steps[0].Timeout = &durationpb.Duration{Nanos: -1}
		},
		"definition.stages[0].retry.base": func(d *fenfav1.SagaDefinition) {
			d.Stages[0].Steps[0].Retry.Base = &durationpb.Duration{Nanos: -1}
		},
		"definition.stages[0].compensation.timeout": func(d *fenfav1.SagaDefinition) {
			d.Stages[0].Steps[0].Compensation.Timeout = &durationpb.Duration{Nanos: -1}
		},
		"steps[1].queue": func(d *fenfav1.SagaDefinition) { d.Stages[1].Steps[0].Queue = "" },
	} {
		t.Run(name, func(t *testing.T) {
			d := wholeDefinition()
			change(d)
			_, err := c.Define(t.Context(), &fenfav1.DefineSagaRequest{Definition: d})
			if e := refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument); e.field != name {
				t.Errorf("the error names field %q", e.field)
			}
		})
	}
	for _, req := range []*fenfav1.DefineSagaRequest{{}, {Definition: wholeDefinition(), Yaml: "name: x"}, {Yaml: "\t"}, {Yaml: "name: x"}} {
		_, err := c.Define(t.Context(), req)
		refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
	}
}

func TestSagasOverGRPC(t *testing.T) {
	h := newHarness(t)
	c, ctx := fenfav1.NewSagaServiceClient(h.conn), t.Context()
	started, err := c.Start(ctx, &fenfav1.StartSagaRequest{Name: "order", Version: "v", Id: "s1", Input: []byte("in")})
	if err != nil || !started.GetDuplicate() || started.GetSaga().GetStatus() != "running" || len(started.GetSaga().GetEvents()) != 2 {
		t.Fatalf("start: %v, %v", started, err)
	}
	got, err := c.Get(ctx, &fenfav1.GetSagaRequest{Id: "s1"})
	if err != nil || string(got.GetSaga().GetInput()) != `{"n":1}` || got.GetDefinition().GetName() != "order" {
		t.Fatalf("get: %v, %v", got, err)
	}
	if run := got.GetSaga().GetSteps()[0].GetRun(); run.GetPhase() != "running" || run.GetTaskState() != fenfav1.TaskState_TASK_STATE_DONE {
		t.Errorf("what runs is shown without where its task is: %v", run)
	}
	if last := got.GetSaga().GetSteps()[1]; last.GetStage() != 1 || last.GetCompensable() || !got.GetSaga().GetSteps()[0].GetCompensable() {
		t.Errorf("the last step is %v", last)
	}
	list, err := c.List(ctx, &fenfav1.ListSagasRequest{Prefix: "p", Name: "order", Status: "halted", PageToken: "t"})
	if err != nil || len(list.GetSagas()) != 1 || list.GetNextPageToken() != "next" || list.GetSagas()[0].GetInput() != nil {
		t.Fatalf("list: %v, %v", list, err)
	}
	if _, err := c.Retry(ctx, &fenfav1.RetrySagaRequest{Id: "s1", Step: "mail", OperationId: "o1"}); err != nil {
		t.Error(err)
	}
	if _, err := c.Skip(ctx, &fenfav1.SkipSagaRequest{Id: "s1", Step: "mail", OperationId: "o2", Reason: "why"}); err != nil {
		t.Error(err)
	}
	if _, err := c.Compensate(ctx, &fenfav1.CompensateSagaRequest{Id: "s1", OperationId: "o3", Reason: "why"}); err != nil {
		t.Error(err)
	}
	if all, err := c.ListDefinitions(ctx, &fenfav1.ListSagaDefinitionsRequest{}); err != nil || len(all.GetDefinitions()) != 1 {
		t.Errorf("definitions: %v, %v", all, err)
	}
	want := []string{"start order v s1 in", "sagas p order halted t", "retry o1 mail ", "skip o2 mail why", "compensate o3  why"}
	if !slices.Equal(h.engine.calls, want) {
		t.Errorf("the engine was asked %q, want %q", h.engine.calls, want)
	}
	_, err = c.List(ctx, &fenfav1.ListSagasRequest{PageSize: 1001})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
	_, err = c.List(ctx, &fenfav1.ListSagasRequest{Status: "stuck"})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
}

func TestErrorsOfTheEngineReachSagas(t *testing.T) {
	h := newHarness(t, func(e *fakeEngine, _ *Config) { e.err = task.Errorf(task.CodeUnavailable, "not now") })
	c, ctx := fenfav1.NewSagaServiceClient(h.conn), t.Context()
	for name, call := range map[string]func() error{
		"define": func() error {
			_, err := c.Define(ctx, &fenfav1.DefineSagaRequest{Definition: wholeDefinition()})
			return err
		},
		"definition":  func() error { _, err := c.GetDefinition(ctx, &fenfav1.GetSagaDefinitionRequest{}); return err },
		"definitions": func() error { _, err := c.ListDefinitions(ctx, &fenfav1.ListSagaDefinitionsRequest{}); return err },
		"start":       func() error { _, err := c.Start(ctx, &fenfav1.StartSagaRequest{Id: "s"}); return err },
		"get":         func() error { _, err := c.Get(ctx, &fenfav1.GetSagaRequest{Id: "s"}); return err },
		"list":        func() error { _, err := c.List(ctx, &fenfav1.ListSagasRequest{}); return err },
		"retry":       func() error { _, err := c.Retry(ctx, &fenfav1.RetrySagaRequest{Id: "s"}); return err },
		"skip":        func() error { _, err := c.Skip(ctx, &fenfav1.SkipSagaRequest{Id: "s"}); return err },
		"compensate":  func() error { _, err := c.Compensate(ctx, &fenfav1.CompensateSagaRequest{Id: "s"}); return err },
	} {
		t.Run(name, func(t *testing.T) { refused(t, call(), codes.Unavailable, task.CodeUnavailable) })
	}
}

func TestSagasOverHTTP(t *testing.T) {
	h := newHarness(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{http.MethodPost, "/v1/saga-definitions", `{"yaml":"name: x\nsteps: [{name: a, queue: orders}]"}`, 200, `"created":true`},
		{http.MethodPost, "/v1/saga-definitions", `{"yaml":"name: x\nstep: []"}`, 400, `did you mean`},
		{http.MethodGet, "/v1/saga-definitions/order?version=v", "", 200, `"name":"order"`},
		{http.MethodGet, "/v1/saga-definitions", "", 200, `"definitions":[`},
		{http.MethodPost, "/v1/sagas", `{"name":"order","id":"a/b"}`, 200, `"duplicate":true`},
		{http.MethodGet, "/v1/sagas/a%2Fb", "", 200, `"id":"a/b"`},
		{http.MethodGet, "/v1/sagas?status=halted&page_size=5", "", 200, `"next_page_token":"next"`},
		{http.MethodGet, "/v1/sagas?nonsense=p", "", 400, `nonsense`},
		{http.MethodPost, "/v1/sagas/s/retry", `{"operation_id":"o"}`, 200, `"saga":`},
		{http.MethodPost, "/v1/sagas/s/skip", `{"operation_id":"o"}`, 200, `"saga":`},
		{http.MethodPost, "/v1/sagas/s/compensate", `{"operation_id":"o"}`, 200, `"saga":`},
	} {
		r := h.do(t, c.method, c.path, strings.NewReader(c.body))
		if r.status != c.status || !strings.Contains(strings.ReplaceAll(r.body, `": `, `":`), c.says) {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.status, r.body)
		}
	}
}

func TestTheNodesOwnQueuesAreNotConfigured(t *testing.T) {
	h := newHarness(t)
	_, err := fenfav1.NewQueueServiceClient(h.conn).Configure(t.Context(), &fenfav1.ConfigureQueueRequest{Queue: &fenfav1.Queue{Name: saga.Queue}})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
}

func TestAStepIsHandedOutWithItsSaga(t *testing.T) {
	in := someSaga("s1")
	in.State.Steps[0].Do.Phase, in.State.Steps[0].Result = saga.PhaseDone, []byte("r")
	actions, err := begunAgain(in)
	if err != nil {
		t.Fatal(err)
	}
	step := actions.Emits[0]
	step.Headers = append(step.Headers, task.Header{Name: "z", Value: "1"})
	w := leaseToWire(&task.Lease{Tasks: []task.Leased{{Task: step}, {Task: task.Task{Queue: "q"}}}}).GetTasks()
	s := w[0].GetSaga()
	if s.GetId() != "s1" || s.GetName() != "order" || s.GetStep() != "reserve" || !s.GetCompensation() || s.GetTry() != 1 || s.GetNull() {
		t.Errorf("the saga is %v", s)
	}
	if len(s.GetResults()) != 1 || s.GetResults()[0].GetStep() != "reserve" || string(s.GetResults()[0].GetValue()) != "r" {
		t.Errorf("the results are %v", s.GetResults())
	}
	if headers := w[0].GetHeaders(); len(headers) != 1 || headers["z"] != "1" {
		t.Errorf("the headers are %v", headers)
	}
	if w[1].GetSaga() != nil {
		t.Error("a plain task belongs to a saga")
	}
	shown := statusToWire(&partition.TaskStatus{Task: &step})
	if shown.GetTask().GetSaga().GetId() != "s1" {
		t.Error("a step's status does not name its saga")
	}
}

// begunAgain has the first step of a saga undone.
func begunAgain(in *saga.Instance) (saga.Actions, error) {
	actions, _, err := in.Operate(time.Unix(1_700_000_100, 0), &saga.Operation{ID: "o", Do: saga.DoCompensate})
	return actions, err
}
