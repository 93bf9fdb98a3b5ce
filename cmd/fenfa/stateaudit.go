package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/audit"
	"github.com/fenfa/fenfa/internal/node"
)

// mostDifferences is how many differences one audit keeps to show.
const mostDifferences = 10_000

func newStateAudit() *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "Compare the records with what the op log says of them", Args: exactly(),
		Long: "Replay the op log of each partition: its chain of hashes, gaps, the order of its\n" +
			"timestamps and versions, and that the records are what it says, none missing and none\n" +
			"too many. Every difference is named. It asks a running node, which goes on with its\n" +
			"work, or with --data-dir reads the directory of one that does not run.\n\n" +
			"The exit code is 0 where nothing differs and 1 where something does.",
		Example: "fenfa state audit\nfenfa state audit --partition 3 --busy 1\nfenfa state audit --data-dir /var/lib/fenfa --json",
	}
	to, out := targetFlags(cmd), outputFlags(cmd)
	a := auditRun{}
	f := cmd.Flags()
	f.IntSliceVar(&a.parts, "partition", nil, "audit this partition only; may be repeated")
	all := f.Bool("all", false, "audit all partitions, as without --partition")
	f.StringVar(&a.dir, "data-dir", "", "audit the data directory of a node that does not run")
	f.Float64Var(&a.busy, "busy", 0.25, "the share of the time that a running node may work at it, above 0 and at most 1")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case *all && len(a.parts) > 0:
			return usagef("--all and --partition exclude each other")
		case a.busy <= 0 || a.busy > 1:
			return usagef("--busy is %v: want above 0 and at most 1", a.busy)
		}
		for _, part := range a.parts {
			if part < 0 {
				return usagef("--partition is %d: want 0 or more", part)
			}
		}
		if isTerminal(cmd.ErrOrStderr()) {
			a.progress = cmd.ErrOrStderr()
		}
		if err := a.run(cmd.Context(), to); err != nil {
			return err
		}
		if err := out.write(cmd, a.view(), a.text); err != nil {
			return err
		}
		if a.count > 0 {
			return failuref(exitCheck, "the audit found %d differences", a.count).
				withHint("docs/audit.md says what each means; keep a copy of the data before anything else")
		}
		return nil
	}
	return cmd
}

// auditRun is one audit, of a node or of a directory.
type auditRun struct {
	parts    []int
	dir      string
	busy     float64
	progress io.Writer // a terminal, or nil

	sums        []fenfa.AuditSummary
	differences []fenfa.AuditDifference
	count       int
}

func (a *auditRun) run(ctx context.Context, to *target) (err error) {
	defer a.clear()
	if a.dir != "" {
		sums, err := node.AuditDir(ctx, a.dir, a.parts, func(d audit.Difference) error {
			a.found(fenfa.AuditDifference{
				Partition: d.Partition, Kind: string(d.Kind), Seq: d.Seq, Key: d.Key, Name: d.Name, Expected: d.Expected, Found: d.Found,
			})
			return nil
		}, func(s audit.Summary) { a.show(summaryOf(&s)) })
		for i := range sums {
			a.sums = append(a.sums, summaryOf(&sums[i]))
		}
		if err != nil {
			return failuref(exitNode, "%w", err)
		}
		return nil
	}
	client, err := to.dial()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	a.sums, err = client.Audit(ctx, fenfa.AuditOptions{Partitions: a.parts, Busy: a.busy, Found: a.found, Progress: a.show})
	return err
}

func summaryOf(s *audit.Summary) fenfa.AuditSummary {
	return fenfa.AuditSummary{
		Partition: s.Partition, Head: s.Head, Rows: s.Rows, Records: s.Records, Marks: s.Marks, Passes: s.Passes,
		Differences: s.Differences, Work: s.Work, Done: s.Done,
	}
}

func (a *auditRun) found(d fenfa.AuditDifference) {
	if a.count++; len(a.differences) < mostDifferences {
		a.differences = append(a.differences, d)
	}
}

// show tells a person at a terminal how far it is.
func (a *auditRun) show(s fenfa.AuditSummary) {
	if a.progress == nil {
		return
	}
	share := 100.0
	if s.Work > 0 {
		share = 100 * float64(min(s.Done, s.Work)) / float64(s.Work)
	}
	fmt.Fprintf(a.progress, "\r\x1b[Kpartition %d: %.0f%%, %d rows, %d records, %d differences", s.Partition, share, s.Rows, s.Records, a.count)
}

func (a *auditRun) clear() {
	if a.progress != nil {
		fmt.Fprint(a.progress, "\r\x1b[K")
	}
}

type auditView struct {
	Differences     []differenceView   `json:"differences"`
	DifferenceCount int                `json:"difference_count"`
	Partitions      []auditSummaryView `json:"partitions"`
}

type differenceView struct {
	Partition int    `json:"partition"`
	Kind      string `json:"kind"`
	Seq       uint64 `json:"seq,omitempty"`
	Key       string `json:"key,omitempty"`
	Name      string `json:"name,omitempty"`
	Expected  string `json:"expected"`
	Found     string `json:"found"`
}

type auditSummaryView struct {
	Partition   int    `json:"partition"`
	Head        uint64 `json:"head"`
	Rows        uint64 `json:"rows"`
	Records     uint64 `json:"records"`
	Marks       uint64 `json:"marks"`
	Passes      int    `json:"passes"`
	Differences uint64 `json:"differences"`
}

func (a *auditRun) view() auditView {
	v := auditView{Differences: make([]differenceView, len(a.differences)), DifferenceCount: a.count, Partitions: make([]auditSummaryView, len(a.sums))}
	for i, d := range a.differences {
		v.Differences[i] = differenceView(d)
	}
	for i, s := range a.sums {
		v.Partitions[i] = auditSummaryView{
			Partition: s.Partition, Head: s.Head, Rows: s.Rows, Records: s.Records, Marks: s.Marks, Passes: s.Passes, Differences: s.Differences,
		}
	}
	return v
}

func (a *auditRun) text(w io.Writer) {
	if len(a.differences) > 0 {
		rows := [][]string{{"PARTITION", "ROW", "KIND", "KEY", "NAME", "EXPECTED", "FOUND"}}
		for _, d := range a.differences {
			seq := ""
			if d.Seq != 0 {
				seq = strconv.FormatUint(d.Seq, 10)
			}
			rows = append(rows, []string{strconv.Itoa(d.Partition), seq, d.Kind, clip([]byte(d.Key), 60), clip([]byte(d.Name), 60), d.Expected, d.Found})
		}
		table(w, rows)
		if a.count > len(a.differences) {
			fmt.Fprintf(w, "and %d more\n", a.count-len(a.differences))
		}
	}
	var rows, records, marks uint64
	for _, s := range a.sums {
		rows, records, marks = rows+s.Rows, records+s.Records, marks+s.Marks
	}
	fmt.Fprintf(w, "%d partitions, %d rows of the op log, %d records, %d marks of tasks: %d differences\n", len(a.sums), rows, records, marks, a.count)
}
