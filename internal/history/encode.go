package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrTruncated says that the last line of an encoded history is not whole, as a
// killed process leaves it. What stands before it was read.
var ErrTruncated = errors.New("the last line is not whole")

// line is one entry in its encoded form; exactly one field is set.
type line struct {
	Submit      *Submit      `json:"submit,omitempty"`
	Delivery    *Delivery    `json:"delivery,omitempty"`
	Effect      *Effect      `json:"effect,omitempty"`
	Final       *Final       `json:"final,omitempty"`
	Access      *Access      `json:"access,omitempty"`
	Group       *Group       `json:"group,omitempty"`
	Snapshot    *Snapshot    `json:"snapshot,omitempty"`
	Transaction *Transaction `json:"transaction,omitempty"`
	Unordered   *string      `json:"unordered,omitempty"`
}

// Encode writes one JSON object a line and entry.
func Encode(w io.Writer, h History) error {
	buf := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(buf)
	for l := range h.lines {
		if err := enc.Encode(l); err != nil {
			return fmt.Errorf("encode history: %w", err)
		}
	}
	if err := buf.Flush(); err != nil {
		return fmt.Errorf("encode history: %w", err)
	}
	return nil
}

// lines yields every entry.
func (h *History) lines(yield func(line) bool) {
	_ = each(h.Submits, func(e *Submit) bool { return yield(line{Submit: e}) }) &&
		each(h.Deliveries, func(e *Delivery) bool { return yield(line{Delivery: e}) }) &&
		each(h.Effects, func(e *Effect) bool { return yield(line{Effect: e}) }) &&
		each(h.Finals, func(e *Final) bool { return yield(line{Final: e}) }) &&
		each(h.Accesses, func(e *Access) bool { return yield(line{Access: e}) }) &&
		each(h.Groups, func(e *Group) bool { return yield(line{Group: e}) }) &&
		each(h.Snapshots, func(e *Snapshot) bool { return yield(line{Snapshot: e}) }) &&
		each(h.Transactions, func(e *Transaction) bool { return yield(line{Transaction: e}) }) &&
		each(h.Unordered, func(e *string) bool { return yield(line{Unordered: e}) })
}

func each[T any](entries []T, yield func(*T) bool) bool {
	for i := range entries {
		if !yield(&entries[i]) {
			return false
		}
	}
	return true
}

// Decode reads what Encode wrote. Errors name the line; ErrTruncated comes with
// everything before the last line.
func Decode(r io.Reader) (History, error) {
	var h History
	in := bufio.NewReaderSize(r, 64<<10)
	for number, last := 1, false; !last; number++ {
		text, err := in.ReadBytes('\n')
		if last = errors.Is(err, io.EOF); err != nil && !last {
			return h, fmt.Errorf("decode history: line %d: %w", number, err)
		}
		if last && len(text) == 0 {
			break
		}
		err = h.decodeLine(text)
		if err != nil && last {
			err = fmt.Errorf("%w: %w", ErrTruncated, err)
		}
		if err != nil {
			return h, fmt.Errorf("decode history: line %d: %w", number, err)
		}
	}
	return h, nil
}

func (h *History) decodeLine(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var l line
	if err := dec.Decode(&l); err != nil {
		return err
	}
	if rest := bytes.TrimSpace(text[dec.InputOffset():]); len(rest) > 0 {
		return fmt.Errorf("%d bytes follow the entry", len(rest))
	}
	before := h.Len()
	add(&h.Submits, l.Submit)
	add(&h.Deliveries, l.Delivery)
	add(&h.Effects, l.Effect)
	add(&h.Finals, l.Final)
	add(&h.Accesses, l.Access)
	add(&h.Groups, l.Group)
	add(&h.Snapshots, l.Snapshot)
	add(&h.Transactions, l.Transaction)
	add(&h.Unordered, l.Unordered)
	if n := h.Len() - before; n != 1 {
		return fmt.Errorf("the line has %d entries, want 1", n)
	}
	return nil
}

func add[T any](to *[]T, e *T) {
	if e != nil {
		*to = append(*to, *e)
	}
}
