package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fenfa/fenfa"
)

// workerFlags say what a worker of the command line does.
type workerFlags struct {
	queues      []string
	command     string
	id          string
	concurrency int
	batch       int
	linger      time.Duration
	drain       time.Duration
	weight      float64
	labels      labelFlag
	quiet       bool
	prefetch    bool
}

func newWorker() *cobra.Command {
	w := &workerFlags{labels: labelFlag{}}
	cmd := &cobra.Command{
		Use: "worker --queue QUEUE --exec CMD", Short: "Work on tasks by running a command for each",
		Long: `Work on tasks by running a command for each, with /bin/sh -c. The command gets the task
as one JSON object on standard input (id, queue, key, type, payload or payload_base64,
headers, attempt, delivery, created_at) and in the environment (FENFA_TASK_ID,
FENFA_TASK_QUEUE, FENFA_TASK_KEY, FENFA_TASK_TYPE, FENFA_TASK_ATTEMPT,
FENFA_TASK_DELIVERY). Its exit code decides:

  0     done; standard output, without the last line end, is the task's result
  65    rejected (EX_DATAERR): a dead letter at once, without further attempts
  75    to be tried again later (EX_TEMPFAIL), by the queue's retry policy
  else  failed, and tried again like 75

While it runs, the command may write JSON lines to file descriptor 3, which FENFA_PROGRESS_FD
names: {"ratio": 0.4, "text": "page 4"} shows in ` + "`fenfa task get`" + `, and {"extend": "1m"} gives
the attempt that long from now, at most 24h, if it has less.

With --batch N one run of the command gets up to N tasks of a queue, a JSON line for each on
standard input, and writes a JSON line for each to standard output: {"id": ..., "outcome":
"done"|"retry"|"reject", "result": any JSON (or "result_base64"), "error": text,
"retry_after": "10s"}; only id and outcome are needed. A task without a line is tried again,
or what the exit code says. FENFA_BATCH is the number of tasks; in lines about progress
"id" names one of them, and without it all are meant.

The end of standard error becomes the error that ` + "`fenfa task get`" + ` shows. When the
attempt's time is over, the command and all it started (its process group) are killed, and
the attempt has failed. When its task is cancelled they get SIGTERM, and are killed 5 s later;
the task is cancelled unless the command ends with 0 all the same. More than 256 KiB of result is rejected.

SIGTERM or SIGINT lets running commands finish and gives all else back at once; a second
one ends the worker at once, and its tasks go to other workers. ` + "`fenfa cluster drain`" + ` does
the same as SIGTERM from the node's side, and the worker ends with exit code 0.`,
		Example: "  fenfa worker --queue mail --exec './send-mail.py' --concurrency 4\n" +
			"  fenfa worker --queue render --exec ./render --label gpu --label zone=eu-1 --weight 2\n" +
			"  fenfa worker --queue rows --exec ./insert-rows.py --batch 100", Args: exactly(),
	}
	to := targetFlags(cmd)
	w.flags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := w.check(); err != nil {
			return err
		}
		client, err := to.dial()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, client.Close()) }()
		return w.worker(cmd, client).Run(cmd.Context())
	}
	return cmd
}

func (w *workerFlags) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&w.queues, "queue", nil, "queue to work on; may be given several times (needed)")
	f.StringVar(&w.command, "exec", "", "command to run for each task (needed)")
	f.StringVar(&w.id, "id", "", "name of this worker (default: host name, process id and a random part)")
	f.IntVar(&w.concurrency, "concurrency", 1, "commands that run at the same time")
	f.IntVar(&w.batch, "batch", 1, "most tasks of one run of the command; more than 1: lines in, lines out")
	f.DurationVar(&w.linger, "batch-linger", 10*time.Millisecond, "with --batch: how long a task waits for others, at most 10s")
	f.DurationVar(&w.drain, "drain-timeout", 25*time.Second, "how long running commands may take after SIGTERM")
	f.Float64Var(&w.weight, "weight", 1, "share of the load relative to other workers, more than 0")
	f.Var(w.labels, "label", "name, or name=value, that describes the worker, for tasks that ask for it; may be given several times")
	f.BoolVar(&w.quiet, "quiet", false, "take nothing until fenfa cluster resume")
	f.BoolVar(&w.prefetch, "prefetch", true, "hold a few tasks more than run, where that keeps short commands from waiting for the next one")
}

// worker makes the worker, with a handler for each queue.
func (w *workerFlags) worker(cmd *cobra.Command, client *fenfa.Client) *fenfa.Worker {
	opts := []fenfa.WorkerOption{
		fenfa.Concurrency(w.concurrency * w.batch), fenfa.DrainTimeout(w.drain), fenfa.OnEvent(tell(cmd)),
		fenfa.Weight(w.weight), fenfa.Labels(w.labels),
	}
	if !w.prefetch {
		opts = append(opts, fenfa.MaxPrefetch(0))
	}
	if w.id != "" {
		opts = append(opts, fenfa.WorkerID(w.id))
	}
	worker := client.Worker(opts...)
	if w.quiet {
		worker.Quiet()
	}
	one := execHandler{shell: "/bin/sh", command: w.command, env: os.Environ(), tell: func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), text) }}
	many := execBatch{execHandler: one, running: make(chan struct{}, w.concurrency)}
	for _, queue := range w.queues {
		if w.batch > 1 {
			worker.HandleBatch(queue, fenfa.Batch{Most: w.batch, Linger: w.linger}, many.handle)
		} else {
			worker.Handle(queue, one.handle)
		}
	}
	return worker
}

// mostInBatch is how many tasks one run of a command has at most.
const mostInBatch = 10_000

// check refuses flags that cannot be.
func (w *workerFlags) check() error {
	switch {
	case len(w.queues) == 0:
		return usagef("say the queue").withHint("--queue NAME")
	case w.command == "":
		return usagef("say the command").withHint("--exec CMD")
	case w.concurrency < 1:
		return usagef("--concurrency is %d: want 1 or more", w.concurrency)
	case w.batch < 1 || w.batch > mostInBatch:
		return usagef("--batch is %d: want 1 to %d", w.batch, mostInBatch)
	case !(w.weight > 0) || math.IsInf(w.weight, 0):
		return usagef("--weight is %v: want more than 0 and at most 1000000", w.weight)
	}
	return nil
}

// tell writes what happens to the worker to standard error.
func tell(cmd *cobra.Command) func(fenfa.Event) {
	return func(e fenfa.Event) {
		switch e.Kind {
		case fenfa.EventConnected:
			fmt.Fprintf(cmd.ErrOrStderr(), "connected to node %s\n", e.Node)
		case fenfa.EventDisconnected:
			switch {
			case e.Final && e.Err == nil:
				fmt.Fprintln(cmd.ErrOrStderr(), "sent away by the node, ending")
			case e.Final: // The command ends with the same error.
			case e.Err == nil:
				fmt.Fprintln(cmd.ErrOrStderr(), "dismissed by the node, connecting again")
			default:
				fmt.Fprintf(cmd.ErrOrStderr(), "disconnected, trying again: %v\n", e.Err)
			}
		case fenfa.EventDraining:
			fmt.Fprintln(cmd.ErrOrStderr(), "draining: finishing what was begun, giving back the rest")
		case fenfa.EventLeaseLost:
			fmt.Fprintf(cmd.ErrOrStderr(), "task %s went to another worker\n", e.TaskID)
		case fenfa.EventFinished:
			if e.Err != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "task %s failed: %v\n", e.TaskID, e.Err)
			}
		default:
		}
	}
}
