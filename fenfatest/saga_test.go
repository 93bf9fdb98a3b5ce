package fenfatest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/fenfatest"
)

// diary remembers what handlers of sagas did, in the order in which they did.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) write(t *fenfa.Task) {
	line := t.Saga().Step()
	if t.Saga().Compensation() {
		line = "undo " + line
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) read() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, ", ")
}

// trip is a saga of three steps, the second of which is two at a time.
func trip() *fenfa.SagaDefinition {
	undo := &fenfa.Compensation{}
	once := fenfa.RetryPolicy{MaxAttempts: 1}
	return fenfa.NewSaga("trip").
		Then(fenfa.Step{Name: "flight", Queue: "book", Key: "f/${input.flight}", Payload: map[string]any{"what": "${input.flight}", "seats": "${input.seats}"}, Retry: once, Compensation: undo}).
		Then(fenfa.Step{Name: "hotel", Queue: "book", Key: "h", Retry: once, Compensation: undo},
			fenfa.Step{Name: "car", Queue: "book", Retry: once, Compensation: undo}).
		Then(fenfa.Step{Name: "mail", Queue: "mail", Payload: map[string]any{"text": "seat ${results.flight.seat}"}, Retry: once, Compensation: undo})
}

type tripInput struct {
	Flight string `json:"flight"`
	Seats  int    `json:"seats"`
	Fails  string `json:"fails,omitempty"`
}

// startTrips runs a node, and a worker with this handler, whose flights have a seat.
func startTrips(t *testing.T, d *fenfa.SagaDefinition, h fenfa.HandlerFunc) *fenfatest.Node {
	t.Helper()
	n := fenfatest.Start(t, fenfatest.WithQueues("book", "mail"))
	w := n.Client().Worker(fenfa.WorkerID("agent"))
	seats := func(ctx context.Context, task *fenfa.Task) error {
		if err := h(ctx, task); err != nil || task.Saga().Step() != "flight" || task.Saga().Compensation() {
			return err
		}
		return task.Return(map[string]string{"seat": "12A"})
	}
	w.Handle("book", seats)
	w.Handle("mail", seats)
	n.Run(w)
	if _, created, err := n.Client().Sagas().Define(t.Context(), d); err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	return n
}

func startTrip(t *testing.T, n *fenfatest.Node, id string) {
	t.Helper()
	if _, duplicate, err := n.Client().Sagas().Start(t.Context(), "trip", id, tripInput{Flight: "LH1", Seats: 2}); err != nil || duplicate {
		t.Fatalf("start saga %s: duplicate %v, %v", id, duplicate, err)
	}
}

func TestASagaRunsItsStepsWithWhatEarlierOnesReturned(t *testing.T) {
	got := make(chan string, 10)
	n := startTrips(t, trip(), func(_ context.Context, task *fenfa.Task) error {
		s := task.Saga()
		var seat struct{ Seat string }
		known, err := s.Result("flight", &seat)
		got <- fmt.Sprint(s.Name(), " ", s.ID(), " ", s.Step(), " ", s.Try(), " ", string(task.Payload()), " key ", task.Key(), " ", known, seat.Seat, err, len(task.Headers()))
		return nil
	})
	startTrip(t, n, "t1")
	saga := n.AwaitSaga(t.Context(), "t1")
	if saga.Status != fenfa.SagaDone || saga.Reason != "" {
		t.Fatalf("the saga is %s: %s", saga.Status, saga.Reason)
	}
	close(got)
	var lines []string
	for line := range got {
		lines = append(lines, line)
	}
	input := `{"flight":"LH1","seats":2}`
	for i, want := range []string{
		`trip t1 flight 1 {"seats":2,"what":"LH1"} key f/LH1 false<nil> 0`,
		"", "", // hotel and car in either order
		`trip t1 mail 1 {"text":"seat 12A"} key  true12A<nil> 0`,
	} {
		if want != "" && lines[i] != want {
			t.Errorf("handler %d got %s\nwant %s", i, lines[i], want)
		}
	}
	for _, want := range []string{`trip t1 hotel 1 ` + input + ` key h true12A<nil> 0`, `trip t1 car 1 ` + input + ` key  true12A<nil> 0`} {
		if lines[1] != want && lines[2] != want {
			t.Errorf("no handler got %s, but %q", want, lines[1:3])
		}
	}
	if string(saga.Steps[0].Result) != `{"seat":"12A"}` || saga.Steps[0].Run.Worker != "agent" || !saga.Steps[0].Compensable || saga.Steps[2].Stage != 1 {
		t.Errorf("the step is shown as %+v", saga.Steps[0])
	}
	again, duplicate, err := n.Client().Sagas().Start(t.Context(), "trip", "t1", tripInput{Flight: "LH1", Seats: 2})
	if err != nil || !duplicate || again.Status != fenfa.SagaDone {
		t.Errorf("the same start again: %s, duplicate %v, %v", again.Status, duplicate, err)
	}
	if _, _, err := n.Client().Sagas().Start(t.Context(), "trip", "t1", tripInput{Flight: "LH2"}); !errors.Is(err, fenfa.ErrAlreadyExists) {
		t.Errorf("another start of the same id: %v", err)
	}
}

