package embedded_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/embedded"
	"github.com/fenfa/fenfa/internal/kv/kvtest"
	"github.com/fenfa/fenfa/internal/task"
)

// peeked returns the bodies of all that a log shows from a position on, in pages.
func peeked(t *testing.T, b *embedded.Broker, from broker.Position, page int) (bodies []string) {
	t.Helper()
	for {
		found, next, err := b.Peek(t.Context(), "q", 0, from, broker.Limit{Tasks: page})
		if err != nil || len(found) > page {
			t.Fatalf("%d messages, %v", len(found), err)
		}
		for _, d := range found {
			bodies = append(bodies, string(d.Body))
		}
		if next == 0 {
			return bodies
		}
		from = next
	}
}

func TestALogShowsWhatItsReaderWasNotGiven(t *testing.T) {
	db := openEngine(t, smallEngine(kvtest.NewDisk()))
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	b := openBroker(t, embedded.Config{DB: db})
	if err := b.Declare(t.Context(), broker.Declaration{Queue: "q", Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	if got := peeked(t, b, 0, 3); got != nil {
		t.Errorf("an empty log shows %q", got)
	}
	var want []string
	for i := range 10 {
		body := fmt.Sprint("message ", i)
		want = append(want, body)
		if err := b.Publish(t.Context(), []broker.Message{{Queue: "q", ID: task.NewID(time.Now()), Fingerprint: 1, Body: []byte(body)}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, page := range []int{1, 3, 10, 100} {
		if got := peeked(t, b, 0, page); !slices.Equal(got, want) {
			t.Errorf("pages of %d: %q", page, got)
		}
	}
	r, err := b.Open(t.Context(), "q", 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	given, err := r.Next(t.Context(), broker.Limit{Tasks: 4})
	if err != nil || len(given) != 4 {
		t.Fatalf("%d given, %v", len(given), err)
	}
	if got := peeked(t, b, 0, 3); !slices.Equal(got, want[4:]) {
		t.Errorf("behind what was given: %q", got)
	}
	if err := r.Settle(t.Context(), given[1].Position); err != nil {
		t.Fatal(err)
	}
	if got := peeked(t, b, given[3].Position+3, 100); !slices.Equal(got, want[6:]) {
		t.Errorf("from a position on: %q", got)
	}
	next, err := r.Next(t.Context(), broker.Limit{Tasks: 1})
	if err != nil || len(next) != 1 || string(next[0].Body) != want[4] {
		t.Errorf("the reader goes on with %+v, %v", next, err)
	}
	if _, _, err := b.Peek(t.Context(), "q", 2, 0, broker.Limit{Tasks: 1}); task.CodeOf(err) != task.CodeInvalidArgument {
		t.Errorf("a partition that there is not: %v", err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Peek(t.Context(), "q", 0, 0, broker.Limit{Tasks: 1}); err == nil {
		t.Error("a broker that is closed shows its logs")
	}
}
