package server

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/task"
)

func TestSchedulesAreReachedOverHTTP(t *testing.T) {
	e := newFakeEngine()
	h := newHarness(t, func(x *fakeEngine, _ *Config) { x.err = e.err })
	e = h.engine
	for _, c := range []struct{ method, path, body, called, shows string }{
		{http.MethodPost, "/v1/crons", `{"name":"nightly","spec":"30 2 * * *","queue":"orders"}`, "create cron nightly 30 2 * * * orders", `"created":true`},
		{http.MethodGet, "/v1/crons/nightly", "", "", `"zone":"Europe/Berlin"`},
		{http.MethodGet, "/v1/crons?prefix=n&page_token=m", "", "crons n m", `"next_page_token":"nightly"`},
		{http.MethodPut, "/v1/crons/nightly", `{"spec":"30 2 * * *","queue":"orders"}`, "cron update nightly", `"fired":"1"`},
		{http.MethodPost, "/v1/crons/nightly/pause", "", "cron pause nightly", "nightly"},
		{http.MethodPost, "/v1/crons/nightly/resume", "", "cron resume nightly", "nightly"},
		{http.MethodPost, "/v1/crons/nightly/run", "", "cron run nightly", `"task_id"`},
		{http.MethodGet, "/v1/crons/nightly/next?count=3", "", "", `"ticks"`},
		{http.MethodDelete, "/v1/crons/nightly", "", "delete cron nightly", "nightly"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			var body io.Reader
			if c.body != "" {
				body = strings.NewReader(c.body)
			}
			got := h.do(t, c.method, c.path, body)
			if got.status != http.StatusOK || !strings.Contains(strings.ReplaceAll(got.body, " ", ""), strings.ReplaceAll(c.shows, " ", "")) {
				t.Errorf("%d %s", got.status, got.body)
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			if c.called != "" && !slices.Contains(e.calls, c.called) {
				t.Errorf("the engine was asked %q, not %q", e.calls, c.called)
			}
		})
	}
}

func TestSchedulesThatMakeNoSenseAreRefused(t *testing.T) {
	h := newHarness(t)
	c := fenfav1.NewCronServiceClient(h.conn)
	_, err := c.Create(t.Context(), &fenfav1.CreateCronRequest{})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
	_, err = c.Update(t.Context(), &fenfav1.UpdateCronRequest{Name: "a"})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
	_, err = c.Update(t.Context(), &fenfav1.UpdateCronRequest{Name: "a", Definition: &fenfav1.CronDefinition{Name: "b"}})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
	_, err = c.Next(t.Context(), &fenfav1.NextCronRequest{Name: "a", Count: maxTicks + 1})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
	_, err = c.List(t.Context(), &fenfav1.ListCronsRequest{PageSize: maxPage + 1})
	refused(t, err, codes.InvalidArgument, task.CodeInvalidArgument)
}

func TestAnEngineThatRefusesIsHeard(t *testing.T) {
	e := newFakeEngine()
	e.err = task.Errorf(task.CodeNotFound, "there is none")
	h := newHarness(t, func(x *fakeEngine, _ *Config) { x.err = e.err })
	e = h.engine
	c := fenfav1.NewCronServiceClient(h.conn)
	d := &fenfav1.CronDefinition{Name: "a", Spec: "* * * * *", Queue: "orders"}
	_, create := c.Create(t.Context(), &fenfav1.CreateCronRequest{Definition: d})
	_, update := c.Update(t.Context(), &fenfav1.UpdateCronRequest{Name: "a", Definition: d})
	_, get := c.Get(t.Context(), &fenfav1.GetCronRequest{Name: "a"})
	_, list := c.List(t.Context(), &fenfav1.ListCronsRequest{})
	_, pause := c.Pause(t.Context(), &fenfav1.PauseCronRequest{Name: "a"})
	_, resume := c.Resume(t.Context(), &fenfav1.ResumeCronRequest{Name: "a"})
	_, remove := c.Delete(t.Context(), &fenfav1.DeleteCronRequest{Name: "a"})
	_, run := c.Run(t.Context(), &fenfav1.RunCronRequest{Name: "a"})
	_, next := c.Next(t.Context(), &fenfav1.NextCronRequest{Name: "a"})
	for _, err := range []error{create, update, get, list, pause, resume, remove, run, next} {
		refused(t, err, codes.NotFound, task.CodeNotFound)
	}
}
