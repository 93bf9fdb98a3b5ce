package workers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/tests/harness"
)

// patient is a queue whose tasks may fail often.
func patient(name string) fenfa.Queue {
	return fenfa.Queue{Name: name, Retry: fenfa.RetryPolicy{Base: time.Millisecond, Max: 50 * time.Millisecond, MaxAttempts: 10_000}}
}

// sickness returns a file that makes crews sick while it is there, and what makes
// and ends it.
func sickness(t *testing.T) (file string, begin, end func()) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "sick")
	begin = func() {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	end = func() {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	return file, begin, end
}

// TestAWorkerThatFailsEverythingIsEjected makes one of four workers fail every
// attempt of one queue. It is kept from that queue, and from no other, until it is
// well again.
func TestAWorkerThatFailsEverythingIsEjected(t *testing.T) {
	const fine = "fine"
	f := newFleet(t, patient(jobs), patient(fine))
	file, fallSick, getWell := sickness(t)
	crews := f.hireEach("worker-1", "worker-2", "worker-3")
	sick := f.hire(crew{Workers: []string{"sick"}, Sick: file, SickQueue: jobs})
	f.awaitActive("sick")
	load, other := &load{fleet: f, every: 50 * time.Millisecond}, &load{fleet: f, queue: fine, name: "fine", keys: 16, every: 50 * time.Millisecond}
	stop, stopOther := load.start(), other.start()
	f.awaitProgress(50, sick)

	fallSick()
	f.awaitWorkers("the sick worker is ejected", func(all map[string]fenfa.WorkerInfo) bool {
		return ejectedFrom(all["sick"], jobs) == fenfa.EjectedForFailures
	})
	f.awaitRuns("the sick worker works on for the other queue", sick, fine, 50)
	f.awaitProgress(200, crews...)
	if reason := ejectedFrom(f.now()["sick"], fine); reason != "" {
		t.Errorf("the worker is ejected from a queue where it does well: %s", reason)
	}
	getWell()
	f.awaitRuns("the recovered worker has tasks of its queue again", sick, jobs, 20)
	stop()
	stopOther()
	f.check(allowed{failures: true, repeats: true}, append(load.submissions, other.submissions...)...)
	for name, w := range f.now() {
		if name != "sick" && w.FailedTotal > 0 {
			t.Errorf("%s has %d failed attempts", name, w.FailedTotal)
		}
	}
	f.expectEnds(nil)
	f.dismiss(append(crews, sick)...)
}

// TestWorkersThatAllFailAreNotEjected makes all workers fail, or most of them: what
// fails everywhere is not the workers' fault, and half of them stay in any case.
func TestWorkersThatAllFailAreNotEjected(t *testing.T) {
	for name, tc := range map[string]struct{ size, sick, ejected int }{
		"all":  {size: 4, sick: 4, ejected: 0},
		"most": {size: 5, sick: 3, ejected: 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, patient(jobs))
			file, fallSick, getWell := sickness(t)
			var crews []*process
			var names []string
			for i := range tc.size {
				c := crew{Workers: []string{fmt.Sprintf("worker-%d", i)}}
				if i < tc.sick {
					c.Sick = file
				}
				crews, names = append(crews, f.hire(c)), append(names, c.Workers[0])
			}
			f.awaitActive(names...)
			load := &load{fleet: f, every: 50 * time.Millisecond}
			stop := load.start()
			f.awaitProgress(50, crews...)
			fallSick()
			if most := f.mostEjected(3*time.Second, crews[:tc.sick], tc.ejected); most != tc.ejected {
				t.Errorf("%d of %d workers were ejected at a time, want %d", most, tc.size, tc.ejected)
			}
			getWell()
			stop()
			f.check(allowed{failures: true, repeats: true}, load.submissions...)
			f.dismiss(crews...)
		})
	}
}

// ejectedFrom says why a worker is ejected from a queue; empty: it is not.
func ejectedFrom(w fenfa.WorkerInfo, queue string) string {
	for _, s := range w.Serving {
		if s.Queue == queue {
			return s.EjectedFor
		}
	}
	return ""
}

// awaitRuns waits until as many more runs of a queue's tasks have ended well in a
// process.
func (f *fleet) awaitRuns(what string, p *process, queue string, more int) {
	f.t.Helper()
	begin := -1
	harness.Await(f.t, what, func(context.Context) bool {
		n := 0
		for _, run := range f.follow(p) {
			if run.Queue == queue && run.End != 0 && run.Error == "" {
				n++
			}
		}
		if begin < 0 {
			begin = n
		}
		return n-begin >= more
	})
}

// mostEjected waits until attempts have failed in these processes over a length of
// time and at least so many workers are ejected from jobs, and returns how many
// were at most at a time.
func (f *fleet) mostEjected(length time.Duration, all []*process, least int) (most int) {
	f.t.Helper()
	harness.Await(f.t, fmt.Sprintf("attempts have failed for %v", length), func(ctx context.Context) bool {
		workers, err := f.workers(ctx)
		if err != nil {
			return false
		}
		ejected := 0
		for _, w := range workers {
			if ejectedFrom(w, jobs) != "" {
				ejected++
			}
		}
		most = max(most, ejected)
		return f.failing(all) > length && most >= least
	})
	return most
}

// failing is how long attempts have failed in these processes.
func (f *fleet) failing(all []*process) time.Duration {
	f.t.Helper()
	var first, last int64
	for _, p := range all {
		for _, run := range f.follow(p) {
			if run.Error == "" {
				continue
			}
			if first == 0 || run.Start < first {
				first = run.Start
			}
			last = max(last, run.End)
		}
	}
	return time.Duration(last - first)
}
