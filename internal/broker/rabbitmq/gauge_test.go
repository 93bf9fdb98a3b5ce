package rabbitmq

import "testing"

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
	g.leave(2, 61)
	admit(10, false, true)
	if tasks, bytes := g.read(); tasks != 2 || bytes != 50 {
		t.Errorf("it counts %d tasks, %d bytes", tasks, bytes)
	}
}

func TestGaugeFollowsCounts(t *testing.T) {
	for name, c := range map[string]struct {
		counted      int64
		tasks, bytes int64
	}{
		"as known":     {4, 5, 500},
		"others added": {14, 15, 1500},
		"others took":  {1, 2, 200},
		"nothing left": {-1, 0, 0}, // one that was published meanwhile is gone already
	} {
		t.Run(name, func(t *testing.T) {
			var g gauge
			for range 4 {
				g.admit(100, 0, 0, false)
			}
			mark := g.mark()
			g.admit(100, 0, 0, false) // while the server counts
			g.correct(c.counted, mark)
			if tasks, bytes := g.read(); tasks != c.tasks || bytes != c.bytes {
				t.Errorf("it says %d tasks, %d bytes, want %d and %d", tasks, bytes, c.tasks, c.bytes)
			}
		})
	}
}
