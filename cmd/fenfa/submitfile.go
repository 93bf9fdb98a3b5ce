package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/internal/spell"
	"github.com/fenfa/fenfa/internal/taskfile"
)

const (
	fileBatch  = 500 // rows in one call
	maxFaults  = 100 // rows at fault that are listed; the others are counted
	readsAhead = 2   // batches that are read while one is submitted
)

// faultView is one row that was not submitted.
type faultView struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

// summary is what became of a file.
type summary struct {
	Rows      int         `json:"rows"`
	Accepted  int         `json:"accepted"`
	Duplicate int         `json:"duplicate"` // there already, nothing changed
	Refused   int         `json:"refused"`   // by the node
	Malformed int         `json:"malformed"` // no task could be made of the row
	Stopped   bool        `json:"stopped"`   // rows after the first fault were not submitted
	Seconds   float64     `json:"seconds"`
	Faults    []faultView `json:"faults,omitempty"`
}

// piece is what the reader hands to the submitter: rows, then perhaps a row that
// is malformed.
type piece struct {
	rows []taskfile.Row
	bad  *taskfile.RowError
}

// batchSubmitter is what submitting a file needs of a client.
type batchSubmitter interface {
	SubmitBatch(ctx context.Context, tasks []*fenfa.Task) ([]fenfa.SubmitResult, error)
}

// fileSubmit is one run over one file.
type fileSubmit struct {
	flags  *submitFlags
	client batchSubmitter
	errOut io.Writer
	sum    summary
}

func (s *submitFlags) submitFile(cmd *cobra.Command, to *target, out *output) (err error) {
	in, closeFile, err := openInput(cmd, s.file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeFile()) }()
	bar, counted := progressOf(cmd, in, s.file)
	reader, err := s.reader(counted)
	if err != nil {
		return err
	}
	client, err := to.dial()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	run := &fileSubmit{flags: s, client: client, errOut: cmd.ErrOrStderr()}
	began := time.Now()
	cause := run.run(cmd.Context(), reader)
	run.sum.Seconds = time.Since(began).Seconds()
	if bar != nil {
		// It is decoration: what fails to draw it is not worth an error.
		_ = bar.Clear()
	}
	written := out.write(cmd, run.sum, func(w io.Writer) {
		fmt.Fprintf(w, "%d rows: %d accepted, %d there already, %d refused, %d malformed; %.1f s\n",
			run.sum.Rows, run.sum.Accepted, run.sum.Duplicate, run.sum.Refused, run.sum.Malformed, run.sum.Seconds)
	})
	return errors.Join(run.verdict(cause), written)
}

// reader opens the file as the flags say.
func (s *submitFlags) reader(in io.Reader) (*taskfile.Reader, error) {
	format := taskfile.Format(s.format)
	if s.format == "" && s.file == "-" {
		return nil, usagef("standard input has no name that tells its format").withHint("--format csv or --format ndjson")
	}
	if s.format == "" {
		var err error
		if format, err = taskfile.FormatOf(s.file); err != nil {
			return nil, usagef("%w", err).withHint("--format csv or --format ndjson")
		}
	} else if err := oneOf("format", s.format, string(taskfile.CSV), string(taskfile.NDJSON)); err != nil {
		return nil, err
	}
	encoding, err := taskfile.ParseEncoding(s.encoding)
	if err != nil {
		return nil, usagef("--encoding: %w", err)
	}
	reader, err := taskfile.NewReader(in, taskfile.Config{
		Queue: s.queue, Format: format, Encoding: encoding, KeyField: s.keyColumn, IDField: s.idColumn,
		RequireField: s.requireColumn, PreferField: s.preferColumn,
	})
	if missing, ok := errors.AsType[*taskfile.FieldError](err); ok {
		fault := failuref(exitRefused, "%s: %w", s.source(), err)
		if near, ok := spell.Nearest(missing.Field, missing.Have); ok {
			return nil, fault.withHint("did you mean %s?", near)
		}
		return nil, fault
	}
	if err != nil {
		return nil, failuref(exitRefused, "%s: %w", s.source(), err).withHint("nothing was submitted")
	}
	return reader, nil
}

// run submits the rows of the file in their order, batch by batch, while the next
// batches are being read.
func (r *fileSubmit) run(ctx context.Context, reader *taskfile.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	pieces := make(chan piece, readsAhead)
	read := make(chan error, 1)
	go func() {
		defer close(pieces)
		read <- readPieces(ctx, reader, pieces)
	}()
	var err error
	for p := range pieces {
		if err = r.submit(ctx, p); err != nil {
			break
		}
	}
	cancel()
	// The reader may wait for a pipe that nobody writes to: it is not waited for
	// when there is nothing more to do.
	if err != nil {
		return err
	}
	return <-read
}

// readPieces cuts the file into pieces until its end.
func readPieces(ctx context.Context, reader *taskfile.Reader, pieces chan<- piece) error {
	var p piece
	for {
		row, err := reader.Next()
		bad := taskfile.AsRowError(err)
		if err == nil {
			p.rows = append(p.rows, row)
		}
		if err == nil && len(p.rows) < fileBatch {
			continue
		}
		if bad != nil {
			p.bad = bad
		}
		select {
		case pieces <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
		p = piece{}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && bad == nil:
			return failuref(exitRefused, "%w", err)
		}
	}
}

