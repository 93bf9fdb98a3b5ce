package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fenfa/fenfa"
)

// submitFlags says what is submitted.
type submitFlags struct {
	queue, key, kind, id string

	file, format, encoding string
	keyColumn, idColumn    string
	onError                string

	delay          time.Duration
	runAt, expires string

	require, prefer             []string
	requireColumn, preferColumn string

	unique     bool
	uniqueness fenfa.Unique
	uniqueIn   []string

	wait        bool
	waitTimeout time.Duration

	priority fenfa.Priority
	timeout  time.Duration
	retry    fenfa.RetryPolicy
}

func newSubmit() *cobra.Command {
	var s submitFlags
	cmd := &cobra.Command{
		Use: "submit --queue QUEUE (PAYLOAD... | --file FILE)", Short: "Submit tasks: from arguments, or one for each row of a file",
		Long: `Submit tasks. Each PAYLOAD argument is one task, or with --file each row of a CSV or
NDJSON file (- for standard input). A CSV row becomes a JSON object of strings under the
names of the header; an NDJSON line is the payload as it is.

Submitting the same file again changes nothing: the ID of a row's task is derived from the
queue, the row's payload and which occurrence of that payload in the file it is, or from
the column that --id-column names. Rows that are equal are tasks of their own. So a submit
that was interrupted is finished by running it once more.

A row that is malformed, or that the node refuses, stops the submit (--on-error stop) or is
left out (--on-error skip). Either way its line number and the reason are written to
standard error and the exit code is 3. With stop all rows before a malformed one are
submitted, and none after it. Rows travel in batches of up to 500: when the node refuses
one, the others of its batch, also those after it, may have been submitted.`,
		Example: `  fenfa submit --queue mail '{"to":"a@example.org"}' '{"to":"b@example.org"}'
  fenfa submit --queue mail --delay 36h '{"to":"c@example.org"}'
  fenfa submit --queue mail --priority high '{"reset":"a@example.org"}'
  fenfa submit --queue orders --file orders.csv --key-column SKU
  zcat orders.ndjson.gz | fenfa submit --queue orders --file - --format ndjson --key-column sku
  fenfa submit --queue reports --unique-args customer '{"customer":17,"asked":"today"}'
  fenfa submit --queue render '{"page":7}' --wait --wait-timeout 1m`,
		Args: cobra.ArbitraryArgs,
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&s.queue, "queue", "", "queue to submit to (needed)")
	f.StringVar(&s.key, "key", "", "key of the tasks: tasks of one key run in order")
	f.StringVar(&s.kind, "type", "", "type of the tasks")
	f.StringVar(&s.id, "id", "", "id of the task, a UUID, so that a repeat changes nothing; one PAYLOAD only")
	f.DurationVar(&s.delay, "delay", 0, "how long the tasks wait before they may run, at most 8784h (366 days)")
	f.StringVar(&s.runAt, "run-at", "", "moment before which the tasks do not run, as 2027-01-02T15:04:05Z or with an offset; at most 366 days ahead")
	f.StringVar(&s.expires, "expires-at", "", "moment after which the tasks do not start any more")
	f.StringVar(&s.file, "file", "", "submit each row of a file, - for standard input")
	f.StringVar(&s.format, "format", "", "csv or ndjson (default: by the name of the file)")
	f.StringVar(&s.encoding, "encoding", "utf-8", "of the file: utf-8 or latin-1")
	f.StringVar(&s.keyColumn, "key-column", "", "column, or JSON member, that is the task's key")
	f.StringVar(&s.idColumn, "id-column", "", "column, or JSON member, that identifies the task")
	f.StringSliceVar(&s.require, "require", nil, "terms on labels that a worker must meet to get the tasks: name, !name, name=value or name!=value")
	f.StringSliceVar(&s.prefer, "prefer", nil, "terms on labels of workers that get the tasks first, as long as they have room")
	f.StringVar(&s.requireColumn, "require-column", "", "column, or JSON member, with the terms that the task requires, joined by commas")
	f.StringVar(&s.preferColumn, "prefer-column", "", "column, or JSON member, with the terms that the task prefers")
	f.Var((*priorityFlag)(&s.priority), "priority", "low, normal or high, which has an effect in a queue whose priorities are on")
	f.DurationVar(&s.timeout, "attempt-timeout", 0, "how long one attempt may take (default: the queue's)")
	f.DurationVar(&s.retry.Base, "retry-base", 0, "longest delay after the first failure; with any --retry flag the queue's policy does not count (default: 1s)")
	f.Float64Var(&s.retry.Factor, "retry-factor", 0, "growth of the delay with each failure (default: 2)")
	f.DurationVar(&s.retry.Max, "retry-max", 0, "longest delay (default: 10m)")
	f.IntVar(&s.retry.MaxAttempts, "retry-max-attempts", 0, "failures until the task is a dead letter (default: 10)")
	s.uniqueFlags(f)
	f.BoolVar(&s.wait, "wait", false, "wait until the tasks have ended, and show how, like fenfa task wait; not with --file")
	f.DurationVar(&s.waitTimeout, "wait-timeout", 5*time.Minute, "with --wait: how long at most")
	f.StringVar(&s.onError, "on-error", "stop", "what to do after a row that is malformed or refused: stop or skip")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := s.check(args); err != nil {
			return err
		}
		for _, name := range []string{"attempt-timeout", "retry-base", "retry-factor", "retry-max", "retry-max-attempts"} {
			if err := checkSetting(cmd, name); err != nil {
				return err
			}
		}
		for _, name := range []string{"require", "prefer"} {
			if err := checkTerms(cmd, name); err != nil {
				return err.withHint("leave the flag out to ask for nothing")
			}
		}
		if s.file != "" {
			return s.submitFile(cmd, to, out)
		}
		if s.wait {
			return s.submitAndWait(cmd, to, out, args)
		}
		return s.submitArguments(cmd, to, out, args)
	}
	return cmd
}

