package rabbitmq

import (
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa/internal/task"
)

func TestAParcelIsSettledTaskByTask(t *testing.T) {
	p := newParcel(identity{}, 100, []uint32{10, 20, 30}, nil)
	now := time.Unix(1_800_000_000, 0)
	p.given = 2
	if _, ok := p.settle(102, now); ok {
		t.Error("a task was settled that nobody was given")
	}
	if size, ok := p.settle(101, now); !ok || size != 20 {
		t.Errorf("settled %v, %d bytes", ok, size)
	}
	if _, ok := p.settle(101, now.Add(time.Hour)); ok {
		t.Error("a task was settled twice")
	}
	if !p.begun || p.settled() || !p.since.Equal(now) {
		t.Errorf("one of three is settled: %+v", p)
	}
	p.given = 3
	p.settle(100, now)
	p.settle(102, now)
	if !p.settled() {
		t.Errorf("all are settled: %+v", p)
	}
}

func TestWhatAnEarlierReaderSettledIsNotHandedOut(t *testing.T) {
	known := newDone(5)
	for _, i := range []int{0, 2, 4} {
		known.set(i)
	}
	var l leftover
	who := identity{stamp: 7}
	l.put(who, known)
	if l.claim(who, 70) != nil || l.claim(who, 5) != nil {
		t.Fatal("a message of another size got it, or it was kept")
	}
	l.put(who, newDone(5))
	l.put(who, known) // both count
	d := amqp.Delivery{Type: packType, CorrelationId: "7", MessageId: task.DeriveID("a").String(), Body: packed("a", "b", "c", "d", "e")}
	_, s, sizes := unpack(&d)
	s.parcel = newParcel(who, 1, sizes, l.claim(who, 5))
	s.skipGiven()
	if s.left() != 2 {
		t.Errorf("%d bytes are left", s.left())
	}
	for _, want := range []struct {
		position int
		body     string
	}{{2, "b"}, {4, "d"}} {
		if got := s.take(); int(got.Position) != want.position || string(got.Body) != want.body || got.ID != task.DeriveID(want.body) {
			t.Errorf("got %q at %d, want %+v", got.Body, got.Position, want)
		}
	}
	if !s.over() {
		t.Error("something is left")
	}
}

func TestAStateOfAnotherSizeDoesNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		settled done
		tasks   int
		want    bool
	}{
		"nothing":        {nil, 1, false},
		"one":            {done{1}, 1, true},
		"beyond the end": {done{2}, 1, false},
		"a full word":    {done{1 << 63}, 64, true},
		"two words":      {done{0, 1}, 65, true},
		"too long":       {done{0, 0}, 64, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.settled.fits(c.tasks); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
