package taskfile

import (
	"errors"
	"io"
	"slices"
)

// A record with line breaks inside quotes has at most this many lines and bytes.
// Without a bound, one quote that is never closed would swallow the rest of the
// file.
const (
	maxRecordLines = 200
	maxRecordBytes = 2 << 20
)

// Faults of a record, as text for a person.
var (
	errOpenQuote  = errors.New("a quoted field is not closed")
	errBareQuote  = errors.New(`a field without quotes has a quote in it; write "" inside quotes`)
	errAfterQuote = errors.New("there is text between a closing quote and the next comma")
)

// csvSource reads records as RFC 4180 describes them, with a comma between
// fields; line ends may be CRLF or LF.
type csvSource struct {
	lines  *lines
	header []string
}

// openCSV reads the header. Names of columns must be there and differ.
func openCSV(l *lines) (*csvSource, error) {
	c := &csvSource{lines: l}
	number, fields, err := c.record()
	if errors.Is(err, io.EOF) {
		return nil, rowErrorf(1, "the file is empty: want a header with the names of the columns")
	}
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(fields))
	for i, name := range fields {
		if name == "" || seen[name] {
			return nil, rowErrorf(number, "column %d of the header is %q: want a name that no other column has", i+1, name)
		}
		seen[name] = true
	}
	c.header = fields
	return c, nil
}

// row returns the next record that has as many fields as the header.
func (c *csvSource) row() (row Row, err error) {
	number, fields, err := c.record()
	if err != nil {
		return Row{}, err
	}
	if len(fields) != len(c.header) {
		return Row{}, rowErrorf(number, "the row has %d fields, the header has %d", len(fields), len(c.header))
	}
	return Row{Line: number, Fields: fields, Payload: objectOf(c.header, fields)}, nil
}

// record returns the fields of the next record that is not blank, and the
// number of its first line.
func (c *csvSource) record() (int, []string, error) {
	first, err := c.lines.next()
	for err == nil && first.fault == "" && len(first.text) == 0 {
		first, err = c.lines.next()
	}
	if err != nil {
		return 0, nil, err
	}
	if first.fault != "" {
		return 0, nil, &RowError{Line: first.number, Reason: first.fault}
	}
	text, more := first.text, []line(nil)
	for {
		fields, err := splitFields(text)
		if err == nil {
			return first.number, fields, nil
		}
		next, ok := line{}, false
		if errors.Is(err, errOpenQuote) && len(more) < maxRecordLines && len(text) < maxRecordBytes {
			next, ok, err = c.continuation(err)
		}
		if !ok {
			// The record is no record: what was taken for its other lines may be
			// rows of their own.
			c.lines.unread(more)
			return 0, nil, c.fault(first.number, err)
		}
		more = append(more, next)
		text = append(append(slices.Clip(text), '\n'), next.text...)
	}
}

// continuation reads one more line of a record that is not complete. Without
// one, it returns why: the end of the file leaves the fault as it was.
func (c *csvSource) continuation(fault error) (line, bool, error) {
	next, err := c.lines.next()
	switch {
	case errors.Is(err, io.EOF):
		return line{}, false, fault
	case err != nil:
		return line{}, false, err
	case next.fault != "":
		c.lines.unread([]line{next})
		return line{}, false, fault
	}
	return next, true, nil
}

// fault turns what is wrong with a record into a RowError, and leaves errors of
// the stream as they are.
func (c *csvSource) fault(number int, err error) error {
	if errors.Is(err, errOpenQuote) || errors.Is(err, errBareQuote) || errors.Is(err, errAfterQuote) {
		return &RowError{Line: number, Reason: err.Error()}
	}
	return err
}

// splitFields cuts one record into its fields.
func splitFields(text []byte) ([]string, error) {
	var fields []string
	for {
		field, rest, err := cutField(text)
		if err != nil {
			return nil, err
		}
		fields = append(fields, field)
		if rest == nil {
			return fields, nil
		}
		text = rest
	}
}

// cutField returns the first field of text and what follows its comma; rest is
// nil after the last field.
func cutField(text []byte) (field string, rest []byte, err error) {
	if len(text) == 0 || text[0] != '"' {
		for i, c := range text {
			switch c {
			case ',':
				return string(text[:i]), text[i+1:], nil
			case '"':
				return "", nil, errBareQuote
			}
		}
		return string(text), nil, nil
	}
	value := make([]byte, 0, len(text))
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != '"':
			value = append(value, text[i])
		case i+1 == len(text):
			return string(value), nil, nil
		case text[i+1] == '"':
			value = append(value, '"')
			i++
		case text[i+1] == ',':
			return string(value), text[i+2:], nil
		default:
			return "", nil, errAfterQuote
		}
	}
	return "", nil, errOpenQuote
}
