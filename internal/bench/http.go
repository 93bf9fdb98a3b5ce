package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fenfa/fenfa"
)

// given is a task as HTTP has it.
type given struct {
	Lease string `json:"lease,omitempty"`
	Task  struct {
		Payload []byte `json:"payload"`
	} `json:"task"`
}

// pulled is drain by workers that pull: each has several loops that lease and complete
// in calls.
func pulled(ctx context.Context, cfg Config, result *Result) error {
	return overLoopback(ctx, cfg, result, fenfa.Queue{Order: fenfa.OrderNone}, func(ctx context.Context, r *rig) {
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: cfg.Workers * cfg.Concurrency}}
		for n := range cfg.Workers {
			for range cfg.Concurrency {
				r.workers.Go(func() error { return r.pull(ctx, client, fmt.Sprintf("bench-%d", n+1)) })
			}
		}
		r.workers.Go(func() error {
			<-ctx.Done()
			client.CloseIdleConnections()
			return nil
		})
	})
}

// pushed is drain by a webhook with as many URLs as workers, all in this process.
func pushed(ctx context.Context, cfg Config, result *Result) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the webhook: %w", err)
	}
	hook := &fenfa.Webhook{Secret: strings.Repeat("s", 32), Concurrency: cfg.Concurrency}
	for n := range cfg.Workers {
		hook.Targets = append(hook.Targets, fenfa.WebhookTarget{URL: fmt.Sprintf("http://%s/%d", l.Addr(), n)})
	}
	return overLoopback(ctx, cfg, result, fenfa.Queue{Order: fenfa.OrderNone, Webhook: hook}, func(ctx context.Context, r *rig) {
		server := &http.Server{Handler: http.HandlerFunc(r.receive), ReadHeaderTimeout: time.Minute}
		r.workers.Go(func() error {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
		r.workers.Go(func() error {
			<-ctx.Done()
			return server.Close()
		})
	})
}

// overLoopback measures producers and workers at once; work starts the workers.
func overLoopback(ctx context.Context, cfg Config, result *Result, q fenfa.Queue, work func(context.Context, *rig)) error {
	r, err := newRig(ctx, cfg, q)
	if err != nil {
		return err
	}
	return withRig(ctx, r, func(ctx context.Context) error {
		fmt.Fprintf(cfg.Log, "submitting %d tasks while %d workers take them over HTTP\n", cfg.Tasks, cfg.Workers)
		working, stop := context.WithCancel(ctx)
		r.workers, r.stop = &errgroup.Group{}, stop
		work(working, r)
		err := r.split(result, func() error {
			return r.measured(result, func() (int64, error) {
				n, err := r.produce(ctx, producing{tasks: int64(cfg.Tasks)})
				if err != nil {
					return 0, err
				}
				return n, r.drained(ctx, n)
			})
		})
		result.start(r.started.spread())
		return err
	})
}

// pull leases and completes until the context ends.
func (r *rig) pull(ctx context.Context, client *http.Client, worker string) error {
	ask, err := json.Marshal(map[string]any{"worker_id": worker, "queues": []string{queue}, "max_tasks": r.cfg.Batch, "wait": "1s"})
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		var got struct {
			Tasks []given `json:"tasks"`
		}
		if err := r.call(ctx, client, "/v1/leases", ask, &got); err != nil || len(got.Tasks) == 0 {
			if err == nil || ctx.Err() != nil {
				continue
			}
			return err
		}
		done := bytes.NewBufferString(`{"tasks":[`)
		for i := range got.Tasks {
			if i > 0 {
				done.WriteByte(',')
			}
			fmt.Fprintf(done, `{"lease":%q}`, got.Tasks[i].Lease)
			r.took(got.Tasks[i].Task.Payload)
		}
		done.WriteString("]}")
		var said struct {
			Results []struct {
				Error json.RawMessage `json:"error"`
			} `json:"results"`
		}
		if err := r.call(ctx, client, "/v1/leases/complete", done.Bytes(), &said); err != nil && ctx.Err() == nil {
			return err
		}
		for i := range said.Results {
			if len(said.Results[i].Error) > 0 {
				return fmt.Errorf("complete task: %s", said.Results[i].Error)
			}
		}
	}
	return nil
}

// call makes one request to the node.
func (r *rig) call(ctx context.Context, client *http.Client, path string, body []byte, answer any) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.node.HTTPAddr()+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("call %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("it answered %s: %s", resp.Status, text)
	}
	if err == nil {
		err = json.Unmarshal(text, answer)
	}
	if err != nil {
		return fmt.Errorf("call %s: %w", path, err)
	}
	return nil
}

// receive answers a request of the webhook: its task is done.
func (r *rig) receive(w http.ResponseWriter, req *http.Request) {
	var got given
	if err := json.NewDecoder(req.Body).Decode(&got); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.took(got.Task.Payload)
	w.WriteHeader(http.StatusOK)
}

// took notes that a task came.
func (r *rig) took(payload []byte) {
	at, n := stamped(payload)
	r.started.record(n, r.now()-at, 1)
	r.handled.Add(1)
}

// hookEnv lets the node of a benchmark with a webhook reach this process.
func (c *Config) hookEnv() []string {
	if c.Name != "webhook" {
		return nil
	}
	return []string{"FENFA_WEBHOOK_ALLOW=127.0.0.1"}
}
