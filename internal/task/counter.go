package task

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
)

// MaxCounter bounds the value and the bounds of a counter, both ways: all of them are
// numbers that JSON keeps exactly.
const MaxCounter = 1<<53 - 1

// FieldBound is the field of an error that says that a counter cannot take what is to
// be added to it.
const FieldBound = "bound"

// EscrowOp is what a write does to a record that is declared escrow.
type EscrowOp uint8

// The operations.
const (
	EscrowNone    EscrowOp = iota // a plain write, which such a record refuses
	EscrowDeclare                 // puts a Counter; with Delete, takes it away
	EscrowAdd                     // adds Write.Delta, whatever the version is
)

// Counter is the value of a record that is declared escrow: a number that never
// leaves its bounds.
type Counter struct {
	Value, Min int64
	Max        int64 // MaxCounter: no bound of its own
}

// Validate reports whether the counter can be.
func (c Counter) Validate() error {
	switch {
	case c.Min < -MaxCounter || c.Max > MaxCounter:
		return Errorf(CodeInvalidArgument, "the bounds of a counter are from %d to %d", -MaxCounter, MaxCounter).WithField("escrow")
	case c.Min > c.Max:
		return Errorf(CodeInvalidArgument, "the counter's min %d is above its max %d", c.Min, c.Max).WithField("escrow.min")
	case c.Value < c.Min || c.Value > c.Max:
		return Errorf(CodeInvalidArgument, "the counter's value %d is outside of its bounds, %d to %d", c.Value, c.Min, c.Max).WithField("escrow.value")
	}
	return nil
}

// Append adds the counter's stored form, which is JSON.
func (c Counter) Append(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"value":`...), c.Value, 10)
	b = strconv.AppendInt(append(b, `,"min":`...), c.Min, 10)
	if c.Max != MaxCounter {
		b = strconv.AppendInt(append(b, `,"max":`...), c.Max, 10)
	}
	return append(b, '}')
}

// ParseCounter reads a counter's stored form.
func ParseCounter(b []byte) (Counter, error) {
	form := struct {
		Value *int64 `json:"value"`
		Min   *int64 `json:"min"`
		Max   *int64 `json:"max"`
	}{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&form); err != nil {
		return Counter{}, Errorf(CodeInvalidArgument, "read counter: %w", err).WithField("value")
	}
	if _, err := d.Token(); err != io.EOF || form.Value == nil || form.Min == nil {
		return Counter{}, Errorf(CodeInvalidArgument, `read counter: want one object with "value", "min" and, where there is one, "max"`).WithField("value")
	}
	c := Counter{Value: *form.Value, Min: *form.Min, Max: MaxCounter}
	if form.Max != nil {
		c.Max = *form.Max
	}
	return c, c.Validate()
}

// CheckDelta reports whether a number can be added to a counter.
func CheckDelta(delta int64) error {
	if delta == 0 || delta < -MaxCounter || delta > MaxCounter {
		return Errorf(CodeInvalidArgument, "%d cannot be added to a counter: want a number from %d to %d, and not 0", delta, -MaxCounter, MaxCounter).WithField("add")
	}
	return nil
}
