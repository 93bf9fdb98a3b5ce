package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa"
)

const tripYAML = `name: trip
deadline: 1h
steps:
  - name: flight
    queue: book
    key: ${input.flight}
    on_dead: halt
    compensation: {when: tried}
  - parallel:
      - {name: hotel, queue: book, payload: {stars: "${input.stars}"}, retry: {max_attempts: 1}, timeout: 5s, compensation: }
      - {name: car, queue: book}
`

// serveTrips runs a node with the queue and the definition of trips, and a worker
// whose flights fail as long as the file is there.
func serveTrips(t *testing.T) (n *served, broken string) {
	t.Helper()
	n = serveNode(t, t.TempDir())
	n.ok(t, &struct{}{}, "queue", "set", "book")
	file := filepath.Join(t.TempDir(), "trip.yaml")
	if err := os.WriteFile(file, []byte(tripYAML), 0o600); err != nil {
		t.Fatal(err)
	}
	var defined struct {
		Name, Version, Deadline string
		Created                 bool
		Steps                   []struct{ Parallel []definedStepView }
	}
	n.ok(t, &defined, "saga", "define", file)
	if defined.Name != "trip" || !defined.Created || defined.Deadline != "1h" || len(defined.Steps) != 2 || len(defined.Steps[1].Parallel) != 2 {
		t.Errorf("defined %+v", defined)
	}
	broken = filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := fenfa.Dial(n.grpc)
	if err != nil {
		t.Fatal(err)
	}
	w := client.Worker(fenfa.WorkerID("agent"))
	w.Handle("book", func(_ context.Context, task *fenfa.Task) error {
		if _, err := os.Stat(broken); err == nil && task.Saga().Step() == "flight" && !task.Saga().Compensation() {
			return fenfa.Reject(errors.New("no seats"))
		}
		return task.Return(map[string]string{"booked": task.Saga().Step()})
	})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, client.Close()); err != nil {
			t.Error(err)
		}
	})
	return n, broken
}

// awaitSaga waits until a saga has a status.
func (n *served) awaitSaga(t *testing.T, id, status string) (saga sagaView) {
	t.Helper()
	waitFor(t, func() bool {
		n.ok(t, &saga, "saga", "show", id)
		return saga.Status == status
	})
	return saga
}

func TestASagaIsRunFromTheCommandLine(t *testing.T) {
	n, broken := serveTrips(t)
	var started struct {
		Status    string
		Duplicate bool
	}
	for i := range 2 {
		n.ok(t, &started, "saga", "start", "trip", "t1", `{"flight":"LH1","stars":4}`)
		if started.Duplicate != (i == 1) {
			t.Errorf("start %d: %+v", i, started)
		}
	}
	saga := n.awaitSaga(t, "t1", "halted")
	if saga.Steps[0].Run.Error != "no seats" || saga.Steps[0].Run.Key != "LH1" || len(saga.Events) != 3 {
		t.Errorf("the saga is %+v", saga)
	}
	_, text, _ := n.run(t, "saga", "show", "t1")
	for _, want := range []string{"flight dead (1 failed attempt, at agent): no seats", "fenfa saga retry t1", "trip", "halted", `{"flight":"LH1","stars":4}`} {
		if !strings.Contains(text, want) {
			t.Errorf("it is shown without %q:\n%s", want, text)
		}
	}
	if code, _, stderr := n.run(t, "saga", "retry", "t1", "--step", "car"); code != exitRefused || !strings.Contains(stderr, "does not wait") {
		t.Errorf("retry of another step: exit code %d: %s", code, stderr)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second is a repeat
		n.ok(t, &saga, "saga", "retry", "t1", "--operation", "op-1")
	}
	saga = n.awaitSaga(t, "t1", "done")
	if string(saga.Steps[1].Result) != `{"booked":"hotel"}` || saga.Steps[0].Run.Try != 2 || saga.EndedAt == "" {
		t.Errorf("the saga is %+v", saga)
	}
	n.ok(t, &saga, "saga", "compensate", "t1", "--reason", "storm")
	n.awaitSaga(t, "t1", "compensated")
	if _, text, _ = n.run(t, "saga", "show", "t1"); !strings.Contains(text, "compensating (operation ") || !strings.Contains(text, ": storm") || !strings.Contains(text, "undo flight done") {
		t.Errorf("it is shown as\n%s", text)
	}
	if code, _, stderr := n.run(t, "saga", "compensate", "t1"); code != exitRefused || !strings.Contains(stderr, "compensated already") {
		t.Errorf("compensate again: exit code %d: %s", code, stderr)
	}
}

func TestAHaltedStepIsSkippedFromTheCommandLine(t *testing.T) {
	n, _ := serveTrips(t)
	n.ok(t, &struct{}{}, "saga", "start", "trip", "t1", `{"flight":"LH1","stars":4}`)
	n.awaitSaga(t, "t1", "halted")
	n.ok(t, &struct{}{}, "saga", "skip", "t1", "--step", "flight", "--reason", "by train")
	n.awaitSaga(t, "t1", "done")
	if _, text, _ := n.run(t, "saga", "show", "t1"); !strings.Contains(text, "flight skipped (operation ") || !strings.Contains(text, "by train") {
		t.Errorf("it is shown as\n%s", text)
	}
}