func TestADeadStepUndoesWhatWasDoneNewestFirst(t *testing.T) {
	for fails, want := range map[string][]string{
		"flight": {"flight"},
		"mail": {
			"flight, hotel, car, mail, undo hotel, undo car, undo flight", "flight, car, hotel, mail, undo hotel, undo car, undo flight",
			"flight, hotel, car, mail, undo car, undo hotel, undo flight", "flight, car, hotel, mail, undo car, undo hotel, undo flight",
		},
		"hotel": {"flight, hotel, car, undo car, undo flight", "flight, car, hotel, undo car, undo flight"},
	} {
		t.Run(fails, func(t *testing.T) {
			d := &diary{}
			n := startTrips(t, trip(), func(_ context.Context, task *fenfa.Task) error {
				d.write(task)
				if task.Saga().Step() == fails && !task.Saga().Compensation() {
					return fenfa.Reject(errors.New("full"))
				}
				return nil
			})
			startTrip(t, n, "t1")
			saga := n.AwaitSaga(t.Context(), "t1")
			if saga.Status != fenfa.SagaCompensated || saga.Reason != fmt.Sprintf("step %q: full", fails) {
				t.Errorf("the saga is %s: %s", saga.Status, saga.Reason)
			}
			got := d.read()
			if !slices.Contains(want, got) {
				t.Errorf("the handlers ran %s, want one of %q", got, want)
			}
		})
	}
}

// A handler that is still at work when its step is given up finishes after its
// compensation: its outcome is stale, and nothing that it wrote takes effect.
func TestAStepThatHangsTakesNoEffectAfterItsCompensation(t *testing.T) {
	release, late := make(chan struct{}), make(chan struct{})
	ends := sync.OnceFunc(func() { close(late) })
	d := trip()
	d.Stages = d.Stages[:1]
	d.Stages[0][0].Timeout = 50 * time.Millisecond
	d.Stages[0][0].Compensation = &fenfa.Compensation{When: fenfa.WhenTried}
	undone := make(chan bool, 10)
	n := startTrips(t, d, func(_ context.Context, task *fenfa.Task) error {
		if task.Queue() == "mail" {
			return nil
		}
		if task.Saga().Compensation() {
			undone <- task.Saga().Null()
			task.State().Put("undone", true)
			return nil
		}
		defer ends()
		<-release
		task.State().Put("booked", true)
		task.Emit(fenfa.NewTask("mail", "booked"))
		return nil
	})
	startTrip(t, n, "t1")
	saga := n.AwaitSaga(t.Context(), "t1")
	if saga.Status != fenfa.SagaCompensated || !strings.Contains(saga.Reason, "took longer than 50ms") {
		t.Fatalf("the saga is %s: %s", saga.Status, saga.Reason)
	}
	if null := <-undone; !null {
		t.Error("the compensation was not told that the step had no effect")
	}
	close(release)
	<-late
	// The same worker's next outcome comes after the late one.
	marker := fenfa.NewTask("mail", "x", fenfa.Key("f/LH1"))
	if _, err := n.Client().Submit(t.Context(), marker); err != nil {
		t.Fatal(err)
	}
	n.Await(t.Context(), marker.ID())
	if _, err := n.Client().State().Get(t.Context(), "f/LH1", "booked"); !errors.Is(err, fenfa.ErrNotFound) {
		t.Errorf("the late handler's record: %v", err)
	}
	after := n.AwaitSaga(t.Context(), "t1")
	if after.Status != fenfa.SagaCompensated || len(after.Events) != len(saga.Events) || len(undone) != 0 {
		t.Errorf("the late outcome moved the saga: %s, %d events before and %d after", after.Status, len(saga.Events), len(after.Events))
	}
}

