package server

import (
	"bufio"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/storefake"
	"github.com/fenfa/fenfa/internal/watch"
)

// watchHub returns a hub of one partition with these changes, all of the name "n".
func watchHub(t *testing.T, keys ...string) (hub *watch.Hub, write func(key string)) {
	t.Helper()
	s := storefake.New(storefake.Config{AutoSync: true})
	hub, err := watch.NewHub(watch.Config{Partitions: 1, Store: s, Watches: 2})
	if err != nil {
		t.Fatal(err)
	}
	fence, err := s.Claim(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	hub.Tail(0).Claimed(fence)
	write = func(key string) {
		b := store.Batch{Prev: fence, Next: fence}
		b.Next.Seq, b.Next.HLC = fence.Seq+1, fence.HLC+1
		row := &store.OpLog{Seq: b.Next.Seq, After: b.Next.Seq, HLC: b.Next.HLC, Op: store.OpPut, Key: key, Name: "n", Value: []byte("v")}
		b.Puts = []store.Row{row, &store.Record{Key: key, Name: "n", Version: row.Seq, Value: row.Value}}
		if err := s.Commit(t.Context(), []store.Batch{b}); err != nil {
			t.Error(err)
		}
		fence = b.Next
		hub.Tail(0).Durable(&b)
	}
	for _, key := range keys {
		write(key)
	}
	return hub, write
}

func newWatchHarness(t *testing.T, keys ...string) (h *harness, write func(key string)) {
	t.Helper()
	hub, write := watchHub(t, keys...)
	return newHarness(t, func(engine *fakeEngine, _ *Config) { engine.hub = hub }), write
}

func TestAWatchStreamsChangesAndAnswersPings(t *testing.T) {
	h, write := newWatchHarness(t, "a", "b")
	stream, err := fenfav1.NewWatchServiceClient(h.conn).Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&fenfav1.WatchRequest{Initial: true, KeyPrefix: "b"}); err != nil {
		t.Fatal(err)
	}
	write("bb")
	if err := stream.Send(&fenfav1.WatchRequest{Ping: 5}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range m.GetRecords().GetRecords() {
			got = append(got, "record "+r.GetKey())
		}
		for _, c := range m.GetChanges().GetChanges() {
			got = append(got, c.GetOp()+" "+c.GetKey())
		}
		if slices.Contains(m.GetProgress().GetPings(), 5) {
			break
		}
	}
	if len(got) != 2 || got[0] != "record b" || !strings.HasSuffix(got[1], " bb") {
		t.Errorf("got %q", got)
	}
	if err := stream.Send(&fenfav1.WatchRequest{KeyPrefix: "again"}); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	if e := errorOf(err); e.Field != "ping" {
		t.Errorf("a second request is answered with %v", err)
	}
}

func TestAWatchOverHTTPIsLinesOfJSON(t *testing.T) {
	for name, request := range map[string]func(url string) (*http.Request, error){
		"get": func(url string) (*http.Request, error) {
			return http.NewRequestWithContext(t.Context(), http.MethodGet, url+"?keys=a&keys=c&oldest=true&progress=0.2s", nil)
		},
		"post": func(url string) (*http.Request, error) {
			return http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"keys":["a","c"],"from":[{"partition":0,"seq":"0"}]}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, write := newWatchHarness(t, "a", "b")
			req, err := request(h.url + watchPath)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := h.web.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/x-ndjson" {
				t.Fatalf("%s, %s", resp.Status, resp.Header.Get("Content-Type"))
			}
			write("c")
			var keys []string
			for lines := bufio.NewScanner(resp.Body); len(keys) < 2 && lines.Scan(); {
				var line struct {
					Changes struct {
						Changes []struct{ Key, Seq string }
					}
				}
				if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
					t.Fatalf("%s: %v", lines.Text(), err)
				}
				for _, c := range line.Changes.Changes {
					keys = append(keys, c.Key+c.Seq)
				}
			}
			if !slices.Equal(keys, []string{"a1", "c3"}) {
				t.Errorf("got %q", keys)
			}
		})
	}
}

func TestAWatchOverHTTPEndsWithItsReason(t *testing.T) {
	h, _ := newWatchHarness(t, "a")
	for _, c := range []struct {
		method, path, body string
		status             int
		field              string
	}{
		{"GET", "?nonsense=1", "", http.StatusBadRequest, "nonsense"},
		{"GET", "?ping=1", "", http.StatusBadRequest, "ping"},
		{"GET", "?partitions=9", "", http.StatusBadRequest, "partitions"},
		{"GET", "?key_prefix=a&key_prefix=b", "", http.StatusBadRequest, "key_prefix"},
		{"POST", "", `{"nonsense":1}`, http.StatusBadRequest, "nonsense"},
		{"POST", "?oldest=true", ``, http.StatusBadRequest, "oldest"},
		{"POST", "", `{"from":[{"seq":7}]}`, http.StatusConflict, "from"},
		{"POST", "", `{"progress":"0s"}`, http.StatusBadRequest, "progress"},
		{"DELETE", "", ``, http.StatusBadRequest, ""},
	} {
		r := h.do(t, c.method, watchPath+c.path, strings.NewReader(c.body))
		if r.status != c.status || r.fail.Field != c.field {
			t.Errorf("%s %s %s: %d %+v", c.method, c.path, c.body, r.status, r.fail)
		}
	}
}

func TestTooManyWatchesAreRefusedOverHTTP(t *testing.T) {
	h, _ := newWatchHarness(t, "a")
	for range 2 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+watchPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := h.web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
	}
	if r := h.do(t, "GET", watchPath, nil); r.status != http.StatusTooManyRequests || r.fail.RetryAfter == "" {
		t.Errorf("%d %+v", r.status, r.fail)
	}
}

func TestTheEndOfTheServerEndsWatches(t *testing.T) {
	h, _ := newWatchHarness(t, "a")
	stream, err := fenfav1.NewWatchServiceClient(h.conn).Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&fenfav1.WatchRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for err == nil {
		_, err = stream.Recv()
	}
	if e := errorOf(err); !strings.Contains(e.Message, "stops") {
		t.Errorf("the watch ended with %v", err)
	}
	select {
	case <-stopped:
	case <-time.After(time.Minute):
		t.Error("the server does not stop")
	}
}
