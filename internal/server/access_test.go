package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/lock"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/store/storefake"
	"github.com/fenfa/fenfa/internal/task"
)

// guardedHarness is a server that asks for tokens.
type guardedHarness struct {
	*harness
	book *access.Book
}

func newGuarded(t *testing.T, change ...func(*fakeEngine, *Config)) *guardedHarness {
	t.Helper()
	book, err := access.Open(t.Context(), access.Config{Meta: storefake.New(storefake.Config{AutoSync: true}).Meta(), Required: true, Refresh: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(book.Close)
	h := newHarness(t, append(change, func(_ *fakeEngine, cfg *Config) { cfg.Access = book })...)
	return &guardedHarness{h, book}
}

// token makes a token with the scopes and returns its secret.
func (h *guardedHarness) token(t *testing.T, name string, scopes ...string) string {
	t.Helper()
	_, secret, err := h.book.Create(t.Context(), access.Spec{Name: name, Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Reveal()
}

func bearing(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// method is one method of a registered service.
type method struct {
	full string
	desc protoreflect.MethodDescriptor
}

// methods lists every method of every service that is registered with gRPC.
func (h *guardedHarness) methods(t *testing.T) []method {
	t.Helper()
	var all []method
	for name := range h.grpc.GetServiceInfo() {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			t.Fatal(err)
		}
		methods := d.(protoreflect.ServiceDescriptor).Methods()
		for i := range methods.Len() {
			m := methods.Get(i)
			all = append(all, method{fmt.Sprintf("/%s/%s", name, m.Name()), m})
		}
	}
	slices.SortFunc(all, func(a, b method) int { return strings.Compare(a.full, b.full) })
	if len(all) < 30 {
		t.Fatalf("only %d methods were found", len(all))
	}
	return all
}

func messageOf(t *testing.T, d protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return kind.New().Interface()
}

// call makes a call of any kind with one message, and returns how it ended.
func (h *guardedHarness) call(t *testing.T, m method, token string, req proto.Message) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(bearing(t.Context(), token), 30*time.Second)
	defer cancel()
	if !m.desc.IsStreamingClient() && !m.desc.IsStreamingServer() {
		return h.conn.Invoke(ctx, m.full, req, messageOf(t, m.desc.Output()))
	}
	s, err := h.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, m.full)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SendMsg(req); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for {
		if err := s.RecvMsg(messageOf(t, m.desc.Output())); err != nil {
			return err
		}
	}
}

// allowed is what a rule asks, read by someone else than the code under test.
func allowed(r rule, scope access.Action) bool {
	for _, n := range r {
		if scope != n.action && scope != access.Admin && (scope != access.State || n.action != access.StateRead) {
			return false
		}
	}
	return true
}

// TestEveryMethodAsksForItsScopes walks every gRPC method with every scope: those of
// its rule are let in, all others are refused by a sentence that names the scope.
func TestEveryMethodAsksForItsScopes(t *testing.T) {
	h := newGuarded(t)
	tokens := map[access.Action]string{}
	for _, a := range access.Actions() {
		tokens[a] = h.token(t, string(a), "*:"+string(a))
	}
	for _, m := range h.methods(t) {
		r, ok := rules()[m.full]
		if !ok {
			t.Errorf("%s has no rule: give it one in rules.go", m.full)
			continue
		}
		req := messageOf(t, m.desc.Input())
		if err := h.call(t, m, "", req); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s without a token: %v", m.full, err)
		}
		if err := h.call(t, m, "fenfa_aaaaaaaaaaaaa_"+strings.Repeat("a", 52), req); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s with a token that nobody made: %v", m.full, err)
		}
		for a, token := range tokens {
			err := h.call(t, m, token, req)
			denied := status.Code(err) == codes.PermissionDenied
			if denied == allowed(r, a) || status.Code(err) == codes.Unauthenticated {
				t.Errorf("%s with %s: %v", m.full, a, err)
			}
			if denied && !strings.Contains(status.Convert(err).Message(), "lacks") {
				t.Errorf("%s with %s does not say what is missing: %v", m.full, a, err)
			}
		}
	}
}