func TestSagasAndDefinitionsAreListed(t *testing.T) {
	n, _ := serveTrips(t)
	for i := range 5 {
		n.ok(t, &struct{}{}, "saga", "start", "trip", fmt.Sprint("t", i), `{"flight":"LH1","stars":4}`)
	}
	for i := range 5 {
		n.awaitSaga(t, fmt.Sprint("t", i), "halted")
	}
	for args, want := range map[string]int{"": 5, "--status halted": 5, "--status done": 0, "t1": 1, "--name other": 0} {
		var list struct{ Sagas []sagaView }
		n.ok(t, &list, append([]string{"saga", "list"}, strings.Fields(args)...)...)
		if len(list.Sagas) != want {
			t.Errorf("saga list %s: %d sagas, want %d", args, len(list.Sagas), want)
		}
	}
	var page struct {
		Sagas []sagaView
		Next  string
	}
	n.ok(t, &page, "saga", "list", "--limit", "2")
	if len(page.Sagas) != 2 || page.Next == "" {
		t.Errorf("a page has %d sagas and next %q", len(page.Sagas), page.Next)
	}
	if _, text, _ := n.run(t, "saga", "definitions"); !strings.Contains(text, "flight, (hotel | car)") {
		t.Errorf("definitions: %s", text)
	}
	if code, _, stderr := n.run(t, "saga", "list", "--status", "haltd"); code != exitUsage || !strings.Contains(stderr, "did you mean halted?") {
		t.Errorf("a status that is not known: exit code %d: %s", code, stderr)
	}
	for _, args := range []string{"show none", "retry none", "start trips x", "compensate none"} {
		if code, _, stderr := n.run(t, append([]string{"saga"}, strings.Fields(args)...)...); code != exitNotFound {
			t.Errorf("saga %s: exit code %d: %s", args, code, stderr)
		}
	}
	if code, _, stderr := n.run(t, "saga", "define", "none.yaml"); code == exitOK || !strings.Contains(stderr, "none.yaml") {
		t.Errorf("a file that is not there: exit code %d: %s", code, stderr)
	}
}

// shown is a saga for pictures.
func shown() *fenfa.Saga {
	at := func(ms int) time.Time { return time.Date(2024, 3, 1, 10, 0, 0, ms*1e6, time.UTC) }
	return &fenfa.Saga{
		ID: `o"1`, Name: "order", Version: "abc", Status: fenfa.SagaCompensated, Reason: `step "ship": no`, StartedAt: at(0), EndedAt: at(9), Dropped: 2,
		Steps: []fenfa.SagaStepState{
			{Name: "stock", Run: fenfa.SagaRun{Phase: "done", Try: 1}, Compensation: fenfa.SagaRun{Phase: "done", Try: 1}, Compensable: true},
			{Name: "pay", Stage: 1, Run: fenfa.SagaRun{Phase: "skipped", Try: 1}, Compensable: true},
			{Name: "mail", Stage: 1, Run: fenfa.SagaRun{Phase: "done", Try: 1}},
			{Name: "ship", Stage: 2, Run: fenfa.SagaRun{Phase: "dead", Try: 2, Attempts: 3, Error: "no"}},
		},
		Events: []fenfa.SagaEvent{
			{At: at(0), What: "started"},
			{At: at(5), What: "dead", Step: "ship", Try: 2, Attempts: 3, Worker: "w", Text: "no"},
			{At: at(5), What: "compensating", Text: `step "ship": no`},
			{At: at(8), What: "done", Step: "stock", Compensation: true, Try: 1},
			{At: at(1009), What: "ended"},
		},
	}
}

func TestTheTimelineIsReadable(t *testing.T) {
	var b strings.Builder
	timeline(&b, shown())
	want := `    +0s  * started
           (2 events are not kept)
   +5ms  x ship dead (try 2, 3 failed attempts, at w): no
   +5ms  < compensating: step "ship": no
   +8ms  + undo stock done
+1.009s  * compensated
`
	if b.String() != want {
		t.Errorf("the timeline is\n%s\nwant\n%s", b.String(), want)
	}
}

func TestTheDiagramShowsStepsAndCompensations(t *testing.T) {
	var b strings.Builder
	drawSaga(&b, shown())
	want := `flowchart TD
    begin(["o#quot;1<br>order"])
    s0["stock<br>done"]:::done
    s0 -.-> u0["undo stock<br>done"]:::done
    begin --> s0
    s1["pay<br>skipped"]:::skipped
    s1 -.-> u1["undo pay<br>-"]:::none
    s2["mail<br>done"]:::done
    s0 --> s1
    s0 --> s2
    s3["ship<br>dead"]:::dead
    s1 --> s3
    s2 --> s3
    s3 --> finish
    finish(["compensated"])
`
	if got, _, _ := strings.Cut(b.String(), "    classDef"); got != want {
		t.Errorf("the diagram is\n%s\nwant\n%s", got, want)
	}
}