// What is dead by timeout and what is compensated is nobody's dead letter: it cannot
// be brought back behind the saga's back.
func TestAStepLeavesNoDeadLetter(t *testing.T) {
	n := startTrips(t, trip(), func(context.Context, *fenfa.Task) error { return fenfa.Reject(errors.New("full")) })
	startTrip(t, n, "t1")
	saga := n.AwaitSaga(t.Context(), "t1")
	dead, _, err := n.Client().DeadLetters(t.Context(), fenfa.DeadFilter{Queue: "book"}, fenfa.Page{})
	if err != nil || len(dead) != 0 {
		t.Errorf("%d dead letters, %v", len(dead), err)
	}
	st, err := n.Client().Task(t.Context(), saga.Steps[0].Run.TaskID)
	if err != nil || st.State != fenfa.StateDead || st.Error != "full" {
		t.Errorf("the step's task: %+v, %v", st, err)
	}
	if _, err := n.Client().DeadLetter(t.Context(), saga.Steps[0].Run.TaskID); !errors.Is(err, fenfa.ErrNotFound) {
		t.Errorf("its dead letter: %v", err)
	}
}

// Nobody can make up a step, write into a saga's records, or speak to sagas.
func TestWhatBelongsToSagasIsOutOfReach(t *testing.T) {
	ran := make(chan struct{}, 1)
	n := startTrips(t, trip(), func(_ context.Context, task *fenfa.Task) error {
		if task.Saga().ID() == "" {
			ran <- struct{}{}
			task.State().Of("fenfa.saga/t1").Put("x", 1)
			task.Emit(fenfa.NewTask("fenfa.sagas", "x"))
		}
		return nil
	})
	c := n.Client()
	for name, forged := range map[string]*fenfa.Task{
		"queue": fenfa.NewTask("fenfa.sagas", "x"), "header": fenfa.NewTask("book", "x", fenfa.Header("fenfa.saga", "x")),
		"key": fenfa.NewTask("book", "x", fenfa.Key("fenfa.saga/t1")),
	} {
		if _, err := c.Submit(t.Context(), forged); codeOf(err) != fenfa.CodeInvalidArgument {
			t.Errorf("a forged %s: %v", name, err)
		}
	}
	if _, err := c.State().PutAny(t.Context(), "fenfa.saga/t1", "state", "{}"); codeOf(err) != fenfa.CodeInvalidArgument {
		t.Errorf("a write into a saga's record: %v", err)
	}
	if _, _, err := c.ConfigureQueue(t.Context(), fenfa.Queue{Name: "fenfa.sagas", Batch: 1}); codeOf(err) != fenfa.CodeInvalidArgument {
		t.Errorf("a change of the queue: %v", err)
	}
	inside := fenfa.NewTask("book", "x", fenfa.Key("k"))
	if _, err := c.Submit(t.Context(), inside); err != nil {
		t.Fatal(err)
	}
	<-ran
	if st := n.Await(t.Context(), inside.ID()); st.State != fenfa.StateDead || !strings.Contains(st.Error, "belongs to the node") {
		t.Errorf("a handler that writes there: %s, %s", st.State, st.Error)
	}
}

