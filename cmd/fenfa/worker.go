package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func newWorker() *cobra.Command {
	var (
		queues      []string
		command     string
		id          string
		concurrency int
		drain       time.Duration
		weight      float64
		labels      = labelFlag{}
		quiet       bool
		prefetch    bool
	)
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

The end of standard error becomes the error that ` + "`fenfa task get`" + ` shows. When the
attempt's time is over, the command and all it started (its process group) are killed, and
the attempt has failed. When its task is cancelled they get SIGTERM, and are killed 5 s later;
the task is cancelled unless the command ends with 0 all the same. More than 256 KiB of result is rejected.

SIGTERM or SIGINT lets running commands finish and gives all else back at once; a second
one ends the worker at once, and its tasks go to other workers. ` + "`fenfa cluster drain`" + ` does
the same as SIGTERM from the node's side, and the worker ends with exit code 0.`,
		Example: "  fenfa worker --queue mail --exec './send-mail.py' --concurrency 4\n" +
			"  fenfa worker --queue render --exec ./render --label gpu --label zone=eu-1 --weight 2", Args: exactly(),
	}
	to := targetFlags(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&queues, "queue", nil, "queue to work on; may be given several times (needed)")
	f.StringVar(&command, "exec", "", "command to run for each task (needed)")
	f.StringVar(&id, "id", "", "name of this worker (default: host name, process id and a random part)")
	f.IntVar(&concurrency, "concurrency", 1, "commands that run at the same time")
	f.DurationVar(&drain, "drain-timeout", 25*time.Second, "how long running commands may take after SIGTERM")
	f.Float64Var(&weight, "weight", 1, "share of the load relative to other workers, more than 0")
	f.Var(labels, "label", "name, or name=value, that describes the worker, for tasks that ask for it; may be given several times")
	f.BoolVar(&quiet, "quiet", false, "take nothing until fenfa cluster resume")
	f.BoolVar(&prefetch, "prefetch", true, "hold a few tasks more than run, where that keeps short commands from waiting for the next one")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := checkWorker(queues, command, concurrency, weight); err != nil {
			return err
		}
		client, err := to.dial()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, client.Close()) }()
		opts := []fenfa.WorkerOption{
			fenfa.Concurrency(concurrency), fenfa.DrainTimeout(drain), fenfa.OnEvent(tell(cmd)),
			fenfa.Weight(weight), fenfa.Labels(labels),
		}
		if !prefetch {
			opts = append(opts, fenfa.MaxPrefetch(0))
		}
		if id != "" {
			opts = append(opts, fenfa.WorkerID(id))
		}
		worker := client.Worker(opts...)
		if quiet {
			worker.Quiet()
		}
		run := &execHandler{shell: "/bin/sh", command: command, env: os.Environ()}
		for _, queue := range queues {
			worker.Handle(queue, run.handle)
		}
		return worker.Run(cmd.Context())
	}
	return cmd
}

func checkWorker(queues []string, command string, concurrency int, weight float64) error {
	switch {
	case len(queues) == 0:
		return usagef("say the queue").withHint("--queue NAME")
	case command == "":
		return usagef("say the command").withHint("--exec CMD")
	case concurrency < 1:
		return usagef("--concurrency is %d: want 1 or more", concurrency)
	case !(weight > 0) || math.IsInf(weight, 0):
		return usagef("--weight is %v: want more than 0 and at most 1000000", weight)
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
