// Package fenfaotel traces tasks with OpenTelemetry: from the submitter over the
// handler to the tasks that the handler emits, in one trace.
//
//	tracing := fenfaotel.New(fenfaotel.Config{})
//	client, err := fenfa.Dial(addr, fenfa.WithSubmitMiddleware(tracing.Submits()))
//	worker := client.Worker()
//	worker.Use(tracing.Handlers())
//
// The context of a trace travels in headers of the task, by default those of W3C Trace
// Context. They are no part of what a task is: a submit that is repeated in another
// trace is the same task, and keeps the first one's context.
//
// A Tracing is safe for use by many goroutines. It is a package of its own so that
// programs which do not trace do not depend on OpenTelemetry.
package fenfaotel