// uniqueFlags adds those that make tasks the only ones of their content.
func (s *submitFlags) uniqueFlags(f *pflag.FlagSet) {
	f.BoolVar(&s.unique, "unique", false, "submit nothing where a task of the same queue, key, type and payload is there that has not ended; show that one")
	f.StringSliceVar(&s.uniqueness.Args, "unique-args", nil, "the same, but only these top-level fields of a JSON payload count")
	f.StringVar(&s.uniqueness.By, "unique-by", "", "the same, but this text counts instead of the payload")
	f.DurationVar(&s.uniqueness.Period, "unique-period", 0, "keep others out for so long after a task was accepted, also when it has ended")
	f.StringSliceVar(&s.uniqueIn, "unique-states", nil, "states in which a task keeps others out: queued, scheduled, running, and with --unique-period done, dead, cancelled, expired (default: the first three, with --unique-period all)")
}

// check refuses flags that contradict each other.
func (s *submitFlags) check(args []string) error {
	switch {
	case s.queue == "":
		return usagef("say the queue").withHint("--queue NAME")
	case s.file == "" && len(args) == 0:
		return usagef("there is nothing to submit").withHint("give payloads as arguments, or --file")
	case s.file != "" && len(args) > 0:
		return usagef("--file and payload arguments do not go together")
	case s.file == "" && (s.keyColumn != "" || s.idColumn != "" || s.requireColumn != "" || s.preferColumn != "" || s.format != ""):
		return usagef("--format and all flags that name a column are for --file")
	case s.id != "" && (s.file != "" || len(args) != 1):
		return usagef("--id is for one payload").withHint("for a file use --id-column")
	case s.delay < 0:
		return usagef("--delay is %v: want more than 0", s.delay)
	case s.delay > 0 && s.runAt != "":
		return usagef("--delay and --run-at do not go together")
	case s.delay > 0 && (s.file != "" || s.id != ""):
		return usagef("--delay makes other tasks each time, which a repeat must not").withHint("give the moment with --run-at")
	case s.wait && s.file != "":
		return usagef("--wait is for payload arguments")
	case s.waitTimeout <= 0:
		return usagef("--wait-timeout is %v: want more than 0", s.waitTimeout)
	case s.key != "" && s.keyColumn != "":
		return usagef("--key and --key-column do not go together")
	case len(s.require) > 0 && s.requireColumn != "":
		return usagef("--require and --require-column do not go together")
	case len(s.prefer) > 0 && s.preferColumn != "":
		return usagef("--prefer and --prefer-column do not go together")
	}
	for _, m := range []struct{ flag, value string }{{"run-at", s.runAt}, {"expires-at", s.expires}} {
		if _, err := momentOf(m.flag, m.value); err != nil {
			return err
		}
	}
	for _, state := range s.uniqueIn {
		if err := oneOf("unique-states", state, "queued", "scheduled", "running", "done", "dead", "cancelled", "expired"); err != nil {
			return err
		}
	}
	return oneOf("on-error", s.onError, "stop", "skip")
}

// momentOf reads a flag that names a moment; zero where it is not given.
func momentOf(flag, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return at, usagef("--%s %q is not a moment", flag, value).withHint("write it as 2027-01-02T15:04:05Z, or with an offset as 2027-01-02T15:04:05+01:00")
	}
	return at, nil
}

