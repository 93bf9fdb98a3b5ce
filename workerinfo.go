package fenfa

import (
	"context"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// The states of a worker, which say what it may get.
const (
	WorkerActive   = "active"
	WorkerQuiet    = "quiet"    // nothing new; it stays connected
	WorkerSuspect  = "suspect"  // nothing new: it was silent, or its stream broke
	WorkerDraining = "draining" // nothing new: it finishes and leaves
)

// Why a worker is ejected from a queue.
const (
	EjectedForFailures = "failures" // more of its attempts fail than those of others
	EjectedForFlapping = "flapping" // its sessions broke again and again
)

// WorkerInfo is a worker as the node sees it.
type WorkerInfo struct {
	ID              string
	State           string // WorkerActive, WorkerQuiet, WorkerSuspect or WorkerDraining
	Queues          []string
	Slots           int
	Prefetch        int // leases that it may hold beyond its slots
	InFlight        int // slots in use, with those of prefetched leases
	Weight          float64
	WeightIsSet     bool    // by SetWorkerWeight, and not by the worker
	EffectiveWeight float64 // what the weight counts for now: less after a start
	Serving         []WorkerQueue
	Labels          map[string]string
	Client          string // name and version of its client library
	Address         string
	ConnectedAt     time.Time
	HeartbeatAge    time.Duration
	DoneTotal       int64
	FailedTotal     int64
}

// WorkerQueue is a worker's part in one of its queues.
type WorkerQueue struct {
	Queue        string
	InFlight     int
	Latency      time.Duration // from hand-out to outcome, as BalanceP2C sees it; 0: not measured yet
	EjectedUntil time.Time     // until then it gets nothing of this queue; zero: it is not ejected
	EjectedFor   string        // EjectedForFailures or EjectedForFlapping
}

// Workers lists the workers that are connected to the node.
func (c *Client) Workers(ctx context.Context) ([]WorkerInfo, error) {
	resp, err := call(ctx, c, "list workers", c.cluster.Workers, &fenfav1.WorkersRequest{})
	if err != nil {
		return nil, err
	}
	workers := make([]WorkerInfo, len(resp.GetWorkers()))
	for i, w := range resp.GetWorkers() {
		workers[i] = workerInfoOf(w)
	}
	return workers, nil
}

// SetWorkerWeight gives a connected worker a weight that counts at once instead of
// its own; 0 takes it back. It stays with the worker's id when it connects again,
// until the worker was away for an hour or the node ends. It returns the worker as it
// is now, and fails with CodeNotFound where no such worker is connected.
func (c *Client) SetWorkerWeight(ctx context.Context, id string, weight float64) (WorkerInfo, error) {
	return c.updateWorker(ctx, "set weight of worker", &fenfav1.UpdateWorkerRequest{Id: id, Weight: &weight})
}

// SetWorkerQuiet says whether a connected worker gets nothing new. It stays
// connected and finishes what it has. False also ends a quiet of the worker's own.
// What is said stays with the worker's id as a weight does. It fails with CodeNotFound
// where no such worker is connected.
func (c *Client) SetWorkerQuiet(ctx context.Context, id string, quiet bool) (WorkerInfo, error) {
	return c.updateWorker(ctx, "set quiet of worker", &fenfav1.UpdateWorkerRequest{Id: id, Quiet: &quiet})
}

func (c *Client) updateWorker(ctx context.Context, what string, req *fenfav1.UpdateWorkerRequest) (WorkerInfo, error) {
	resp, err := call(ctx, c, what, c.cluster.UpdateWorker, req)
	if err != nil {
		return WorkerInfo{}, err
	}
	return workerInfoOf(resp.GetWorker()), nil
}

// DrainWorker sends a connected worker away: it finishes the handlers that run, gives
// back what it has not begun, and ends; its Run returns. DrainWorker returns at once,
// with the worker as it is now. The worker is gone when Workers does not list it any
// more. It fails with CodeNotFound where no such worker is connected.
func (c *Client) DrainWorker(ctx context.Context, id string) (WorkerInfo, error) {
	resp, err := call(ctx, c, "drain worker", c.cluster.DrainWorker, &fenfav1.DrainWorkerRequest{Id: id})
	if err != nil {
		return WorkerInfo{}, err
	}
	return workerInfoOf(resp.GetWorker()), nil
}

func workerInfoOf(w *fenfav1.Worker) WorkerInfo {
	info := WorkerInfo{
		ID:              w.GetId(),
		State:           w.GetState(),
		Queues:          w.GetQueues(),
		Slots:           int(w.GetSlots()),
		Prefetch:        int(w.GetPrefetch()),
		InFlight:        int(w.GetInFlight()),
		Weight:          w.GetWeight(),
		WeightIsSet:     w.GetWeightIsSet(),
		EffectiveWeight: w.GetEffectiveWeight(),
		Labels:          w.GetLabels(),
		Client:          w.GetClient(),
		Address:         w.GetAddress(),
		ConnectedAt:     timeOf(w.GetConnectedAt()),
		HeartbeatAge:    w.GetHeartbeatAge().AsDuration(),
		DoneTotal:       w.GetDoneTotal(),
		FailedTotal:     w.GetFailedTotal(),
	}
	for _, q := range w.GetServing() {
		info.Serving = append(info.Serving, WorkerQueue{
			Queue:        q.GetQueue(),
			InFlight:     int(q.GetInFlight()),
			Latency:      q.GetLatency().AsDuration(),
			EjectedUntil: timeOf(q.GetEjectedUntil()),
			EjectedFor:   q.GetEjectedFor(),
		})
	}
	return info
}
