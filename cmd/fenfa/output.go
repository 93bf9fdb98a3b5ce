package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// output writes results: a table for people, or JSON for programs.
type output struct {
	json bool
}

// outputFlags adds --json.
func outputFlags(cmd *cobra.Command) *output {
	o := &output{}
	cmd.Flags().BoolVar(&o.json, "json", false, "write JSON for programs; errors too")
	return o
}

// write writes value as JSON, or else lets text write it for a person.
func (o *output) write(cmd *cobra.Command, value any, text func(io.Writer)) error {
	if o.json {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetEscapeHTML(false)
		if err := enc.Encode(value); err != nil {
			return fmt.Errorf("write result: %w", err)
		}
		return nil
	}
	checked := &errWriter{out: cmd.OutOrStdout()}
	text(checked)
	if checked.err != nil {
		return fmt.Errorf("write result: %w", checked.err)
	}
	return nil
}

// errWriter remembers the first error, so that a text can be written without
// looking at each line.
type errWriter struct {
	out io.Writer
	err error
}

// Write implements io.Writer.
func (w *errWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.out.Write(p)
	w.err = err
	return n, err
}

// table writes rows in columns. The first row is the header.
func table(out io.Writer, rows [][]string) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	// What fails is remembered by the writer below.
	_ = w.Flush()
}

// pairs writes names and values, one pair a line; empty values are left out.
func pairs(out io.Writer, rows [][2]string) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if row[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
		}
	}
	_ = w.Flush()
}

// viewBytes is content in JSON: JSON as it is, other text as a string, and
// anything else in base64.
func viewBytes(b []byte) (value json.RawMessage, base64 []byte) {
	switch {
	case len(b) == 0:
		return nil, nil
	case json.Valid(b):
		return b, nil
	case utf8.Valid(b):
		text, err := json.Marshal(string(b))
		if err == nil {
			return text, nil
		}
	}
	return nil, b
}

// clip makes content fit for a table: one line, no control characters, at most so
// many characters.
func clip(b []byte, most int) string {
	if !utf8.Valid(b) {
		return fmt.Sprintf("(%d bytes)", len(b))
	}
	runes := []rune(string(b[:min(len(b), 4*most)]))
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, string(runes[:min(len(runes), most)]))
	if len(runes) > most || len(b) > 4*most {
		text += "…"
	}
	return text
}

// moment is a time for a person, empty for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05.000")
}

// timeView is a time in JSON: RFC 3339, or nothing.
func timeView(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalWidth returns how many characters fit in a line, and 0 where that is
// not known.
func terminalWidth(stream any) int {
	f, ok := stream.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}
