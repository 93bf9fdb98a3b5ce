package taskfile

import "fmt"

// RowError says why one row is not a task. The Reader that returned it can go
// on with the next row.
type RowError struct {
	Line   int    // where the row begins, counted from 1
	Reason string // for a person
}

// Error names the line and the reason.
func (e *RowError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

func rowErrorf(line int, format string, args ...any) *RowError {
	return &RowError{Line: line, Reason: fmt.Sprintf(format, args...)}
}

// FieldError says that a field that the caller named is not in the file.
type FieldError struct {
	Field string
	Have  []string
}

// Error names the field and those that the file has.
func (e *FieldError) Error() string {
	return fmt.Sprintf("the file has no column %q; it has %q", e.Field, e.Have)
}