// options returns the options of a task, but for its ID.
func (s *submitFlags) options(key string, require, prefer []string) []fenfa.TaskOption {
	var opts []fenfa.TaskOption
	if len(require) > 0 {
		opts = append(opts, fenfa.Require(require...))
	}
	if len(prefer) > 0 {
		opts = append(opts, fenfa.Prefer(prefer...))
	}
	if key != "" {
		opts = append(opts, fenfa.Key(key))
	}
	if u := s.uniqueness; s.unique || len(u.Args) > 0 || u.By != "" || u.Period != 0 || len(s.uniqueIn) > 0 {
		for _, state := range s.uniqueIn {
			u.States = append(u.States, fenfa.LifeState(state))
		}
		opts = append(opts, fenfa.OnlyOne(u))
	}
	if s.kind != "" {
		opts = append(opts, fenfa.Type(s.kind))
	}
	if s.delay > 0 {
		opts = append(opts, fenfa.Delay(s.delay))
	}
	if s.priority != fenfa.PriorityNormal {
		opts = append(opts, fenfa.WithPriority(s.priority))
	}
	if s.timeout > 0 {
		opts = append(opts, fenfa.Timeout(s.timeout))
	}
	if s.retry != (fenfa.RetryPolicy{}) {
		opts = append(opts, fenfa.Retry(s.retry))
	}
	// They were checked with the other flags.
	if at, err := momentOf("run-at", s.runAt); err == nil && !at.IsZero() {
		opts = append(opts, fenfa.RunAt(at))
	}
	if at, err := momentOf("expires-at", s.expires); err == nil && !at.IsZero() {
		opts = append(opts, fenfa.ExpiresAt(at))
	}
	return opts
}

// submittedView is one submitted argument in JSON.
type submittedView struct {
	ID        string          `json:"id"`
	Duplicate bool            `json:"duplicate"`
	State     fenfa.LifeState `json:"state,omitempty"`
}

// tasks makes a task of each argument.
func (s *submitFlags) tasks(args []string) ([]*fenfa.Task, error) {
	opts := s.options(s.key, s.require, s.prefer)
	if s.id != "" {
		id, err := fenfa.ParseID(s.id)
		if err != nil {
			return nil, err
		}
		opts = append(opts, fenfa.WithID(id))
	}
	tasks := make([]*fenfa.Task, len(args))
	for i, payload := range args {
		tasks[i] = fenfa.NewTask(s.queue, payload, opts...)
	}
	return tasks, nil
}

// submitAndWait submits each argument, and shows how it has ended.
func (s *submitFlags) submitAndWait(cmd *cobra.Command, to *target, out *output, args []string) error {
	tasks, err := s.tasks(args)
	if err != nil {
		return err
	}
	ids := make([]fenfa.ID, len(tasks))
	err = to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
		results, err := c.SubmitBatch(ctx, tasks)
		for i := range results {
			if cause := results[i].Err; cause != nil {
				err = errors.Join(err, fmt.Errorf("submit payload %d: %w", i+1, cause))
			}
			ids[i] = results[i].ID
		}
		return hinted(err, listQueues, fenfa.CodeNotFound)
	})
	if err != nil {
		return err
	}
	return to.waitFor(cmd, ids, s.waitTimeout, func(st *fenfa.TaskStatus) error {
		return out.write(cmd, viewTask(st), func(w io.Writer) { writeEnd(w, st) })
	})
}

// submitArguments submits each argument, and writes one ID a line.
func (s *submitFlags) submitArguments(cmd *cobra.Command, to *target, out *output, args []string) error {
	tasks, err := s.tasks(args)
	if err != nil {
		return err
	}
	return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
		results, err := c.SubmitBatch(ctx, tasks)
		if err != nil {
			return err
		}
		views := make([]submittedView, 0, len(results))
		for i := range results {
			if cause := results[i].Err; cause != nil {
				err = errors.Join(err, fmt.Errorf("submit payload %d: %w", i+1, cause))
				continue
			}
			views = append(views, submittedView{ID: results[i].ID.String(), Duplicate: results[i].Duplicate, State: results[i].State})
		}
		err = errors.Join(out.write(cmd, map[string][]submittedView{"tasks": views}, func(w io.Writer) {
			for _, v := range views {
				fmt.Fprintln(w, v.ID)
			}
		}), err)
		if !out.json {
			tellDuplicates(cmd.ErrOrStderr(), views)
		}
		return hinted(err, listQueues, fenfa.CodeNotFound)
	})
}

// tellDuplicates says which tasks were there already, so that standard output
// keeps to IDs.
func tellDuplicates(w io.Writer, views []submittedView) {
	for _, v := range views {
		if v.Duplicate {
			fmt.Fprintf(w, "task %s was there already (%s): nothing was changed\n", v.ID, v.State)
		}
	}
}

// source names the file in messages.
func (s *submitFlags) source() string {
	if s.file == "-" {
		return "standard input"
	}
	return s.file
}
