package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/fenfa/fenfa"
)

// newsDescriptor is the file descriptor on which a command says how far it is.
const newsDescriptor = "3"

// maxNewsLine is how long one line of a command may be that is read.
const maxNewsLine = 8 << 10

// execNews is one line of a command about tasks that it works on.
type execNews struct {
	ID     string   `json:"id"` // of a batch; empty: all of its tasks
	Ratio  *float64 `json:"ratio"`
	Text   *string  `json:"text"`
	Extend string   `json:"extend"` // a duration
}

// parseNews reads a line.
func parseNews(line []byte) (n execNews, more time.Duration, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err = d.Decode(&n); err != nil {
		return n, 0, fmt.Errorf("want one JSON object with ratio, text, extend: %w", err)
	}
	if n.Extend != "" {
		if more, err = time.ParseDuration(n.Extend); err != nil {
			return n, 0, fmt.Errorf("extend: %w", err)
		}
	}
	return n, more, nil
}

// workedOn is a task that a command works on, and what it said last.
type workedOn struct {
	task  *fenfa.Task
	ratio float64
	text  string
}

// hear takes news of the task.
func (w *workedOn) hear(n *execNews, more time.Duration) error {
	if n.Ratio != nil {
		w.ratio = *n.Ratio
	}
	if n.Text != nil {
		w.text = *n.Text
	}
	if n.Ratio != nil || n.Text != nil {
		w.task.Progress(w.ratio, w.text)
	}
	if more != 0 {
		return w.task.Extend(more)
	}
	return nil
}

// hearing returns what takes lines about the tasks of one run.
func hearing(tasks ...*fenfa.Task) func(line []byte) error {
	all := make([]workedOn, len(tasks))
	for i, t := range tasks {
		all[i].task = t
	}
	return func(line []byte) error {
		n, more, err := parseNews(line)
		if err != nil {
			return err
		}
		known := false
		for i := range all {
			if n.ID == "" || n.ID == all[i].task.ID().String() {
				known = true
				err = errors.Join(err, all[i].hear(&n, more))
			}
		}
		if !known {
			return fmt.Errorf("no task of this run has the id %q", n.ID)
		}
		return err
	}
}

// newsPipe is where a command says how far it is.
type newsPipe struct {
	reader, writer *os.File
	over           chan struct{} // closed when nothing more is read
}

// openNews makes a pipe whose lines go to hear, and those that it does not take, with
// why, to complain.
func openNews(hear func(line []byte) error, complain func(line []byte, err error)) (*newsPipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	p := &newsPipe{reader: r, writer: w, over: make(chan struct{})}
	go func() {
		defer close(p.over)
		eachLine(r, maxNewsLine, func(line []byte, err error) {
			if err == nil {
				err = hear(line)
			}
			if err != nil {
				complain(line, err)
			}
		})
	}()
	return p, nil
}

// close ends the pipe after its command has ended, and waits until everything is heard
// that was said. A process that the command left behind may still hold its end.
func (p *newsPipe) close() error {
	err := errors.Join(p.writer.Close(), p.reader.SetReadDeadline(time.Now().Add(pipePatience)))
	<-p.over
	return errors.Join(err, p.reader.Close())
}

// errLongLine says why a line is not looked at.
var errLongLine = errors.New("the line is too long")

// eachLine reads lines until the end. It goes on after one that is too long, of which
// it gives the begin, so that whoever writes is never held up.
func eachLine(r io.Reader, most int, take func(line []byte, err error)) {
	in := bufio.NewReaderSize(r, most)
	for {
		line, long, err := in.ReadLine()
		if err != nil {
			return
		}
		if !long {
			if len(bytes.TrimSpace(line)) > 0 {
				take(line, nil)
			}
			continue
		}
		take(line, errLongLine)
		for long && err == nil {
			_, long, err = in.ReadLine()
		}
	}
}
