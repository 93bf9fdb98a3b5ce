package orders

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/fenfa/fenfa/internal/taskfile"
)

// Read reads all orders of the text of a CSV file. Text that is not valid UTF-8
// is read as Latin-1. Lines that cannot be orders are in Invalid; a file without
// the columns of an order is an error.
func Read(text []byte) (*List, error) {
	in, err := taskfile.NewReader(bytes.NewReader(text), taskfile.Config{
		Queue:    Queue,
		Format:   taskfile.CSV,
		Encoding: taskfile.DetectEncoding(text),
		KeyField: ColumnSKU,
	})
	if err != nil {
		return nil, err
	}
	for _, column := range []string{ColumnInvoice, ColumnQuantity} {
		if !slices.Contains(in.Header(), column) {
			return nil, &taskfile.FieldError{Field: column, Have: in.Header()}
		}
	}
	list := &List{}
	for {
		row, err := in.Next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if bad := taskfile.AsRowError(err); bad != nil {
			list.Invalid = append(list.Invalid, Invalid{Line: bad.Line, Reason: bad.Reason})
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := list.add(row.Line, row.ID, row.Payload); err != nil {
			list.Invalid = append(list.Invalid, Invalid{Line: row.Line, Reason: err.Error()})
		}
	}
}