// errStopped says that a row at fault ended the submit.
var errStopped = errors.New("stopped")

// submit submits one piece.
func (r *fileSubmit) submit(ctx context.Context, p piece) error {
	if len(p.rows) > 0 {
		tasks := make([]*fenfa.Task, len(p.rows))
		for i := range p.rows {
			row := &p.rows[i]
			tasks[i] = fenfa.NewTask(r.flags.queue, row.Payload, append(r.flags.optionsOf(row), fenfa.WithID(fenfa.ID(row.ID)))...)
		}
		results, err := r.client.SubmitBatch(ctx, tasks)
		if cause := r.count(p.rows, results); cause != nil && err == nil {
			err = cause
		}
		if err != nil {
			return err
		}
	}
	if p.bad != nil {
		r.sum.Rows++
		r.sum.Malformed++
		return r.fault(p.bad.Line, p.bad.Reason)
	}
	return nil
}

// optionsOf returns the options of a row's task: what the row says, or else the
// flags.
func (s *submitFlags) optionsOf(row *taskfile.Row) []fenfa.TaskOption {
	key, require, prefer := row.Key, row.Require, row.Prefer
	if s.key != "" {
		key = s.key
	}
	if s.requireColumn == "" {
		require = s.require
	}
	if s.preferColumn == "" {
		prefer = s.prefer
	}
	return s.options(key, require, prefer)
}

// count counts the results of a batch. It returns an error where the submit must
// not go on.
func (r *fileSubmit) count(rows []taskfile.Row, results []fenfa.SubmitResult) error {
	var stop error
	for i := range results {
		cause := results[i].Err
		switch {
		case cause == nil && results[i].Duplicate:
			r.sum.Duplicate++
		case cause == nil:
			r.sum.Accepted++
		case fenfa.CodeOf(cause) == fenfa.CodeInvalidArgument || exitCode(cause) == exitRefused:
			r.sum.Refused++
			if err := r.fault(rows[i].Line, cause.Error()); err != nil && stop == nil {
				stop = err
			}
		default:
			// It is not the row's fault, and the next ones would not fare better.
			if stop == nil || errors.Is(stop, errStopped) {
				stop = fmt.Errorf("submit line %d: %w", rows[i].Line, cause)
			}
			continue
		}
		r.sum.Rows++
	}
	return stop
}

// fault notes a row that was not submitted. It returns errStopped where that ends
// the submit; the row that does is not listed, since the verdict names it.
func (r *fileSubmit) fault(line int, reason string) error {
	if len(r.sum.Faults) < maxFaults {
		r.sum.Faults = append(r.sum.Faults, faultView{Line: line, Reason: reason})
		if r.flags.onError == "skip" || r.sum.Stopped {
			r.list(line, reason)
		}
	}
	if r.flags.onError == "skip" {
		return nil
	}
	r.sum.Stopped = true
	return errStopped
}

func (r *fileSubmit) list(line int, reason string) {
	fmt.Fprintf(r.errOut, "line %d: %s\n", line, reason)
}

// verdict is the error of the whole run.
func (r *fileSubmit) verdict(cause error) error {
	const again = "submit the same file again to go on: what was accepted is recognized"
	faults := r.sum.Refused + r.sum.Malformed
	if r.sum.Stopped && !errors.Is(cause, errStopped) { // Something worse came after it.
		r.list(r.sum.Faults[0].Line, r.sum.Faults[0].Reason)
	}
	switch {
	case errors.Is(cause, errStopped):
		first := r.sum.Faults[0]
		return failuref(exitRefused, "%s line %d: %s", r.flags.source(), first.Line, first.Reason).
			withHint("correct it and %s, or leave such rows out with --on-error skip", again)
	case cause != nil && fenfa.CodeOf(cause) == fenfa.CodeNotFound:
		return hinted(cause, listQueues, fenfa.CodeNotFound)
	case cause != nil && exitCode(cause) == exitUnavailable:
		return &failure{text: cause.Error(), hint: again, err: cause}
	case cause != nil:
		return cause
	case faults > 0:
		return failuref(exitRefused, "%d of %d rows were not submitted", faults, r.sum.Rows).withHint("the lines are named above; all others were submitted")
	}
	return nil
}

// progressOf returns a progress bar where standard error is a terminal, and a
// reader that moves it.
func progressOf(cmd *cobra.Command, in io.Reader, name string) (*progressbar.ProgressBar, io.Reader) {
	if !isTerminal(cmd.ErrOrStderr()) {
		return nil, in
	}
	size := int64(-1)
	if f, ok := in.(*os.File); ok && name != "-" {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
	}
	bar := progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(cmd.ErrOrStderr()), progressbar.OptionShowBytes(true), progressbar.OptionSetDescription("submitting"),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish(),
	)
	wrapped := progressbar.NewReader(in, bar)
	return bar, &wrapped
}