// TestEveryRuleKeepsToTheNamesOfItsScope walks every method that names what it is
// about with a scope on other names, on those names, and on their beginning.
func TestEveryRuleKeepsToTheNamesOfItsScope(t *testing.T) {
	h := newGuarded(t)
	walked := 0
	for _, m := range h.methods(t) {
		for _, n := range rules()[m.full] {
			if n.on.path == "" {
				continue
			}
			walked++
			req := messageOf(t, m.desc.Input())
			fill(req.ProtoReflect(), strings.Split(n.on.path, "."), "orders-1")
			for scope, want := range map[string]bool{"orders-1": true, "orders-*": true, "orders-12": false, "mail": false, "orders": false} {
				if scope == "orders-1" && strings.Contains(n.on.text, "begin") {
					continue
				}
				scopes := []string{scope + ":" + string(n.action)}
				for _, other := range rules()[m.full] {
					scopes = append(scopes, "unrelated:"+string(other.action))
				}
				token := h.token(t, fmt.Sprint("t", walked, "-", strings.Replace(scope, "*", "x", 1)), scopes...)
				err := h.call(t, m, token, req)
				if denied := status.Code(err) == codes.PermissionDenied; denied == want {
					t.Errorf("%s of orders-1 with %s:%s: %v", m.full, scope, n.action, err)
				}
			}
		}
	}
	if walked < 15 {
		t.Errorf("only %d rules were walked", walked)
	}
}

// fill writes a name at a path of a message.
func fill(m protoreflect.Message, path []string, name string) {
	field := m.Descriptor().Fields().ByName(protoreflect.Name(path[0]))
	switch {
	case field.IsList() && len(path) == 1:
		m.Mutable(field).List().Append(protoreflect.ValueOfString(name))
	case field.IsList():
		fill(m.Mutable(field).List().AppendMutable().Message(), path[1:], name)
	case len(path) == 1:
		m.Set(field, protoreflect.ValueOfString(name))
	default:
		fill(m.Mutable(field).Message(), path[1:], name)
	}
}

func TestPagesOfTheNodeShowWhatTheyMayShow(t *testing.T) {
	h := newGuarded(t, func(e *fakeEngine, _ *Config) { e.problems = []string{"the disk /srv is full"} })
	reader, scraper := h.token(t, "r", "*:read"), h.token(t, "m", "*:metrics")
	for _, c := range []struct {
		path, token string
		status      int
		shows       string
	}{
		{"/healthz", "", 200, "alive"},
		{"/readyz", "", 503, "a token is needed"},
		{"/readyz", "wrong", 503, "a token is needed"},
		{"/readyz", reader, 503, "/srv"},
		{"/metrics", "", 401, "token"},
		{"/metrics", reader, 403, "*:metrics"},
		{"/metrics", scraper, 200, "fenfa_server_requests_total"},
		{"/v1/nothing", "", 401, "token"},
		{"/v1/nothing", reader, 404, "no route"},
	} {
		var extra []string
		if c.token != "" {
			extra = []string{"Authorization", "Bearer " + c.token}
		}
		if got := h.do(t, http.MethodGet, c.path, nil, extra...); got.status != c.status || !strings.Contains(got.body, c.shows) {
			t.Errorf("%s with %.8q: %d %s", c.path, c.token, got.status, got.body)
		}
	}
}

func TestOnlyBearerTokensCount(t *testing.T) {
	h := newGuarded(t)
	token := h.token(t, "r", "*:read")
	for value, want := range map[string]int{
		"Bearer " + token: 200, "bearer " + token: 200, "BEARER  " + token: 200,
		token: 401, "Basic " + token: 401, "Bearer": 401, "Bearer " + token + "x": 401, "Bearer " + strings.ToUpper(token): 401, "": 401,
	} {
		if got := h.do(t, http.MethodGet, "/v1/queues", nil, "Authorization", value); got.status != want || strings.Contains(got.body, token) {
			t.Errorf("%.12q: %d %s", value, got.status, got.body)
		}
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token, "authorization", "Bearer "+token)
	if _, err := fenfav1.NewQueueServiceClient(h.conn).List(ctx, &fenfav1.ListQueuesRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("two headers: %v", err)
	}
}

