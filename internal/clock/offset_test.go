package clock_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fenfa/fenfa/internal/clock"
)

func TestAnAdvancedClockRunsWhatBecameDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := clock.NewOffset(clock.System{})
		began := o.Now()
		fired := make(chan string, 10)
		for name, d := range map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour} {
			o.AfterFunc(d, func() { fired <- name })
		}
		stopped := o.AfterFunc(time.Minute, func() { fired <- "stopped" })
		if !stopped.Stop() || stopped.Stop() {
			t.Error("a timer is stopped once")
		}
		o.Advance(-time.Hour)
		o.Advance(2 * time.Hour)
		synctest.Wait()
		if now, ahead := o.NowAhead(); now.Sub(began) != 2*time.Hour || ahead != 2*time.Hour || !o.Now().Equal(now) {
			t.Errorf("the clock went on by %v, and is ahead by %v", now.Sub(began), ahead)
		}
		first := []string{<-fired, <-fired}
		slices.Sort(first)
		if !slices.Equal(first, []string{"hour", "minute"}) || len(fired) != 0 {
			t.Errorf("fired %v, and %d more", first, len(fired))
		}
		<-time.After(22*time.Hour - time.Second) // time goes on by itself
		synctest.Wait()
		if len(fired) != 0 {
			t.Error("a timer fired early")
		}
		<-time.After(time.Second)
		synctest.Wait()
		if len(fired) != 1 || <-fired != "day" {
			t.Error("a timer that was set anew did not fire")
		}
	})
}

func TestATimerThatFiredCannotBeStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := clock.NewOffset(clock.System{})
		ran := make(chan struct{})
		timer := o.AfterFunc(time.Hour, func() { close(ran) })
		o.Advance(time.Hour)
		<-ran
		if timer.Stop() {
			t.Error("it was stopped after it ran")
		}
		o.Advance(time.Hour)
		synctest.Wait()
	})
}