func TestAHaltedSagaWaitsForAPersonOverRestarts(t *testing.T) {
	var mu sync.Mutex
	broken := true
	d := trip()
	d.Stages[2][0].OnDead = fenfa.OnDeadHalt
	n := startTrips(t, d, func(_ context.Context, task *fenfa.Task) error {
		mu.Lock()
		defer mu.Unlock()
		if task.Saga().Step() == "mail" && broken {
			return fenfa.Reject(errors.New("no server"))
		}
		return nil
	})
	startTrip(t, n, "t1")
	n.AwaitSaga(t.Context(), "t1", fenfa.SagaHalted)
	n.Restart()
	n.AwaitSaga(t.Context(), "t1", fenfa.SagaHalted)
	sagas := n.Client().Sagas()
	if _, err := sagas.Retry(t.Context(), "t1", fenfa.Operation{Step: "hotel"}); codeOf(err) != fenfa.CodeFailedPrecondition {
		t.Errorf("retry of a step that does not wait: %v", err)
	}
	if _, err := sagas.Retry(t.Context(), "t2", fenfa.Operation{}); !errors.Is(err, fenfa.ErrNotFound) {
		t.Errorf("retry of no saga: %v", err)
	}
	mu.Lock()
	broken = false
	mu.Unlock()
	for range 2 { // a repeat of the operation changes nothing
		if _, err := sagas.Retry(t.Context(), "t1", fenfa.Operation{ID: "op"}); err != nil {
			t.Fatal(err)
		}
	}
	saga := n.AwaitSaga(t.Context(), "t1")
	if mail := saga.Steps[3].Run; saga.Status != fenfa.SagaDone || mail.Try != 2 {
		t.Errorf("the saga is %s after %d tries of its last step", saga.Status, mail.Try)
	}
	if _, err := sagas.Compensate(t.Context(), "t1", fenfa.Operation{Reason: "storm"}); err != nil {
		t.Fatal(err)
	}
	if saga := n.AwaitSaga(t.Context(), "t1", fenfa.SagaCompensated); saga.Reason != "storm" {
		t.Errorf("the reason is %q", saga.Reason)
	}
	changes, _, err := n.Client().State().History(t.Context(), "fenfa.saga/t1", "state", 0, 0)
	if err != nil || len(changes) < 10 {
		t.Errorf("the op log has %d changes of the saga, %v", len(changes), err)
	}
}

func TestResultsThatASagaCannotKeepMakeTheStepDead(t *testing.T) {
	n := startTrips(t, trip(), func(_ context.Context, task *fenfa.Task) error {
		if task.Saga().Step() != "car" {
			return nil
		}
		return task.Return(strings.Repeat("x", 16<<10+1))
	})
	startTrip(t, n, "t1")
	saga := n.AwaitSaga(t.Context(), "t1")
	if saga.Status != fenfa.SagaCompensated || !strings.Contains(saga.Reason, "keeps at most 16384") {
		t.Errorf("the saga is %s: %s", saga.Status, saga.Reason)
	}
}

func TestADeadlineEndsASagaWhoseStepIsTriedAgainAndAgain(t *testing.T) {
	d := trip().Within(300 * time.Millisecond)
	d.Stages[1][0].Retry = fenfa.RetryPolicy{Base: time.Millisecond, Max: 10 * time.Millisecond, MaxAttempts: 10_000}
	n := startTrips(t, d, func(_ context.Context, task *fenfa.Task) error {
		if task.Saga().Step() == "hotel" {
			return errors.New("not yet")
		}
		return nil
	})
	startTrip(t, n, "t1")
	saga := n.AwaitSaga(t.Context(), "t1")
	if saga.Status != fenfa.SagaCompensated || !strings.Contains(saga.Reason, "deadline of 300ms") {
		t.Errorf("the saga is %s: %s", saga.Status, saga.Reason)
	}
}

func TestSagasAreListedPageByPage(t *testing.T) {
	n := startTrips(t, trip(), func(_ context.Context, task *fenfa.Task) error {
		if strings.HasSuffix(task.Saga().ID(), "7") && !task.Saga().Compensation() {
			return fenfa.Reject(errors.New("full"))
		}
		return nil
	})
	const all = 20
	for i := range all {
		startTrip(t, n, fmt.Sprint("t", i))
	}
	for i := range all {
		n.AwaitSaga(t.Context(), fmt.Sprint("t", i))
	}
	for _, tc := range []struct {
		opts fenfa.ListSagasOptions
		want int
	}{
		{fenfa.ListSagasOptions{}, 20},
		{fenfa.ListSagasOptions{Status: fenfa.SagaCompensated}, 2},
		{fenfa.ListSagasOptions{Status: fenfa.SagaDone, Prefix: "t1"}, 10},
		{fenfa.ListSagasOptions{Name: "trip"}, 20},
		{fenfa.ListSagasOptions{Name: "other"}, 0},
	} {
		tc.opts.Size = 3
		seen := map[string]bool{}
		for {
			sagas, next, err := n.Client().Sagas().List(t.Context(), tc.opts)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range sagas {
				seen[s.ID] = true
			}
			if next == "" {
				break
			}
			tc.opts.Token = next
		}
		if len(seen) != tc.want {
			t.Errorf("%+v lists %d sagas, want %d", tc.opts, len(seen), tc.want)
		}
	}
	if _, _, err := n.Client().Sagas().List(t.Context(), fenfa.ListSagasOptions{Status: "stuck"}); codeOf(err) != fenfa.CodeInvalidArgument {
		t.Errorf("a status that is not known: %v", err)
	}
}

