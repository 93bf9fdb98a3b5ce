package history

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRecorderCollectsFromManyGoroutines(t *testing.T) {
	const logs, each = 8, 500
	r := NewRecorder(RecorderConfig{})
	var wg sync.WaitGroup
	taken := make(chan History, 1)
	stop := make(chan struct{})
	go func() {
		var all History
		for {
			select {
			case <-stop:
				all.Add(r.Take())
				taken <- all
				return
			default:
				all.Add(r.Take())
			}
		}
	}()
	for range logs {
		wg.Go(func() {
			l := r.Log()
			for i := range each {
				start := l.Now()
				l.Submit(sub("a", start, l.Now(), OK))
				l.Delivery(del("a", "w", uint64(i), start, l.Now()))
				l.Effect(eff("a", uint64(i), 1))
				l.Final(fin("a", 0))
				l.Access(acc(Read, start, l.Now(), 0, 0, "", OK))
				l.Snapshot(Snapshot{Group: "g"})
			}
			l.Group(Group{Name: "g"})
			l.Unordered("q")
		})
	}
	wg.Wait()
	close(stop)
	h := <-taken
	if want := logs * (6*each + 2); h.Len() != want {
		t.Errorf("%d entries, want %d", h.Len(), want)
	}
	if rest := r.Take(); rest.Len() != 0 {
		t.Errorf("%d entries were taken twice", rest.Len())
	}
	for _, s := range h.Submits {
		if s.End < s.Start {
			t.Fatalf("a submit ended before it began: %+v", s)
		}
	}
}

func TestTimesAreNanosecondsOfTheEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewRecorder(RecorderConfig{}).Log()
		before := l.Now()
		if want := time.Now().UnixNano(); before != want {
			t.Errorf("now is %d, want %d", before, want)
		}
		timer := time.NewTimer(3 * time.Second)
		<-timer.C
		if passed := l.Now() - before; passed != int64(3*time.Second) {
			t.Errorf("%d ns passed in 3 s", passed)
		}
	})
}
