package robustness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/tests/harness"
)

// Errands are tasks of two queues that are done over HTTP: by a program that pulls
// batches, and by a webhook. Each adds one to a record of its key, over the version that
// it was shown.
const (
	fetched     = "fetched" // the queue of the program that pulls
	brought     = "brought" // the queue of the webhook
	errandKeys  = 3
	errandPace  = 15 * time.Millisecond
	leastErrand = 60 // of each queue
)

// hooksAllowed lets a node reach the webhook of a test.
const hooksAllowed = "--webhook-allow=127.0.0.1"

type errands struct {
	t       *testing.T
	client  *fenfa.Client
	url     string
	closing chan struct{}
	stop    context.CancelFunc
	all     sync.WaitGroup
	pulling sync.WaitGroup
	given   atomic.Int64 // confirmed, in each queue
	batches atomic.Int64 // that had more than one task
}

// runErrands starts both, and submits tasks until close.
func runErrands(t *testing.T, node *harness.Node, client *fenfa.Client) *errands {
	t.Helper()
	e := &errands{t: t, client: client, url: "http://" + node.HTTP, closing: make(chan struct{})}
	hook := httptest.NewServer(http.HandlerFunc(e.bring))
	t.Cleanup(hook.Close)
	patient := fenfa.RetryPolicy{Base: 10 * time.Millisecond, Max: 200 * time.Millisecond, MaxAttempts: 10_000}
	harness.Configure(t, client, fenfa.Queue{Name: fetched, Retry: patient, Timeout: 2 * time.Second})
	harness.Configure(t, client, fenfa.Queue{Name: brought, Retry: patient, Timeout: 2 * time.Second, Webhook: &fenfa.Webhook{
		Secret: strings.Repeat("s", 32), Targets: []fenfa.WebhookTarget{{URL: hook.URL}},
	}})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	e.stop = cancel
	t.Cleanup(func() {
		cancel()
		e.pulling.Wait()
	})
	e.pulling.Go(func() {
		for ctx.Err() == nil {
			e.fetch(ctx)
		}
	})
	e.all.Go(e.submit)
	return e
}

// submit gives tasks to both queues until the errands close, each again and again until
// it is confirmed.
func (e *errands) submit() {
	pace := time.NewTicker(errandPace)
	defer pace.Stop()
	for n := 0; ; n++ {
		select {
		case <-e.closing:
			return
		case <-pace.C:
		}
		key := fmt.Sprint("errand-", n%errandKeys)
		for _, queue := range []string{fetched, brought} {
			t := fenfa.NewTask(queue, n, fenfa.Key(queue+key), fenfa.WithID(fenfa.NewID()))
			err := harness.Eventually(e.t.Context(), "an errand is confirmed", func(ctx context.Context) bool {
				_, err := e.client.Submit(ctx, t)
				if err != nil && !passing(err) {
					e.t.Errorf("submit an errand: %v", err)
				}
				return err == nil || !passing(err)
			})
			if err != nil {
				e.t.Error(err)
				return
			}
		}
		e.given.Add(1)
	}
}

// shown is a task as a worker over HTTP gets it.
type shown struct {
	Lease   string  `json:"lease"`
	Follows string  `json:"follows"`
	Records []entry `json:"records"`
}

// entry is a record, or what is written to it.
type entry struct {
	Name     string `json:"name"`
	Version  string `json:"version,omitempty"`
	Value    int    `json:"value_json"`
	Expected string `json:"expected_version,omitempty"`
	Chained  bool   `json:"chained,omitempty"`
}

// counted is the record after a task.
func (s *shown) counted() entry {
	for _, r := range s.Records {
		if r.Name == "n" {
			return entry{Name: "n", Value: r.Value + 1, Expected: r.Version}
		}
	}
	return entry{Name: "n", Value: 1, Expected: "0"}
}

// bring is the webhook.
func (e *errands) bring(w http.ResponseWriter, r *http.Request) {
	var got shown
	if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
		e.t.Errorf("read the request of a webhook: %v", err)
	}
	w.Header().Set("Content-Type", "application/json")
	// Where it does not arrive the task comes again.
	_ = json.NewEncoder(w).Encode(map[string]any{"writes": []entry{got.counted()}})
}

// fetch pulls once and does what came. What goes wrong comes again.
func (e *errands) fetch(ctx context.Context) {
	var got struct {
		Tasks []shown `json:"tasks"`
	}
	ask := map[string]any{"worker_id": "fetcher", "queues": []string{fetched}, "max_tasks": 8, "batch": 4, "wait": "0.5s", "ttl": "2s", "records": true}
	if err := e.call(ctx, "/v1/leases", ask, &got); err != nil {
		// The node says how long to wait; a test that goes on at once asks too much of it.
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
		return
	}
	type completion struct {
		Lease  string  `json:"lease"`
		Writes []entry `json:"writes"`
	}
	done := make([]completion, len(got.Tasks))
	for i := range got.Tasks {
		write := got.Tasks[i].counted()
		if got.Tasks[i].Follows != "" {
			before := done[i-1].Writes[0]
			write = entry{Name: "n", Value: before.Value + 1, Chained: true}
			e.batches.Add(1)
		}
		done[i] = completion{got.Tasks[i].Lease, []entry{write}}
	}
	if len(done) > 0 {
		var said any
		_ = e.call(ctx, "/v1/leases/complete", map[string]any{"tasks": done}, &said)
	}
}

// call makes a request to the node.
func (e *errands) call(ctx context.Context, path string, body, answer any) (err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	said, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", strconv.Itoa(response.StatusCode), said)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(said, answer)
}

// close ends the submits, waits until all errands are done, and holds that each was done
// once: the records count them.
func (e *errands) close() {
	e.t.Helper()
	harness.Await(e.t, "errands were given", func(context.Context) bool { return e.given.Load() >= leastErrand })
	close(e.closing)
	e.all.Wait()
	if err := harness.AwaitIdle(e.t.Context(), e.client, fetched, brought); err != nil {
		e.t.Fatal(err)
	}
	for _, queue := range []string{fetched, brought} {
		sum := int64(0)
		for k := range errandKeys {
			r, err := e.client.State().Get(e.t.Context(), fmt.Sprint(queue, "errand-", k), "n")
			if err != nil {
				e.t.Fatal(err)
			}
			var n int64
			if err := r.Decode(&n); err != nil {
				e.t.Fatal(err)
			}
			sum += n
		}
		if given := e.given.Load(); sum != given {
			e.t.Errorf("%d errands of queue %s were given, and %d took effect", given, queue, sum)
		}
	}
	e.t.Logf("%d errands in each queue, %d in batches behind others", e.given.Load(), e.batches.Load())
}
