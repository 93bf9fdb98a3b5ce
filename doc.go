// Package fenfa is the Go client of fenfa, a task distribution system: it
// submits tasks durably, runs handlers for them, and reads and changes the
// records that tasks keep.
//
// A Client is made by Dial and shared by everybody in a process. Submit returns
// when its task is durable; submits of many goroutines travel together. A Worker
// runs handlers; what a handler writes, emits and returns takes effect exactly
// once, together, however often it was run.
//
// Tasks of one key run one after another, in the order in which their submits
// were confirmed. A handler sees its key's records as the task before left them.
//
// Every error of a node is an *Error with a closed Code; see also CodeOf.
package fenfa
