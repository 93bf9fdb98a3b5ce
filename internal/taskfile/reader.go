package taskfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fenfa/fenfa/internal/task"
)

// Format is how a file is cut into rows.
type Format string

// The formats.
const (
	CSV    Format = "csv"    // a header, then one record a task; the payload is an object of strings
	NDJSON Format = "ndjson" // one JSON value a line; the payload is the value as it is written
)

// FormatOf returns the format that a file's name tells: .csv, or .ndjson, .jsonl
// and .json for NDJSON.
func FormatOf(path string) (Format, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv":
		return CSV, nil
	case ".ndjson", ".jsonl", ".json":
		return NDJSON, nil
	}
	return "", fmt.Errorf("the name %q does not tell the format: say csv or ndjson", path)
}

// Config says how a file is read.
type Config struct {
	Queue    string
	Format   Format
	Encoding Encoding // default UTF8
	KeyField string   // the column, or member, that is the task's key; empty: no key
	IDField  string   // the column, or member, that identifies the task; empty: IDs are derived from the content

	// RequireField and PreferField are the columns, or members, with the terms on
	// worker labels that the task requires and prefers; empty: none.
	RequireField string
	PreferField  string
}

// Row is one task of a file.
type Row struct {
	Line    int // where the row begins, counted from 1
	ID      task.ID
	Key     string
	Require []string // terms on worker labels
	Prefer  []string
	Payload []byte   // JSON
	Fields  []string // CSV only: in the order of the header
}

// Reader reads the rows of a file.
type Reader struct {
	cfg      Config
	source   interface{ row() (Row, error) }
	identity *Identity
	header   []string
}

// NewReader starts to read a file. A header that is malformed is a *RowError, a
// field that a CSV file does not have a *FieldError.
func NewReader(in io.Reader, cfg Config) (*Reader, error) {
	if cfg.Encoding == "" {
		cfg.Encoding = UTF8
	}
	if err := task.ValidateQueueName(cfg.Queue); err != nil {
		return nil, err
	}
	r := &Reader{cfg: cfg, identity: NewIdentity(cfg.Queue)}
	l := newLines(in, cfg.Encoding)
	switch cfg.Format {
	case NDJSON:
		r.source = &ndjsonSource{lines: l}
	case CSV:
		source, err := openCSV(l)
		if err != nil {
			return nil, err
		}
		r.source, r.header = source, source.header
		for _, field := range []string{cfg.KeyField, cfg.IDField, cfg.RequireField, cfg.PreferField} {
			if field != "" && !slices.Contains(r.header, field) {
				return nil, &FieldError{Field: field, Have: r.header}
			}
		}
	default:
		return nil, fmt.Errorf("format %q is not known: want csv or ndjson", cfg.Format)
	}
	return r, nil
}

// Header returns the columns of a CSV file, and nil for any other.
func (r *Reader) Header() []string { return r.header }

// Next returns the next row, io.EOF after the last one, or a *RowError for a
// row that is no task; any other error is the end.
func (r *Reader) Next() (Row, error) {
	row, err := r.source.row()
	if err != nil {
		return Row{}, err
	}
	if len(row.Payload) > task.MaxPayload {
		return Row{}, rowErrorf(row.Line, "the payload has %d bytes; at most %d are allowed", len(row.Payload), task.MaxPayload)
	}
	if r.cfg.KeyField != "" {
		if row.Key, err = r.field(row, r.cfg.KeyField); err != nil {
			return Row{}, err
		}
		if len(row.Key) > task.MaxKey {
			return Row{}, rowErrorf(row.Line, "the key has %d bytes; at most %d are allowed", len(row.Key), task.MaxKey)
		}
	}
	if row.Require, err = r.terms(row, r.cfg.RequireField); err != nil {
		return Row{}, err
	}
	if row.Prefer, err = r.terms(row, r.cfg.PreferField); err != nil {
		return Row{}, err
	}
	if r.cfg.IDField == "" {
		row.ID = r.identity.Next(row.Payload)
		return row, nil
	}
	identifier, err := r.field(row, r.cfg.IDField)
	if err != nil {
		return Row{}, err
	}
	row.ID = r.identity.Named(r.cfg.IDField, identifier)
	return row, nil
}

// field returns a field of a row that must not be empty.
func (r *Reader) field(row Row, name string) (string, error) {
	var value string
	if r.header != nil {
		value = row.Fields[slices.Index(r.header, name)]
	} else {
		var ok bool
		if value, ok = member(row.Payload, name); !ok {
			return "", rowErrorf(row.Line, "the line is no object with a string or number %q", name)
		}
	}
	if value == "" {
		return "", rowErrorf(row.Line, "%q is empty", name)
	}
	return value, nil
}

// terms returns the terms on worker labels that a field of a row holds, joined by
// commas or, in NDJSON, also as an array. A field that is empty or not there asks
// for nothing.
func (r *Reader) terms(row Row, name string) ([]string, error) {
	if name == "" {
		return nil, nil
	}
	var terms []string
	if r.header != nil {
		terms = []string{row.Fields[slices.Index(r.header, name)]}
	} else {
		var ok bool
		if terms, ok = members(row.Payload, name); !ok {
			return nil, rowErrorf(row.Line, "%q is neither a string nor an array of strings", name)
		}
	}
	s, err := task.NewSelector(terms...)
	if err != nil {
		return nil, rowErrorf(row.Line, "%q: %v", name, err)
	}
	return s.Terms(), nil
}

// AsRowError returns the RowError in err's chain, or nil.
func AsRowError(err error) *RowError {
	bad, _ := errors.AsType[*RowError](err)
	return bad
}

// objectOf returns the JSON object that has the fields as strings under their
// names, in the order of the names.
func objectOf(names, fields []string) []byte {
	var out bytes.Buffer
	for i, name := range names {
		out.WriteByte("{,"[min(i, 1)])
		writeString(&out, name)
		out.WriteByte(':')
		writeString(&out, fields[i])
	}
	out.WriteByte('}')
	return out.Bytes()
}

// writeString writes s as JSON; most strings need no escapes.
func writeString(out *bytes.Buffer, s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			enc := json.NewEncoder(out)
			enc.SetEscapeHTML(false)
			// A string always encodes; the encoder ends it with a line feed.
			if enc.Encode(s) == nil {
				out.Truncate(out.Len() - 1)
			}
			return
		}
	}
	out.WriteByte('"')
	out.WriteString(s)
	out.WriteByte('"')
}
