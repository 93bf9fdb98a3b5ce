package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
)

func newStateWatch() *cobra.Command {
	cmd := &cobra.Command{
		Use: "watch [PREFIX]", Short: "Follow the changes of records as they become durable",
		Long: "Follow the changes of the records whose key begins with PREFIX, of all records without\n" +
			"it: every durable change once, in the order of its partition. It begins with what\n" +
			"changes from now on, or as --initial, --oldest or --from says, connects again by\n" +
			"itself, and tells at its end how to go on.\n\n" +
			"With --json each line is one event: a change, a record as it is, live (what was there\n" +
			"at the begin has been told), lag (the reader is slow), disconnected, or the position,\n" +
			"where --from goes on.",
		Example: "fenfa state watch SKU-\nfenfa state watch SKU- --initial --name stock\nfenfa state watch --from 0:153,1:22,2:0,3:9\nfenfa state watch --key SKU-1 --initial --until-live --json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactly("PREFIX")(cmd, args)
		},
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	var w watchFlags
	f := cmd.Flags()
	f.StringArrayVar(&w.opts.Keys, "key", nil, "watch this key, instead of a prefix; may be repeated")
	f.StringVar(&w.opts.Name, "name", "", "only records of this name")
	f.BoolVar(&w.opts.Initial, "initial", false, "begin with the records as they are")
	f.BoolVar(&w.opts.Oldest, "oldest", false, "begin with the oldest change of the op logs")
	f.StringVar(&w.from, "from", "", "go on after this position, as another watch has told it")
	f.DurationVar(&w.opts.Progress, "progress", time.Second, "how often the position is told while nothing changes, at least 100ms")
	f.IntVar(&w.count, "count", 0, "end after so many changes and records; 0: go on")
	f.BoolVar(&w.untilLive, "until-live", false, "end when everything that is there now has been told")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if len(args) > 0 {
			w.prefix = args[0]
		}
		if err := w.check(); err != nil {
			return err
		}
		client, err := to.dial()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, client.Close()) }()
		// A node that is not there is an error now, and waited for later.
		if err := to.ask(cmd.Context(), client, func(ctx context.Context, c *fenfa.Client) error {
			_, err := c.Health(ctx)
			return err
		}); err != nil {
			return err
		}
		return w.follow(cmd, client, out.json)
	}
	return cmd
}

// watchFlags says what `state watch` follows.
type watchFlags struct {
	prefix, from string
	opts         fenfa.WatchOptions
	count        int
	untilLive    bool
}

func (w *watchFlags) check() error {
	if w.count < 0 {
		return usagef("--count is %d: want 0 or more", w.count)
	}
	if w.opts.Progress < 100*time.Millisecond {
		return usagef("--progress is %v: want 100ms or more", w.opts.Progress)
	}
	from, err := fenfa.ParsePosition(w.from)
	if err != nil {
		return usagef("--from: %w", err)
	}
	w.opts.From = from
	return nil
}

// follow writes what the watch tells until it has told enough.
func (w *watchFlags) follow(cmd *cobra.Command, client *fenfa.Client, asJSON bool) error {
	watcher := client.Watch(w.prefix, w.opts)
	p := &watchPrinter{out: &errWriter{out: cmd.OutOrStdout()}, notes: cmd.ErrOrStderr(), json: asJSON}
	told := 0
	for ev, err := range watcher.Events(cmd.Context()) {
		if err != nil {
			if trimmed, ok := errors.AsType[*fenfa.TrimmedError](err); ok {
				return hintedAs(err, "begin with --initial or --oldest; partition %d can be followed from %d:%d on", trimmed.Partition, trimmed.Partition, trimmed.Oldest)
			}
			return err
		}
		p.event(&ev, watcher.Position())
		if p.out.err != nil {
			return fmt.Errorf("write event: %w", p.out.err)
		}
		if ev.Kind == fenfa.WatchChange || ev.Kind == fenfa.WatchRecord {
			told++
		}
		if w.count > 0 && told >= w.count || w.untilLive && ev.Kind == fenfa.WatchLive {
			break
		}
	}
	p.end(watcher.Position())
	return nil
}

func hintedAs(err error, format string, args ...any) error {
	return &failure{text: err.Error(), hint: fmt.Sprintf(format, args...), err: err}
}

// watchPrinter writes the events of a watch.
type watchPrinter struct {
	out   *errWriter
	notes io.Writer // for a person
	json  bool
	told  string // the position that was written last
}

// watchView is one line of JSON.
type watchView struct {
	Kind     string      `json:"kind"`
	Part     *int        `json:"partition,omitempty"`
	Change   *changeView `json:"change,omitempty"`
	Record   *recordView `json:"record,omitempty"`
	Behind   uint64      `json:"behind,omitempty"`
	Lag      string      `json:"lag,omitempty"`
	Error    string      `json:"error,omitempty"`
	Position string      `json:"position,omitempty"`
}

func (p *watchPrinter) event(ev *fenfa.WatchEvent, at fenfa.Position) {
	if p.json {
		p.line(ev, at)
		return
	}
	switch ev.Kind {
	case fenfa.WatchChange:
		c := &ev.Change
		fmt.Fprintf(p.out, "%s  %-6s  %s %s  %d→%d  %s\n", moment(c.At), c.Op, clip([]byte(c.Key), 60), c.Name, c.VersionBefore, c.VersionAfter, clip(c.Value, 80))
	case fenfa.WatchRecord:
		r := &ev.Record
		fmt.Fprintf(p.out, "%s  record  %s %s  %d  %s\n", moment(r.UpdatedAt), clip([]byte(r.Key), 60), r.Name, r.Version, clip(r.Value, 80))
	case fenfa.WatchLag:
		fmt.Fprintf(p.notes, "behind by %d entries, %v\n", ev.Behind, ev.Lag.Round(time.Millisecond))
	case fenfa.WatchDisconnected:
		fmt.Fprintf(p.notes, "disconnected: %v; connecting again\n", ev.Err)
	case fenfa.WatchLive, fenfa.WatchProgress:
	}
}

// line writes an event as JSON; a position that did not move is not repeated.
func (p *watchPrinter) line(ev *fenfa.WatchEvent, at fenfa.Position) {
	v := watchView{Kind: ev.Kind.String(), Behind: ev.Behind}
	switch ev.Kind {
	case fenfa.WatchChange:
		change := viewChange(&ev.Change)
		v.Part, v.Change = &ev.Partition, &change
	case fenfa.WatchRecord:
		record := viewRecord(&ev.Record)
		v.Part, v.Record = &ev.Partition, &record
	case fenfa.WatchDisconnected:
		v.Error = ev.Err.Error()
	case fenfa.WatchProgress:
		if v.Kind, v.Position = "position", at.String(); v.Position == p.told {
			return
		}
		p.told = v.Position
	case fenfa.WatchLag, fenfa.WatchLive:
	}
	if ev.Lag > 0 {
		v.Lag = ev.Lag.String()
	}
	p.write(&v)
}

func (p *watchPrinter) write(v *watchView) {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = p.out.Write(append(b, '\n'))
	}
	if p.out.err == nil {
		p.out.err = err
	}
}

// end tells how to go on.
func (p *watchPrinter) end(at fenfa.Position) {
	switch {
	case at.IsZero():
	case p.json:
		p.write(&watchView{Kind: "position", Position: at.String()})
	default:
		fmt.Fprintf(p.notes, "go on with --from %s\n", at)
	}
}
