package fenfa

// EventKind is what happened in a worker.
type EventKind string

// The kinds of event.
const (
	EventConnected    EventKind = "connected"    // the node said welcome
	EventDisconnected EventKind = "disconnected" // Err says why; the worker reconnects unless it is Final
	EventFinished     EventKind = "finished"     // an attempt ended; Err is what the handler returned
	EventConflict     EventKind = "conflict"     // a version had changed: the task runs again
	EventLeaseLost    EventKind = "lease_lost"   // the node took the lease back: its outcomes change nothing
	EventRefused      EventKind = "refused"      // the node refused an outcome, as Err says; the task is a dead letter
	EventDraining     EventKind = "draining"     // nothing new is begun, and what has not begun goes back
)

// Event is something that happened in a worker. Fields that do not apply are
// zero.
type Event struct {
	Kind   EventKind
	Node   string
	Queue  string
	TaskID ID
	Err    error
	Final  bool // of EventDisconnected: the worker does not connect again, and Run returns Err
}

// OnEvent sets a function that hears what happens in the worker, for tests and
// displays. It is called from several goroutines and must return at once.
func OnEvent(hear func(Event)) WorkerOption { return func(c *workerConfig) { c.onEvent = hear } }
