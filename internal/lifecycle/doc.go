// Package lifecycle starts things in order and stops them in reverse.
//
// A Sequence of Parts is started as a whole: when one part fails, those before it
// are stopped again. It ends in two rounds, each from the last part to the first:
// in Drain parts refuse new work and finish what they have, while everything still
// runs that they may need for it; in Stop they end. Each round has a deadline, and
// a part that overruns it is left behind and named in the error, so that the end of
// a process never hangs. One whose Drain was left behind is stopped all the same, so
// its Stop must bear a Drain that has not returned.
//
// A Sequence that was stopped may be started again. Its methods may be called
// concurrently; they run one after another.
package lifecycle
