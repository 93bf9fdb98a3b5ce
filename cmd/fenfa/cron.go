package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

const listCrons = "`fenfa cron list` shows all that there are"

func newCron() *cobra.Command {
	return group("cron", "Submit tasks again and again, by the clock",
		"A schedule submits a task at every tick of its spec, once for each tick, also when nodes\n"+
			"are killed. docs/cron.md says how specs are read when clocks change.",
		newCronCreate(), newCronList(), newCronShow(), newCronUpdate(), newCronPause(), newCronResume(),
		newCronDelete(), newCronRun(), newCronNext())
}

// cronFlags say what a schedule is.
type cronFlags struct {
	d       fenfa.CronDefinition
	payload string
	overlap string
	missed  string
	headers map[string]string
	file    string
}

func (c *cronFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.d.Spec, "spec", "", "when: 5 fields, 6 with seconds, @daily and the like, or @every 90s (needed)")
	f.StringVar(&c.d.Zone, "zone", "", "time zone of the spec, as Europe/Berlin (default UTC)")
	f.StringVar(&c.d.Queue, "queue", "", "queue to submit to (needed)")
	f.StringVar(&c.d.Key, "key", "", "key of the tasks")
	f.StringVar(&c.d.Type, "type", "", "type of the tasks")
	f.StringVar(&c.payload, "payload", "", "payload of the tasks")
	f.StringToStringVar(&c.headers, "header", nil, "headers of the tasks, as name=value")
	f.StringVar(&c.overlap, "overlap", "skip", "a tick while an earlier task has not ended: skip, allow or queue")
	f.StringVar(&c.missed, "missed", "run_once", "ticks that nobody could take in time: run_once or skip")
	f.StringVar(&c.file, "file", "", "read schedules from YAML, one a document, - for standard input; those that are there are updated")
}

// definition checks the flags and returns what they say.
func (c *cronFlags) definition(name string) (fenfa.CronDefinition, error) {
	d := c.d
	switch {
	case d.Spec == "":
		return d, usagef("say when").withHint("--spec '30 2 * * *', or --spec @hourly")
	case d.Queue == "":
		return d, usagef("say the queue").withHint("--queue NAME")
	}
	if err := oneOf("overlap", c.overlap, "skip", "allow", "queue"); err != nil {
		return d, err
	}
	if err := oneOf("missed", c.missed, "run_once", "skip"); err != nil {
		return d, err
	}
	d.Name, d.Headers = name, c.headers
	d.Overlap, d.Missed = fenfa.CronOverlap(c.overlap), fenfa.CronMissed(c.missed)
	if c.payload != "" {
		d.Payload = []byte(c.payload)
	}
	return d, nil
}

func newCronCreate() *cobra.Command {
	var flags cronFlags
	cmd := &cobra.Command{
		Use: "create (NAME | --file FILE)", Short: "Create a schedule, or several from YAML",
		Long: "Create a schedule. The same one again changes nothing, and another one under its name is\n" +
			"refused. With --file schedules are read from YAML, one a document, with the flags as members\n" +
			"and a name; those that are there already are updated, so that a file can be applied again.",
		Example: "  fenfa cron create nightly --spec '30 2 * * *' --zone Europe/Berlin --queue reports\n" +
			"  fenfa cron create heartbeat --spec '@every 90s' --queue checks --overlap allow --missed skip\n" +
			"  fenfa cron create --file schedules.yaml",
		Args: cobra.ArbitraryArgs,
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if flags.file != "" {
			if len(args) > 0 || flags.d.Spec != "" || flags.d.Queue != "" {
				return usagef("--file says all of its schedules: leave NAME and the other flags out")
			}
			return applyCrons(cmd, to, out, flags.file)
		}
		if err := exactly("NAME")(cmd, args); err != nil {
			return err
		}
		d, err := flags.definition(args[0])
		if err != nil {
			return err
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			now, created, err := c.Crons().Create(ctx, d)
			if err != nil {
				return hinted(err, listQueues, fenfa.CodeNotFound)
			}
			view := appliedCron{viewCron(&now), created}
			return out.write(cmd, view, func(w io.Writer) { view.tell(w) })
		})
	}
	return cmd
}

// appliedCron is a schedule that was created, or was there.
type appliedCron struct {
	cronView
	Created bool `json:"created"`
}

func (v *appliedCron) tell(w io.Writer) {
	what := "created"
	if !v.Created {
		what = "was there:"
	}
	fmt.Fprintf(w, "%s schedule %s, next at %s\n", what, v.Name, v.NextAt)
}

// applyCrons creates or updates the schedules of a file.
func applyCrons(cmd *cobra.Command, to *target, out *output, file string) error {
	content, err := readFile(cmd, file)
	if err != nil {
		return err
	}
	all, err := readCrons(file, content)
	if err != nil {
		return usagef("%w", err)
	}
	return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
		view := struct {
			Crons []appliedCron `json:"crons"`
		}{}
		for _, d := range all {
			now, created, err := c.Crons().Create(ctx, d)
			if fenfa.CodeOf(err) == fenfa.CodeAlreadyExists {
				now, err = c.Crons().Update(ctx, d)
			}
			if err != nil {
				return fmt.Errorf("schedule %s: %w", d.Name, err)
			}
			view.Crons = append(view.Crons, appliedCron{viewCron(&now), created})
		}
		return out.write(cmd, view, func(w io.Writer) {
			for i := range view.Crons {
				view.Crons[i].tell(w)
			}
		})
	})
}

