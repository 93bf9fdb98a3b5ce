package activity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fenfa/fenfa/internal/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf is a Store in memory.
type shelf struct {
	mu   sync.Mutex
	rows map[string]map[string][]byte // by day and name
	fail error
}

func (s *shelf) PutActivity(_ context.Context, day, name string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if s.rows[day] == nil {
		s.rows[day] = map[string][]byte{}
	}
	s.rows[day][name] = value
	return nil
}

func (s *shelf) Activity(_ context.Context, day, after string, limit int) ([]task.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []task.Record
	for name, value := range s.rows[day] {
		if name > after {
			found = append(found, task.Record{Name: name, Value: value})
		}
	}
	slices.SortFunc(found, func(a, b task.Record) int { return strings.Compare(a.Name, b.Name) })
	return found[:min(limit, len(found))], s.fail
}

func (s *shelf) TrimActivity(_ context.Context, before string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for day, rows := range s.rows {
		if day < before {
			n += len(rows)
			delete(s.rows, day)
		}
	}
	return n, s.fail
}

func newRecorder(t *testing.T, cfg Config) (*Recorder, *shelf) {
	t.Helper()
	s := &shelf{rows: map[string]map[string][]byte{}}
	cfg.Store, cfg.Node = s, "n1"
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r, s
}

// all pages through a list.
func all(t *testing.T, r *Recorder, f Filter, limit int) []Entry {
	t.Helper()
	var found []Entry
	token := ""
	for range 1000 {
		page, next, err := r.List(t.Context(), f, limit, token)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > limit {
			t.Fatalf("a page of %d has %d entries", limit, len(page))
		}
		found = append(found, page...)
		if token = next; token == "" {
			return found
		}
	}
	t.Fatal("the pages do not end")
	return nil
}

func on(entries []Entry) string {
	var names []string
	for i := range entries {
		names = append(names, entries[i].On...)
	}
	return strings.Join(names, " ")
}

func TestTheNewestComesFirstOverDaysAndPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRecorder(t, Config{})
		defer r.Close()
		begin := time.Now()
		for i := range 6 { // One every 10 hours.
			end := r.Begin(t.Context(), Entry{Method: "QueueService.Configure", Actor: []string{"ci", "eve"}[i%2], On: []string{fmt.Sprint("q", i)}})
			<-time.After(time.Millisecond)
			end("ok", "")
			<-time.After(10*time.Hour - time.Millisecond)
		}
		for _, limit := range []int{1, 2, 3, 100} {
			if got := on(all(t, r, Filter{Since: begin}, limit)); got != "q5 q4 q3 q2 q1 q0" {
				t.Errorf("pages of %d: %s", limit, got)
			}
		}
		for name, c := range map[string]struct {
			f    Filter
			want string
		}{
			"the last day":  {Filter{}, "q5 q4"},
			"a window":      {Filter{Since: begin.Add(10 * time.Hour), Until: begin.Add(30 * time.Hour)}, "q2 q1"},
			"an actor":      {Filter{Since: begin, Actor: "eve"}, "q5 q3 q1"},
			"a method":      {Filter{Since: begin, Method: "Queue"}, "q5 q4 q3 q2 q1 q0"},
			"other methods": {Filter{Since: begin, Method: "Token"}, ""},
			"long ago":      {Filter{Until: begin}, ""},
		} {
			if got := on(all(t, r, c.f, 2)); got != c.want {
				t.Errorf("%s: %s, want %s", name, got, c.want)
			}
		}
		e := all(t, r, Filter{}, 10)[0]
		if e.Outcome != "ok" || e.Node != "n1" || e.Took != time.Millisecond || e.At.IsZero() {
			t.Errorf("an entry is %+v", e)
		}
		for _, bad := range []string{"x", "2026-13-01/", "/"} {
			if _, _, err := r.List(t.Context(), Filter{}, 1, bad); task.CodeOf(err) != task.CodeInvalidArgument {
				t.Errorf("page token %q: %v", bad, err)
			}
		}
	})
}

func TestWhatDidNotEndStaysBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := newRecorder(t, Config{})
		defer r.Close()
		ctx, cancel := context.WithCancel(t.Context())
		r.Begin(ctx, Entry{Method: "a", On: []string{"gone"}})
		end := r.Begin(ctx, Entry{Method: "b", On: []string{"failed"}})
		cancel() // Whoever asked has gone; the entry stays.
		end("not_found", "there is no queue")
		<-time.After(time.Microsecond)
		got := all(t, r, Filter{}, 10)
		if len(got) != 2 || got[0].Outcome+got[1].Outcome != "not_foundbegun" && got[0].Outcome+got[1].Outcome != "begunnot_found" {
			t.Errorf("got %+v", got)
		}
		s.fail = errors.New("full")
		r.Begin(t.Context(), Entry{Method: "c"})("ok", "") // It goes on all the same.
		if _, _, err := r.List(t.Context(), Filter{}, 10, ""); !errors.Is(err, s.fail) {
			t.Errorf("got %v", err)
		}
	})
}

func TestOldDaysAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := newRecorder(t, Config{Retention: 48 * time.Hour})
		defer r.Close()
		r.Begin(t.Context(), Entry{Method: "a", On: []string{"old"}})("ok", "")
		<-time.After(50 * time.Hour)
		r.Begin(t.Context(), Entry{Method: "a", On: []string{"new"}})("ok", "")
		<-time.After(24 * time.Hour)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.rows) != 1 {
			t.Errorf("%d days are kept", len(s.rows))
		}
	})
}
