package webhook

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenfa/fenfa/internal/clock"
	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/task"
)

// Form writes requests and reads answers, in the form that the API has for them.
type Form interface {
	Request(l *task.Leased, timeout time.Duration, records []task.Record, complete bool) ([]byte, error)
	Outcome(body []byte) (task.Outcome, error)
}

// Config is what Hooks need.
type Config struct {
	Workers *dispatch.Dispatcher
	Form    Form
	// Allow are the addresses that are not public and may be reached all the same.
	Allow      []netip.Prefix
	Agent      string                // how requests name the node's program
	Clock      clock.Clock           // default: the machine's
	Logger     *slog.Logger          // default: none
	Registerer prometheus.Registerer // default: no metrics
}

// Hooks pushes the tasks of all queues that have a webhook. Methods may be called
// concurrently.
type Hooks struct {
	cfg     Config
	metrics *metrics
	client  *http.Client
	ctx     context.Context //nolint:containedctx // It is the end of all requests.
	stop    context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	queues map[string]*hook
	made   int // targets so far
}

// hook is the webhook of one queue.
type hook struct {
	queue    string
	settings atomic.Pointer[task.Webhook]
	targets  map[string]*target // by URL
}

// New returns Hooks without a webhook.
func New(cfg Config) (*Hooks, error) {
	if cfg.Workers == nil || cfg.Form == nil {
		return nil, errors.New("webhook: dispatcher and form are needed")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Hooks{cfg: cfg, metrics: newMetrics(), client: newClient(cfg.Allow), queues: map[string]*hook{}}
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(h.metrics); err != nil {
			return nil, err
		}
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h, nil
}

// Configure makes the webhook of a queue what its settings say. Requests under way
// go on.
func (h *Hooks) Configure(q task.Queue) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	k := h.queues[q.Name]
	if k == nil {
		if q.Webhook == nil {
			return
		}
		k = &hook{queue: q.Name, targets: map[string]*target{}}
		h.queues[q.Name] = k
	}
	wanted := map[string]task.WebhookTarget{}
	slots := 0
	if q.Webhook != nil {
		k.settings.Store(q.Webhook)
		slots = q.Webhook.Concurrency
		for _, t := range q.Webhook.Targets {
			wanted[t.URL] = t
		}
	}
	for url, t := range k.targets {
		if w, ok := wanted[url]; !ok || t.slots != slots || t.weight != w.Weight {
			delete(k.targets, url)
			t.leave()
		}
	}
	for url, w := range wanted {
		if k.targets[url] == nil {
			h.start(k, w, slots)
		}
	}
	if len(k.targets) == 0 {
		delete(h.queues, q.Name)
	}
}

// start begins to push to a URL. The caller holds mu.
func (h *Hooks) start(k *hook, w task.WebhookTarget, slots int) {
	h.made++
	t := &target{hooks: h, hook: k, url: w.URL, weight: w.Weight, slots: slots, open: map[place]*item{}}
	var err error
	t.session, err = h.cfg.Workers.Register(dispatch.Hello{
		WorkerID: nameOf(k.queue, w.URL, h.made), Queues: []string{k.queue}, Slots: slots, Weight: w.Weight,
		Client: "webhook", Address: shown(w.URL), Local: true, Batch: 1,
	})
	if err != nil {
		h.cfg.Logger.Error("webhook not started", "queue", k.queue, "url", shown(w.URL), "error", err)
		return
	}
	k.targets[w.URL] = t
	h.running.Go(t.run)
}

// ended takes a target out whose session has ended because a person drained it: it
// stays away until the queue is configured again.
func (h *Hooks) ended(t *target, why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || t.hook.targets[t.url] != t {
		return
	}
	delete(t.hook.targets, t.url)
	h.cfg.Logger.Warn("webhook ended: it gets nothing until the queue is configured again", "queue", t.hook.queue, "url", shown(t.url), "reason", why)
}

// Close ends all requests and waits for all goroutines. What was under way is
// handed out again by the next owner of its partition.
func (h *Hooks) Close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.stop()
	h.running.Wait()
	h.client.CloseIdleConnections()
}
