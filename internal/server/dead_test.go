package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/task"
)

func TestDeadLettersOverGRPC(t *testing.T) {
	h := newHarness(t)
	c, ctx := fenfav1.NewDeadServiceClient(h.conn), t.Context()
	since := timestamppb.New(time.Unix(1_700_000_000, 0))
	dead, err := c.List(ctx, &fenfav1.ListDeadRequest{Queue: "orders", Key: "k", Type: "t", Text: "x", Since: since})
	if err != nil || len(dead.GetDead()) != 1 || dead.GetDead()[0].GetTask().GetPayload() != nil || dead.GetNextPageToken() != "next" {
		t.Fatalf("list: %v, %v", dead, err)
	}
	if said := h.engine.calls[len(h.engine.calls)-1]; !strings.Contains(said, "{orders k t x 2023-11-14 22:13:20") {
		t.Errorf("the engine was asked for %s", said)
	}
	one, err := c.Get(ctx, &fenfav1.GetDeadRequest{Id: someID})
	if err != nil || string(one.GetDead().GetTask().GetPayload()) != "payload" || one.GetDead().GetTask().GetId() != someID {
		t.Fatalf("get: %v, %v", one, err)
	}
	all, err := c.RequeueAll(ctx, &fenfav1.RequeueAllDeadRequest{Filter: &fenfav1.DeadFilter{Queue: "orders"}})
	if p := all.GetProgress(); err != nil || p.GetExamined() != 9 || p.GetMatched() != 3 || p.GetChanged() != 2 || p.GetRefused() != 1 || p.GetRefusals()[0].GetError().GetCode() != fenfav1.Code_CODE_CONFLICT || all.GetNextPageToken() != "next" {
		t.Errorf("requeue all: %v, %v", all, err)
	}
	keys, err := c.ListHalted(ctx, &fenfav1.ListHaltedRequest{Queue: "orders"})
	if err != nil || len(keys.GetKeys()) != 1 || keys.GetKeys()[0].GetDeadId() != someID || keys.GetKeys()[0].GetWaiting() != 5 || !keys.GetKeys()[0].GetMore() {
		t.Errorf("halted: %v, %v", keys, err)
	}
}

func TestWhatIsDoneWithDeadLettersReachesTheEngine(t *testing.T) {
	h := newHarness(t)
	c, ctx := fenfav1.NewDeadServiceClient(h.conn), t.Context()
	for want, call := range map[string]func() error{
		fmt.Sprintf("requeue %s %q %v", someID, "", true): func() error { _, err := c.Requeue(ctx, &fenfav1.RequeueDeadRequest{Id: someID}); return err },
		fmt.Sprintf("requeue %s %q %v", someID, "", false): func() error {
			_, err := c.Requeue(ctx, &fenfav1.RequeueDeadRequest{Id: someID, Payload: []byte{}})
			return err
		},
		fmt.Sprintf("requeue %s %q %v", someID, "new", false): func() error {
			_, err := c.Requeue(ctx, &fenfav1.RequeueDeadRequest{Id: someID, Payload: []byte("new")})
			return err
		},
		"delete " + someID: func() error { _, err := c.Delete(ctx, &fenfav1.DeleteDeadRequest{Id: someID}); return err },
		"resume orders k": func() error {
			_, err := c.Resume(ctx, &fenfav1.ResumeKeyRequest{Queue: "orders", Key: "k"})
			return err
		},
		fmt.Sprint("change 1 ", emptyFilter, " 1000 "): func() error { _, err := c.RequeueAll(ctx, &fenfav1.RequeueAllDeadRequest{}); return err },
		fmt.Sprint("change 0 ", emptyFilter, " 7 at"): func() error {
			_, err := c.RequeueAll(ctx, &fenfav1.RequeueAllDeadRequest{Limit: 7, PageToken: "at", DryRun: true})
			return err
		},
		fmt.Sprint("change 2 ", emptyFilter, " 10000 "): func() error { _, err := c.DeleteAll(ctx, &fenfav1.DeleteAllDeadRequest{Limit: 10_000}); return err },
		fmt.Sprint("change 0 ", emptyFilter, " 1000 deleting"): func() error {
			_, err := c.DeleteAll(ctx, &fenfav1.DeleteAllDeadRequest{PageToken: "deleting", DryRun: true})
			return err
		},
	} {
		if err := call(); err != nil || h.engine.calls[len(h.engine.calls)-1] != want {
			t.Errorf("%v: said %q, want %q", err, h.engine.calls[len(h.engine.calls)-1], want)
		}
	}
}

const emptyFilter = "{    0001-01-01 00:00:00 +0000 UTC 0001-01-01 00:00:00 +0000 UTC}"

func TestWrongRequestsAboutDeadLettersAreRefused(t *testing.T) {
	h := newHarness(t)
	c, ctx := fenfav1.NewDeadServiceClient(h.conn), t.Context()
	never := &timestamppb.Timestamp{Seconds: -1 << 60}
	for name, call := range map[string]func() error{
		"page size": func() error { _, err := c.List(ctx, &fenfav1.ListDeadRequest{PageSize: 2000}); return err },
		"since":     func() error { _, err := c.List(ctx, &fenfav1.ListDeadRequest{Since: never}); return err },
		"until": func() error {
			_, err := c.RequeueAll(ctx, &fenfav1.RequeueAllDeadRequest{Filter: &fenfav1.DeadFilter{Until: never}})
			return err
		},
		"limit":       func() error { _, err := c.DeleteAll(ctx, &fenfav1.DeleteAllDeadRequest{Limit: 10_001}); return err },
		"get":         func() error { _, err := c.Get(ctx, &fenfav1.GetDeadRequest{Id: "x"}); return err },
		"requeue":     func() error { _, err := c.Requeue(ctx, &fenfav1.RequeueDeadRequest{}); return err },
		"delete":      func() error { _, err := c.Delete(ctx, &fenfav1.DeleteDeadRequest{Id: "x"}); return err },
		"halted keys": func() error { _, err := c.ListHalted(ctx, &fenfav1.ListHaltedRequest{PageSize: 1001}); return err },
	} {
		t.Run(name, func(t *testing.T) { refused(t, call(), codes.InvalidArgument, task.CodeInvalidArgument) })
	}
}

func TestRoutesOfDeadLetters(t *testing.T) {
	h := newHarness(t)
	for _, r := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodGet, "/v1/dead?text=x&since=2024-01-01T00:00:00Z", "", 200},
		{http.MethodGet, "/v1/queues/orders/dead?key=k", "", 200},
		{http.MethodGet, "/v1/queues/orders/dead?colour=red", "", 400},
		{http.MethodGet, "/v1/dead/" + someID, "", 200},
		{http.MethodDelete, "/v1/dead/" + someID, "", 200},
		{http.MethodPost, "/v1/dead/" + someID + "/requeue", `{"payload_json":{"qty":1}}`, 200},
		{http.MethodPost, "/v1/dead/requeue", `{"filter":{"queue":"orders"},"dry_run":true}`, 200},
		{http.MethodPost, "/v1/dead/delete", `{"filter":{"queue":"orders"},"limit":100001}`, 400},
		{http.MethodGet, "/v1/queues/orders/halted", "", 200},
		{http.MethodPost, "/v1/queues/orders/halted/resume", `{"key":"k"}`, 200},
	} {
		if resp := h.do(t, r.method, r.path, strings.NewReader(r.body)); resp.status != r.status {
			t.Errorf("%s %s: %d, %s", r.method, r.path, resp.status, resp.body)
		}
	}
}
