package rabbitmq

import (
	"errors"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
)

func TestGaugeHoldsLimits(t *testing.T) {
	var g gauge
	admit := func(size int64, owed, want bool) {
		t.Helper()
		if got := g.admit(size, 3, 100, owed); got != want {
			tasks, bytes := g.read()
			t.Errorf("with %d tasks, %d bytes: a message of %d is admitted: %v", tasks, bytes, size, got)
		}
	}
	admit(60, false, true)
	admit(41, false, false) // too many bytes
	admit(40, false, true)
	admit(1, false, false)
	admit(1, true, true)
	admit(0, false, false) // too many tasks
	g.leave(1, 2, 61)
	admit(10, false, true)
	if tasks, bytes := g.read(); tasks != 2 || bytes != 50 {
		t.Errorf("it counts %d tasks, %d bytes", tasks, bytes)
	}
}

// What was miscounted, as publishes of unknown fate are that the server never got,
// must not keep a queue full for good.
func TestAQueueThatIsFullOnlyInTheCountIsCountedAnew(t *testing.T) {
	q := &queue{name: "q", logs: []*log{{}}}
	q.limits.Store(&broker.Declaration{MaxTasks: 3})
	posting(&q.gauge, 3, 1)
	p := &publication{batch: []broker.Message{{Queue: "q"}}}
	if err := p.admit(0, q); !errors.Is(err, broker.ErrFull) {
		t.Fatalf("a full queue says %v", err)
	}
	if !q.gauge.busy.Load() {
		t.Fatal("after a refusal nobody counts anew")
	}
	now := time.Now()
	for range 2 { // The server has nothing; anything may be on its way to a reader.
		q.gauge.correct(0, 5120, q.gauge.mark(), now)
		now = now.Add(emptyFor)
	}
	if err := p.admit(0, q); err != nil {
		t.Errorf("an empty queue says %v", err)
	}
}

// posting lets a gauge take in messages of some tasks of 100 bytes each.
func posting(g *gauge, messages, tasks int) {
	for range messages {
		for range tasks {
			g.admit(100, 0, 0, false)
		}
		g.post(tasks, 100*tasks)
	}
}

func TestGaugeFollowsCounts(t *testing.T) {
	for name, c := range map[string]struct {
		counted      int64
		coming       int64
		tasks, bytes int64
	}{
		"as known":                            {4, 0, 25, 2500},
		"others added":                        {14, 0, 75, 7500},
		"others added, with room on the way":  {14, 3, 75, 7500},
		"others took":                         {1, 0, 10, 1000},
		"others took more than is on its way": {1, 1, 15, 1500},
		"all that is missing is on its way":   {1, 3, 25, 2500},
		"there is more room on the way":       {1, 100, 25, 2500},
		"nothing left":                        {-1, 0, 0, 0}, // one that was published meanwhile is gone already
	} {
		t.Run(name, func(t *testing.T) {
			var g gauge
			posting(&g, 4, 5)
			mark := g.mark()
			posting(&g, 1, 5) // while the server counts
			g.correct(c.counted, c.coming, mark, time.Now())
			if tasks, bytes := g.read(); tasks != c.tasks || bytes != c.bytes {
				t.Errorf("it says %d tasks, %d bytes, want %d and %d", tasks, bytes, c.tasks, c.bytes)
			}
		})
	}
}

func TestGaugeIsExactAgainWhenWhatWasOnItsWayArrived(t *testing.T) {
	var g gauge
	posting(&g, 3, 7)
	posting(&g, 2, 1)
	for _, counted := range []int64{1, 0, 3, 5} { // the others are between server and reader
		g.correct(counted, 0, g.mark(), time.Now())
	}
	if tasks, bytes := g.read(); tasks != 23 || bytes != 2300 {
		t.Errorf("it says %d tasks, %d bytes", tasks, bytes)
	}
	g.leave(0, 4, 400) // of a message that is not settled as a whole
	if tasks, _ := g.read(); tasks != 19 {
		t.Errorf("it says %d tasks, 4 of 23 were settled", tasks)
	}
}

func TestGaugeDropsWhatItMiscountedOnceTheQueueIsEmpty(t *testing.T) {
	var g gauge
	posting(&g, 2, 10) // it never reached the server
	now := time.Now()
	g.correct(0, 0, g.mark(), now)
	posting(&g, 1, 3)
	g.correct(1, 0, g.mark(), now.Add(time.Minute))
	if tasks, _ := g.read(); tasks == 3 {
		t.Error("the test is wrong: it knew without having seen the queue empty")
	}
	g.leave(1, 3, 300)
	for i := range 3 {
		g.correct(0, 0, g.mark(), now.Add(time.Duration(i)*emptyFor))
	}
	posting(&g, 1, 3)
	g.correct(1, 0, g.mark(), now)
	if tasks, bytes := g.read(); tasks != 3 || bytes != 300 {
		t.Errorf("it says %d tasks, %d bytes, want 3 and 300", tasks, bytes)
	}
}

func TestGaugeBeginsWithWhatWasKnown(t *testing.T) {
	var g gauge
	g.start(volume{Messages: 10, Tasks: 40, Bytes: 4000})
	g.correct(10, 0, g.mark(), time.Now())
	if tasks, bytes := g.read(); tasks != 40 || bytes != 4000 {
		t.Errorf("it says %d tasks, %d bytes", tasks, bytes)
	}
	// Five more were published after it was written down, and are taken to be alike.
	g.correct(15, 0, g.mark(), time.Now())
	if tasks, bytes := g.read(); tasks != 60 || bytes != 6000 {
		t.Errorf("it says %d tasks, %d bytes", tasks, bytes)
	}
}
