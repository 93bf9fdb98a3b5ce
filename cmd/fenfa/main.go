package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// streams are the standard streams of the process.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// sameSignal is how long after a signal another one counts as the same.
const sameSignal = 500 * time.Millisecond

// awaitAnother waits for a signal that is not the one that has just come.
func awaitAnother(signals <-chan os.Signal) {
	for first := time.Now(); ; {
		if <-signals; time.Since(first) >= sameSignal {
			return
		}
	}
}

// run runs one command and returns the exit code. The first SIGINT or SIGTERM
// cancels the command's context, which lets it finish in order; another one ends
// the process at once, unless it comes so soon that it is the same one: some
// programs signal a process and its group.
func run(args []string, std streams) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		<-signals
		cancel(errInterrupted)
		awaitAnother(signals)
		os.Exit(exitInterrupted)
	}()
	root := newRoot(std)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if ended, ok := errors.AsType[*exitError](err); ok {
		return ended.code
	}
	if context.Cause(ctx) != nil && isCancel(err) {
		err = errInterrupted
	}
	return report(std.err, err, wantsJSON(cmd, args))
}
