package rabbitmq

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestAcksAreGatheredWhereNothingIsMissing(t *testing.T) {
	w := newWindow()
	for range 6 {
		w.received()
	}
	for _, tag := range []uint64{2, 3, 5} {
		w.settle(tag)
	}
	if multiple, others := w.acks(4); multiple != 0 || others != nil {
		t.Errorf("with message 1 open: all up to %d, and %v", multiple, others)
	}
	w.settle(1)
	if multiple, others := w.acks(4); multiple != 3 || others != nil {
		t.Errorf("all up to %d, and %v; want 3 and none", multiple, others)
	}
	if multiple, others := w.acks(1); multiple != 0 || !slices.Equal(others, []uint64{5}) {
		t.Errorf("all up to %d, and %v; want 0 and 5", multiple, others)
	}
	w.settle(4)
	if multiple, _ := w.acks(1); multiple != 4 {
		t.Errorf("all up to %d, want 4: 5 was acked by itself and must not be named again", multiple)
	}
}

// server is what RabbitMQ knows of one channel.
type server struct {
	t       *testing.T
	unacked map[uint64]bool
}

func (s *server) ack(multiple uint64, others []uint64) {
	s.t.Helper()
	if multiple > 0 {
		if !s.unacked[multiple] {
			s.t.Fatalf("tag %d is not unacked", multiple)
		}
		for tag := range s.unacked {
			if tag <= multiple {
				delete(s.unacked, tag)
			}
		}
	}
	for _, tag := range others {
		if !s.unacked[tag] {
			s.t.Fatalf("tag %d is not unacked", tag)
		}
		delete(s.unacked, tag)
	}
}

func TestTheServerIsToldOfWhatIsSettledAndOfNothingElse(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		w, s := newWindow(), &server{t: t, unacked: make(map[uint64]bool)}
		var open []uint64
		settled := make(map[uint64]bool)
		next := uint64(1)
		pick := func() uint64 {
			i := random.IntN(len(open))
			tag := open[i]
			open = slices.Delete(open, i, i+1)
			return tag
		}
		for range 400 {
			switch action := random.IntN(10); {
			case action < 4:
				w.received()
				s.unacked[next] = true
				open = append(open, next)
				next++
			case action < 7 && len(open) > 0:
				tag := pick()
				w.settle(tag)
				settled[tag] = true
			case action == 7 && len(open) > 0:
				tag := pick() // Rejected.
				w.told(tag)
				delete(s.unacked, tag)
			case action > 7:
				multiple, others := w.acks(1 + random.IntN(8))
				s.ack(multiple, others)
			}
			for _, tag := range open {
				if !s.unacked[tag] {
					t.Fatalf("seed %d: tag %d was acked and is open", seed, tag)
				}
			}
		}
		multiple, others := w.acks(1)
		s.ack(multiple, others)
		if len(s.unacked) != len(open) {
			t.Fatalf("seed %d: %d tags are unacked and %d open", seed, len(s.unacked), len(open))
		}
	}
}