func TestTasksOfForeignQueuesAreRefusedOneByOne(t *testing.T) {
	h := newGuarded(t)
	ctx := bearing(t.Context(), h.token(t, "s", "orders:submit"))
	c := fenfav1.NewTaskServiceClient(h.conn)
	resp, err := c.Submit(ctx, &fenfav1.SubmitRequest{Tasks: []*fenfav1.Task{{Queue: "mail"}, {Queue: "orders"}}})
	if err != nil || resp.GetResults()[0].GetError().GetCode() != fenfav1.Code_CODE_PERMISSION_DENIED || resp.GetResults()[1].GetError() != nil {
		t.Errorf("got %v, %v", resp, err)
	}
	_, err = c.Submit(ctx, &fenfav1.SubmitRequest{Tasks: []*fenfav1.Task{{Queue: "mail"}}})
	refused(t, err, codes.PermissionDenied, task.CodePermissionDenied)
	s, err := c.SubmitStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Send(&fenfav1.SubmitStreamRequest{Sequence: 1, Tasks: []*fenfav1.Task{{Id: someID, Queue: "orders"}, {Id: someID, Queue: "mail"}}})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.Recv()
	if err != nil || len(answer.GetExceptions()) != 1 || answer.GetExceptions()[0].GetIndex() != 1 ||
		answer.GetExceptions()[0].GetResult().GetError().GetCode() != fenfav1.Code_CODE_PERMISSION_DENIED {
		t.Errorf("got %v, %v", answer, err)
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
}

func TestTasksAndSagasAreFoundOnlyByThoseWhoMaySeeTheirQueue(t *testing.T) {
	h := newGuarded(t, func(e *fakeEngine, _ *Config) {
		e.status = func(id task.ID) (partition.TaskStatus, error) {
			if id.String() != someID {
				return partition.TaskStatus{}, task.Errorf(task.CodeNotFound, "unknown")
			}
			return partition.TaskStatus{ID: id, Queue: "orders"}, nil
		}
	})
	c := fenfav1.NewTaskServiceClient(h.conn)
	for scope, want := range map[string]codes.Code{"orders:read": codes.OK, "mail:read": codes.PermissionDenied} {
		ctx := bearing(t.Context(), h.token(t, scope[:4], scope))
		if _, err := c.Get(ctx, &fenfav1.GetTaskRequest{Id: someID}); status.Code(err) != want {
			t.Errorf("%s: %v", scope, err)
		}
		if _, err := c.Get(ctx, &fenfav1.GetTaskRequest{Id: task.DeriveID("x").String()}); status.Code(err) != codes.NotFound {
			t.Errorf("%s: %v", scope, err)
		}
		if _, err := c.Get(ctx, &fenfav1.GetTaskRequest{Id: "no id"}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", scope, err)
		}
	}
}

// TestTasksOfForeignQueuesAreNotCancelled cancels two tasks with a token for the
// queue of one.
func TestTasksOfForeignQueuesAreNotCancelled(t *testing.T) {
	mine, other, gone := task.DeriveID("mine"), task.DeriveID("other"), task.DeriveID("gone")
	h := newGuarded(t, func(e *fakeEngine, _ *Config) {
		e.status = func(id task.ID) (partition.TaskStatus, error) {
			switch id {
			case mine:
				return partition.TaskStatus{Queue: "orders"}, nil
			case other:
				return partition.TaskStatus{Queue: "mail"}, nil
			default:
				return partition.TaskStatus{}, task.Errorf(task.CodeNotFound, "unknown")
			}
		}
	})
	ctx := bearing(t.Context(), h.token(t, "m", "orders:manage"))
	resp, err := fenfav1.NewTaskServiceClient(h.conn).Cancel(ctx, &fenfav1.CancelTasksRequest{Ids: []string{other.String(), mine.String(), gone.String()}})
	if err != nil {
		t.Fatal(err)
	}
	var codes []fenfav1.Code
	for i, r := range resp.GetResults() {
		codes = append(codes, r.GetError().GetCode())
		if want := []task.ID{other, mine, gone}[i]; r.GetId() != want.String() {
			t.Errorf("result %d is of %s, want %s", i, r.GetId(), want)
		}
	}
	if !slices.Equal(codes, []fenfav1.Code{fenfav1.Code_CODE_PERMISSION_DENIED, fenfav1.Code_CODE_UNSPECIFIED, fenfav1.Code_CODE_NOT_FOUND}) {
		t.Errorf("codes are %v", codes)
	}
}

func TestListsShowWhatTheTokenMaySee(t *testing.T) {
	h := newGuarded(t)
	worker := bearing(t.Context(), h.token(t, "w", "*:work"))
	s, err := fenfav1.NewWorkerServiceClient(h.conn).Work(worker)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(&fenfav1.WorkRequest{Hello: &fenfav1.Hello{WorkerId: "w", Queues: []string{"orders", "mail"}, Slots: 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	for scope, want := range map[string]string{"orders:read": "orders", "ma*:read": "mail", "other:read": "", "*:read": "mail orders"} {
		ctx := bearing(t.Context(), h.token(t, strings.Trim(scope, "*:")[:2], scope))
		queues, err := fenfav1.NewQueueServiceClient(h.conn).List(ctx, &fenfav1.ListQueuesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, q := range queues.GetQueues() {
			names = append(names, q.GetQueue().GetName())
		}
		workers, err := fenfav1.NewClusterServiceClient(h.conn).Workers(ctx, &fenfav1.WorkersRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var served []string
		for _, w := range workers.GetWorkers() {
			served = append(served, w.GetQueues()...)
			if len(w.GetServing()) != len(w.GetQueues()) {
				t.Errorf("%s sees %v", scope, w)
			}
		}
		slices.Sort(served)
		if strings.Join(names, " ") != want || strings.Join(served, " ") != want {
			t.Errorf("%s sees queues %v, and workers of %v", scope, names, served)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	<-h.engine.gone
}

// TestWhatAHandlerAsksForNeedsScopes has a worker answer for a task with follow-up
// tasks and records of other keys.
func TestWhatAHandlerAsksForNeedsScopes(t *testing.T) {
	h := newGuarded(t)
	c := authenticated(t, h, "w", "orders:work", "mail:submit", "stock-*:state", "price:state-read")
	for name, want := range map[string]struct {
		outcome *fenfav1.Outcome
		lacks   string
	}{
		"own key":         {&fenfav1.Outcome{Writes: []*fenfav1.Write{{Name: "n"}}, Reads: []*fenfav1.Read{{Name: "n"}}}, ""},
		"allowed":         {&fenfav1.Outcome{Emits: []*fenfav1.Task{{Queue: "mail"}}, Writes: []*fenfav1.Write{{Key: "stock-1"}}, Reads: []*fenfav1.Read{{Key: "price"}, {Key: "stock-2"}}}, ""},
		"emit elsewhere":  {&fenfav1.Outcome{Emits: []*fenfav1.Task{{Queue: "mail"}, {Queue: "payments"}}}, "payments:submit"},
		"emit to its own": {&fenfav1.Outcome{Emits: []*fenfav1.Task{{Queue: "orders"}}}, "orders:submit"},
		"write elsewhere": {&fenfav1.Outcome{Writes: []*fenfav1.Write{{Key: "price"}}}, "price:state"},
		"read elsewhere":  {&fenfav1.Outcome{Reads: []*fenfav1.Read{{Key: "secret"}}}, "secret:state-read"},
	} {
		got := outcomesFromWire(c, &fenfav1.LeaseOutcomes{Outcomes: []*fenfav1.Outcome{want.outcome}})[0]
		if want.lacks == "" {
			if got.Kind != task.OutcomeDone {
				t.Errorf("%s: %+v", name, got)
			}
			continue
		}
		if got.Kind != task.OutcomeRetry || !strings.HasSuffix(got.Error, "lacks the scope "+want.lacks) || len(got.Emits)+len(got.Writes) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// authenticated returns the caller that a new token makes.
func authenticated(t *testing.T, h *guardedHarness, name string, scopes ...string) *access.Caller {
	t.Helper()
	c, err := h.book.Authenticate(task.Secret(h.token(t, name, scopes...)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestARevokedTokenEndsWhatGoesOn has streams and a waiting call open when their
// token is revoked.
func TestARevokedTokenEndsWhatGoesOn(t *testing.T) {
	waits := make(chan struct{})
	h := newGuarded(t, func(e *fakeEngine, _ *Config) {
		e.acquire = func(ctx context.Context, _ lock.Request) (lock.Held, error) {
			close(waits)
			<-ctx.Done()
			return lock.Held{}, ctx.Err()
		}
	})
	ctx := bearing(t.Context(), h.token(t, "w", "*:admin"))
	work, err := fenfav1.NewWorkerServiceClient(h.conn).Work(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := work.Send(&fenfav1.WorkRequest{Hello: &fenfav1.Hello{WorkerId: "w", Queues: []string{"orders"}, Slots: 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := work.Recv(); err != nil {
		t.Fatal(err)
	}
	submit, err := fenfav1.NewTaskServiceClient(h.conn).SubmitStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := submit.Send(&fenfav1.SubmitStreamRequest{Sequence: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := submit.Recv(); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		_, err := fenfav1.NewLockServiceClient(h.conn).Acquire(ctx, &fenfav1.AcquireLockRequest{Name: "l"})
		if status.Code(err) != codes.Unauthenticated {
			t.Errorf("a call that waits: %v", err)
		}
	})
	<-waits
	if _, err := h.book.Revoke(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	_, err = work.Recv()
	refused(t, err, codes.Unauthenticated, task.CodeUnauthenticated)
	_, err = submit.Recv()
	refused(t, err, codes.Unauthenticated, task.CodeUnauthenticated)
	group.Wait()
	<-h.engine.gone
	_, err = fenfav1.NewQueueServiceClient(h.conn).List(ctx, &fenfav1.ListQueuesRequest{})
	refused(t, err, codes.Unauthenticated, task.CodeUnauthenticated)
}

func TestLimitsOfATokenAreAnsweredWithADelay(t *testing.T) {
	h := newGuarded(t)
	limited := func(name string, l access.Limits) context.Context {
		_, secret, err := h.book.Create(t.Context(), access.Spec{Name: name, Scopes: []string{"*:submit", "*:read"}, Limits: l})
		if err != nil {
			t.Fatal(err)
		}
		return bearing(t.Context(), secret.Reveal())
	}
	c := fenfav1.NewTaskServiceClient(h.conn)
	two := &fenfav1.SubmitRequest{Tasks: []*fenfav1.Task{{Queue: "orders", Payload: []byte("12345")}, {Queue: "orders"}}}
	for name, l := range map[string]access.Limits{"requests": {Requests: 0.001}, "tasks": {Tasks: 0.002}, "bytes": {Bytes: 0.005}} {
		ctx := limited(name, l)
		if resp, err := c.Submit(ctx, two); err != nil || resp.GetResults()[0].GetError() != nil {
			t.Errorf("%s: the first one: %v, %v", name, resp, err)
		}
		resp, err := c.Submit(ctx, two)
		if err != nil {
			resp = &fenfav1.SubmitResponse{Results: []*fenfav1.SubmitResult{{Error: errorToWire(errorOf(err))}}}
		}
		e := resp.GetResults()[0].GetError()
		if e.GetCode() != fenfav1.Code_CODE_RESOURCE_EXHAUSTED || e.GetRetryAfter().AsDuration() < time.Minute || !strings.Contains(e.GetMessage(), name) {
			t.Errorf("%s: %+v", name, e)
		}
	}
	s, err := c.SubmitStream(limited("stream", access.Limits{Requests: 0.001, Burst: 15 * time.Minute}))
	if err != nil {
		t.Fatal(err)
	}
	for sequence := range uint64(2) {
		if err := s.Send(&fenfav1.SubmitStreamRequest{Sequence: sequence, Tasks: []*fenfav1.Task{{Id: someID, Queue: "orders"}}}); err != nil {
			t.Fatal(err)
		}
		answer, err := s.Recv()
		if err != nil || len(answer.GetExceptions()) != 1 || answer.GetExceptions()[0].GetResult().GetError().GetRetryAfter().AsDuration() <= 0 {
			t.Errorf("message %d: %v, %v", sequence, answer, err)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
}

// Who has changed what is for admins, also for who may read every record.
func TestRecordsOfTheActivityAreForAdmins(t *testing.T) {
	h := newGuarded(t)
	state, watch := fenfav1.NewStateServiceClient(h.conn), fenfav1.NewWatchServiceClient(h.conn)
	reader, admin := h.token(t, "reader", "*:state-read,state"), h.token(t, "boss", "*:admin")
	const day = "fenfa.activity/2026-05-01"
	for name, read := range map[string]func(ctx context.Context, key string) error{
		"get": func(ctx context.Context, key string) error {
			_, err := state.Get(ctx, &fenfav1.GetRecordRequest{Key: key, Name: "n"})
			return err
		},
		"history": func(ctx context.Context, key string) error {
			_, err := state.History(ctx, &fenfav1.RecordHistoryRequest{Key: key})
			return err
		},
		"commit": func(ctx context.Context, key string) error {
			_, err := state.Commit(ctx, &fenfav1.CommitRecordsRequest{Reads: []*fenfav1.RecordRead{{Key: "k", Name: "n"}, {Key: key, Name: "n"}}})
			return err
		},
		"watch": func(ctx context.Context, key string) error {
			stream, err := watch.Watch(ctx)
			if err != nil {
				return err
			}
			if err := stream.Send(&fenfav1.WatchRequest{Keys: []string{"k", key}}); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if err := stream.CloseSend(); err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		},
	} {
		for _, c := range []struct {
			token, key string
			denied     bool
		}{{reader, day, true}, {reader, "orders", false}, {admin, day, false}} {
			ctx, cancel := context.WithTimeout(bearing(t.Context(), c.token), 30*time.Second)
			if err := read(ctx, c.key); (status.Code(err) == codes.PermissionDenied) != c.denied {
				t.Errorf("%s of %s: %v, want denied %v", name, c.key, err, c.denied)
			}
			cancel()
		}
	}
}
