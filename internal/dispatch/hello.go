package dispatch

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Limits of what a worker may say of itself.
const (
	MaxWorkerID     = 256
	MaxWorkerQueues = 1000
	MaxSlots        = 100_000
	MaxWeight       = 1_000_000
	MaxLabels       = 16 << 10 // bytes of all names and values together
	maxClient       = 256
)

// localPrefix begins the names of workers that are parts of this process.
const localPrefix = "webhook/"

// Hello is what a worker says of itself when its session begins.
type Hello struct {
	WorkerID string
	Queues   []string
	Slots    int     // leases of a key, or tasks without order, that run at the same time
	Weight   float64 // share of the load relative to other workers; 0: 1
	Labels   map[string]string
	Client   string // name and version of the client library
	Address  string // where the worker connects from
	Quiet    bool   // it wants nothing yet; see Session.Quiet

	// Pull says that the worker has no stream: it gets only what it asks for with
	// Session.Want, and lives by signs that are far apart.
	Pull bool
	// TTL is the silence after which the session ends, without suspicion before; 0: as
	// for everybody.
	TTL time.Duration
	// Local says that it is a part of this process, which is heard as long as that runs.
	Local bool
	// Owner is who the worker belongs to, such as a token; another one's does not take
	// its place. Empty: nobody in particular.
	Owner string
	// Batch is the most tasks of a key that it takes in one lease; 0: as many as the
	// queue allows.
	Batch int
}

// normalize applies defaults, drops repeated queues and reports the first field
// that is out of range.
func (h *Hello) normalize() error {
	if h.Weight == 0 {
		h.Weight = 1
	}
	labels := 0
	for name, value := range h.Labels {
		labels += len(name) + len(value)
	}
	bad := func(field, format string, args ...any) error {
		return task.Errorf(task.CodeInvalidArgument, "%s", fmt.Sprintf(format, args...)).WithField("hello." + field)
	}
	switch {
	case h.WorkerID == "":
		return bad("worker_id", "the worker has no id: set worker_id to a name that is unique among the workers that run now")
	case len(h.WorkerID) > MaxWorkerID:
		return bad("worker_id", "worker_id has %d bytes; at most %d are allowed", len(h.WorkerID), MaxWorkerID)
	case strings.HasPrefix(h.WorkerID, localPrefix) != h.Local:
		return bad("worker_id", "worker_id %q: names that begin with %q are for the node's own workers: use another", h.WorkerID, localPrefix)
	case len(h.Queues) == 0:
		return bad("queues", "the worker serves no queue: name at least one")
	case len(h.Queues) > MaxWorkerQueues:
		return bad("queues", "the worker names %d queues; at most %d are allowed", len(h.Queues), MaxWorkerQueues)
	case h.Slots < 1 || h.Slots > MaxSlots:
		return bad("slots", "slots is %d: want 1 to %d", h.Slots, MaxSlots)
	case math.IsNaN(h.Weight) || h.Weight < 1./MaxWeight || h.Weight > MaxWeight:
		return bad("weight", "weight is %v: want more than 0 and at most %d", h.Weight, MaxWeight)
	case labels > MaxLabels:
		return bad("labels", "labels have %d bytes; at most %d are allowed", labels, MaxLabels)
	case len(h.Client) > maxClient:
		return bad("client", "client has %d bytes; at most %d are allowed", len(h.Client), maxClient)
	}
	for _, name := range h.Queues {
		if err := task.ValidateQueueName(name); err != nil {
			return bad("queues", "%v", err)
		}
	}
	h.Queues = slices.Clone(h.Queues)
	slices.Sort(h.Queues)
	h.Queues = slices.Compact(h.Queues)
	return nil
}
