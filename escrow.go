package fenfa

import (
	"context"
	"encoding/json"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Escrow is the value of a record that is declared escrow: a number that never leaves
// its bounds. Transactions add to it without a conflict, however many are undecided,
// as long as each outcome of theirs stays within them. A record that is read decodes
// into one.
type Escrow struct {
	Value int64  `json:"value"`
	Min   int64  `json:"min"`
	Max   *int64 `json:"max,omitempty"` // nil: 2^53-1
}

// beyond reports whether the number with delta is out of its bounds.
func (x *Escrow) beyond(delta int64) bool {
	return delta < 0 && x.Value+delta < x.Min || delta > 0 && x.Max != nil && x.Value+delta > *x.Max
}

// Escrow declares a record escrow, or anew, if it has the expected version, 0 meaning
// that it must not exist. From then on only Add and Escrow change it. All records of the
// commit must be in one partition. It returns the receiver.
func (c *Commit) Escrow(key, name string, x Escrow, expected uint64) *Commit {
	c.wire.Writes = append(c.wire.Writes, &fenfav1.RecordWrite{
		Key: key, Name: name, ExpectedVersion: expected, Escrow: &fenfav1.Escrow{Value: x.Value, Min: x.Min, Max: x.Max},
	})
	return c
}

// DeleteEscrow deletes a record that is declared escrow and has the expected version,
// like Escrow. It returns the receiver.
func (c *Commit) DeleteEscrow(key, name string, expected uint64) *Commit {
	c.wire.Writes = append(c.wire.Writes, &fenfav1.RecordWrite{
		Key: key, Name: name, ExpectedVersion: expected, Delete: true, Escrow: &fenfav1.Escrow{},
	})
	return c
}

// Add adds to a record that is declared escrow, whatever its version is; delta is not
// 0. Do fails with ErrBound where the sum would be out of the bounds. It returns the
// receiver.
func (c *Commit) Add(key, name string, delta int64) *Commit {
	c.wire.Writes = append(c.wire.Writes, &fenfav1.RecordWrite{Key: key, Name: name, Add: &delta})
	return c
}

// Add adds to a record of the key that is declared escrow, with the outcome and
// whatever its version is then: it is not read, so other transactions that add to it
// too are no conflict. Several calls for one record are one addition. Where the sum is
// out of the bounds Add does nothing and returns ErrBound, for the handler to turn into
// its result; that is then a read of the record: should it have changed meanwhile, the
// handler runs again. Any other error fails the attempt, whatever the handler returns.
func (s *TaskState) Add(ctx context.Context, name string, delta int64) error {
	e := s.run
	if err := e.checkRecord(s.key, name, 0); err != nil {
		e.fail(err)
		return err
	}
	total := delta
	w := e.written(s.key, name)
	if w != nil {
		if !w.adds {
			err := errorf(CodeInvalidArgument, "the handler writes record %q, and adds to it", name)
			e.fail(err)
			return err
		}
		total += w.delta
	}
	if err := e.addable(ctx, s, name, total); err != nil {
		return err
	}
	switch {
	case w != nil:
		w.delta = total
	case len(e.writes) == maxWrites:
		err := errorf(CodeTooLarge, "the handler writes more than %d records", maxWrites)
		e.fail(err)
		return err
	default:
		e.count(len(s.key) + len(name))
		e.writes = append(e.writes, write{key: s.key, name: name, adds: true, delta: total, known: true})
	}
	return nil
}

// addable says whether what is known of a counter lets the handler add to it. Nothing
// is asked for that, unless the task was in a conflict: then the reason may be a bound.
func (e *execution) addable(ctx context.Context, s *TaskState, name string, total int64) error {
	v := e.viewOf(s.key)
	c, known := v.peek(name)
	if !known {
		if !e.again {
			return nil
		}
		var err error
		if c, err = v.lookup(ctx, name); err != nil {
			e.fail(err)
			return err
		}
	}
	if !c.escrow {
		e.noteRead(s.key, name, c)
		err := errorf(CodeFailedPrecondition, "record %q of key %q is not declared escrow: nothing can be added to it", name, clip(s.spelled(), 64))
		e.fail(err)
		return err
	}
	var x Escrow
	if err := json.Unmarshal(c.value, &x); err != nil {
		err := errorf(CodeInternal, "decode record %q of key %q: %w", name, clip(s.spelled(), 64), err)
		e.fail(err)
		return err
	}
	if x.beyond(total) {
		e.noteRead(s.key, name, c)
		return errorf(CodeFailedPrecondition, "record %q of key %q: its value %d with %+d is out of its bounds", name, clip(s.spelled(), 64), x.Value, total).withField(fieldBound)
	}
	return nil
}

// added returns a counter's stored form after an addition.
func added(value []byte, delta int64) []byte {
	var x Escrow
	if json.Unmarshal(value, &x) != nil {
		return value
	}
	x.Value += delta
	b, err := json.Marshal(&x)
	if err != nil {
		return value
	}
	return b
}