func newCronUpdate() *cobra.Command {
	var flags cronFlags
	cmd := &cobra.Command{
		Use: "update NAME", Short: "Give a schedule another definition", Args: exactly("NAME"),
		Long:    "Give a schedule another definition: all of it, what is left out becomes the default. Tasks\nthat it submitted go on.",
		Example: "  fenfa cron update nightly --spec '0 3 * * *' --zone Europe/Berlin --queue reports",
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if flags.file != "" {
			return usagef("--file is for create").withHint("`fenfa cron create --file %s` updates what is there", flags.file)
		}
		d, err := flags.definition(args[0])
		if err != nil {
			return err
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			now, err := c.Crons().Update(ctx, d)
			if err != nil {
				return hinted(err, listCrons, fenfa.CodeNotFound)
			}
			return out.write(cmd, viewCron(&now), func(w io.Writer) { showCron(w, &now) })
		})
	}
	return cmd
}

func newCronList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list [PREFIX]", Short: "List schedules", Example: "  fenfa cron list\n  fenfa cron list report-",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactly("PREFIX")(cmd, args)
		},
	}
	to, out, part := targetFlags(cmd), outputFlags(cmd), pageFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := part.check(); err != nil {
			return err
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			all, next, err := c.Crons().List(ctx, strings.Join(args, ""), fenfa.Page{Size: part.limit, Token: part.token})
			if err != nil {
				return err
			}
			view := struct {
				Crons []cronView `json:"crons"`
				Next  string     `json:"next,omitempty"`
			}{make([]cronView, len(all)), next}
			rows := [][]string{{"NAME", "SPEC", "ZONE", "QUEUE", "NEXT", "FIRED", "SKIPPED", "MISSED", "PROBLEM"}}
			for i := range all {
				s := &all[i]
				view.Crons[i] = viewCron(s)
				rows = append(rows, []string{
					s.Name, s.Spec, s.Zone, s.Queue, nextText(s), strconv.FormatUint(s.FiredTicks, 10),
					strconv.FormatUint(s.SkippedTicks, 10), strconv.FormatUint(s.MissedTicks, 10), s.Problem,
				})
			}
			return out.write(cmd, view, func(w io.Writer) {
				table(w, rows)
				if next != "" {
					fmt.Fprintf(w, "there are more: --page %s\n", next)
				}
			})
		})
	}
	return cmd
}

// nextText is when a schedule ticks next, for a person.
func nextText(s *fenfa.Cron) string {
	switch {
	case s.Paused:
		return "paused"
	case s.NextAt.IsZero():
		return "never"
	}
	return zoned(s, s.NextAt)
}

// zoned writes a moment as the clocks of the schedule's zone show it.
func zoned(s *fenfa.Cron, at time.Time) string {
	if zone, err := time.LoadLocation(s.Zone); err == nil {
		at = at.In(zone)
	}
	return at.Format(time.RFC3339)
}

// newCronOperation is a command that does one thing to a schedule.
func newCronOperation(use, short, long string, do func(*fenfa.Crons, context.Context, string) (fenfa.Cron, error)) *cobra.Command {
	cmd := &cobra.Command{Use: use + " NAME", Short: short, Long: long, Args: exactly("NAME"), Example: "  fenfa cron " + use + " nightly"}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			now, err := do(c.Crons(), ctx, args[0])
			if err != nil {
				return hinted(err, listCrons, fenfa.CodeNotFound)
			}
			return out.write(cmd, viewCron(&now), func(w io.Writer) { showCron(w, &now) })
		})
	}
	return cmd
}

func newCronShow() *cobra.Command {
	return newCronOperation("show", "Show a schedule and its latest runs", "", (*fenfa.Crons).Get)
}

func newCronPause() *cobra.Command {
	return newCronOperation("pause", "End the ticks of a schedule for a while",
		"End the ticks of a schedule until it is resumed. Those in between are not made up for.", (*fenfa.Crons).Pause)
}

func newCronResume() *cobra.Command {
	return newCronOperation("resume", "Let a schedule tick again", "", (*fenfa.Crons).Resume)
}

func newCronDelete() *cobra.Command {
	return newCronOperation("delete", "End a schedule", "End a schedule. Tasks that it submitted go on.", (*fenfa.Crons).Delete)
}

func newCronRun() *cobra.Command {
	cmd := &cobra.Command{
		Use: "run NAME", Short: "Submit a task of a schedule now", Args: exactly("NAME"), Example: "  fenfa cron run nightly",
		Long: "Submit a task of a schedule now, beside its ticks, also of a paused one. It counts for overlaps.",
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			id, err := c.Crons().Run(ctx, args[0])
			if err != nil {
				return hinted(err, listCrons, fenfa.CodeNotFound)
			}
			return out.write(cmd, map[string]string{"task_id": id.String()}, func(w io.Writer) { fmt.Fprintln(w, id) })
		})
	}
	return cmd
}

func newCronNext() *cobra.Command {
	cmd := &cobra.Command{
		Use: "next NAME", Short: "Tell the next ticks of a schedule", Args: exactly("NAME"), Example: "  fenfa cron next nightly --count 10",
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	count := cmd.Flags().Int("count", 5, "how many, 1 to 1000")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *count < 1 || *count > 1000 {
			return usagef("--count is %d: want 1 to 1000", *count)
		}
		return to.call(cmd.Context(), func(ctx context.Context, c *fenfa.Client) error {
			s, err := c.Crons().Get(ctx, args[0])
			if err != nil {
				return hinted(err, listCrons, fenfa.CodeNotFound)
			}
			ticks, err := c.Crons().Next(ctx, args[0], *count)
			if err != nil {
				return err
			}
			texts := make([]string, len(ticks))
			for i, at := range ticks {
				texts[i] = zoned(&s, at)
			}
			return out.write(cmd, map[string][]string{"ticks": texts}, func(w io.Writer) {
				for _, at := range texts {
					fmt.Fprintln(w, at)
				}
			})
		})
	}
	return cmd
}
