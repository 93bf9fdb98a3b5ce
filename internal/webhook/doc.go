// Package webhook pushes the tasks of queues to URLs.
//
// Each URL of a queue's webhook is a member of dispatch with a session of its own, so
// it gets tasks by the queue's policy, with weights, slow start and ejection like a
// worker, and at most as many at a time as it has slots. A request carries one task,
// signed with the webhook's secret; the answer is its outcome.
//
// A URL to which no connection comes about is away, like a worker that is not
// connected: what it was to get is given back unbegun and counts for nothing, and it
// is tried again after a pause that grows. From the moment when a connection is there
// the attempt counts.
//
// Requests go to public addresses only, unless the node's configuration allows others.
// That is decided when a connection is made, by the address that the name resolved to.
// Redirects are not followed, no proxy is used, and answers have a most size.
//
// Concurrency: Hooks has a mutex, and each target one of its own; no call into dispatch
// is made with a target's mutex held. Each target has a goroutine that takes what
// dispatch sends, and one for each request; they belong to Hooks, and Close waits for
// all of them.
package webhook