func TestASagaKeepsTheDefinitionItBeganWith(t *testing.T) {
	hold := make(chan struct{})
	n := startTrips(t, trip(), func(_ context.Context, task *fenfa.Task) error {
		if task.Saga().Step() == "flight" {
			<-hold
		}
		return nil
	})
	startTrip(t, n, "old")
	sagas := n.Client().Sagas()
	yaml := "name: trip\nsteps: [{name: walk, queue: book}]\n"
	next, created, err := sagas.DefineYAML(t.Context(), []byte(yaml))
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	if _, created, err = sagas.DefineYAML(t.Context(), []byte(yaml)); err != nil || created {
		t.Errorf("the same definition again: created %v, %v", created, err)
	}
	startTrip(t, n, "new")
	close(hold)
	for id, steps := range map[string]int{"old": 4, "new": 1} {
		if saga := n.AwaitSaga(t.Context(), id); saga.Status != fenfa.SagaDone || len(saga.Steps) != steps || (saga.Version == next.Version) != (id == "new") {
			t.Errorf("saga %s is %s with %d steps of version %s", id, saga.Status, len(saga.Steps), saga.Version)
		}
	}
	all, err := sagas.Definitions(t.Context())
	if err != nil || len(all) != 1 || all[0].Version != next.Version {
		t.Errorf("definitions %+v, %v", all, err)
	}
	old := n.AwaitSaga(t.Context(), "old")
	was, err := sagas.Definition(t.Context(), "trip", old.Version)
	if err != nil || len(was.Stages) != 3 || was.Stages[0][0].Key != "f/${input.flight}" {
		t.Errorf("the earlier version: %+v, %v", was, err)
	}
}

func TestDefinitionsAndStartsThatCannotBeAreRefused(t *testing.T) {
	n := startTrips(t, trip(), func(context.Context, *fenfa.Task) error { return nil })
	sagas := n.Client().Sagas()
	for name, check := range map[string]struct {
		err  error
		want fenfa.Code
		says string
	}{
		"queue":      {second(sagas.DefineYAML(t.Context(), []byte("name: x\nsteps: [{name: a, queue: boook}]"))), fenfa.CodeNotFound, `did you mean "book"`},
		"yaml":       {second(sagas.DefineYAML(t.Context(), []byte("name: x\nstep: []"))), fenfa.CodeInvalidArgument, `did you mean "steps"`},
		"definition": {second(sagas.Define(t.Context(), fenfa.NewSaga("x"))), fenfa.CodeInvalidArgument, "0 steps"},
		"nothing":    {second(sagas.DefineYAML(t.Context(), nil)), fenfa.CodeInvalidArgument, "give one of them"},
		"name":       {second(sagas.Start(t.Context(), "tripp", "x", nil)), fenfa.CodeNotFound, `did you mean "trip"`},
		"version":    {second(sagas.StartVersion(t.Context(), "trip", "abc", "x", nil)), fenfa.CodeNotFound, "the latest is"},
		"id":         {second(sagas.Start(t.Context(), "trip", "", nil)), fenfa.CodeInvalidArgument, "1 to 256 bytes"},
		"input":      {second(sagas.Start(t.Context(), "trip", "x", make([]byte, 64<<10+1))), fenfa.CodeTooLarge, "65537 bytes"},
	} {
		if codeOf(check.err) != check.want || !strings.Contains(check.err.Error(), check.says) {
			t.Errorf("%s: %v, want one that says %q", name, check.err, check.says)
		}
	}
}

func second[A, B any](_ A, _ B, err error) error { return err }

func codeOf(err error) fenfa.Code {
	var e *fenfa.Error
	if !errors.As(err, &e) {
		return fenfa.CodeUnknown
	}
	return e.Code
}
