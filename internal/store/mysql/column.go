package mysql

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
)

// column is one column of a table: how a row's field becomes a parameter of a
// statement, and how it comes back.
type column struct {
	name string
	bind func(store.Row) any
	// set reads the field from the text that the server sent; nil is NULL. The text is
	// the connection's, so set copies what it keeps.
	set func(r store.Row, raw []byte) error
}

// columnOf makes a column out of functions that know the type R of the row.
func columnOf[R any](name string, bind func(*R) any, set func(*R, []byte) error) column {
	return column{
		name: name,
		bind: func(r store.Row) any { return bind(any(r).(*R)) },
		set: func(r store.Row, raw []byte) error {
			if err := set(any(r).(*R), raw); err != nil {
				return fmt.Errorf("read column %s: %w: %w", name, task.ErrCorrupt, err)
			}
			return nil
		},
	}
}

// text is a string that may have any bytes.
func text[R any](name string, at func(*R) *string) column {
	return columnOf(name,
		func(r *R) any { return []byte(*at(r)) },
		func(r *R, raw []byte) error { *at(r) = string(raw); return nil })
}

// blob is bytes; none are NULL.
func blob[R any](name string, at func(*R) *[]byte) column {
	return columnOf(name,
		func(r *R) any {
			if b := *at(r); len(b) > 0 {
				return b
			}
			return nil
		},
		func(r *R, raw []byte) error {
			if len(raw) > 0 {
				*at(r) = append([]byte(nil), raw...)
			}
			return nil
		})
}

// number is a whole number without a sign.
func number[R any, N ~uint64](name string, at func(*R) *N) column {
	return columnOf(name,
		func(r *R) any { return uint64(*at(r)) },
		func(r *R, raw []byte) error {
			n, err := strconv.ParseUint(string(raw), 10, 64)
			*at(r) = N(n)
			return err
		})
}

// count is a small number.
func count[R any](name string, at func(*R) *int) column {
	return columnOf(name,
		func(r *R) any { return int64(*at(r)) },
		func(r *R, raw []byte) (err error) {
			*at(r), err = strconv.Atoi(string(raw))
			return err
		})
}

// span is a duration in whole microseconds.
func span[R any](name string, at func(*R) *time.Duration) column {
	return columnOf(name,
		func(r *R) any { return at(r).Microseconds() },
		func(r *R, raw []byte) error {
			us, err := strconv.ParseInt(string(raw), 10, 64)
			*at(r) = time.Duration(us) * time.Microsecond
			return err
		})
}

// signed is a whole number.
func signed[R any](name string, at func(*R) *int64) column {
	return columnOf(name,
		func(r *R) any { return *at(r) },
		func(r *R, raw []byte) (err error) {
			*at(r), err = strconv.ParseInt(string(raw), 10, 64)
			return err
		})
}

// flag is true or false, as 1 or 0.
func flag[R any](name string, at func(*R) *bool) column {
	return columnOf(name,
		func(r *R) any { return *at(r) },
		func(r *R, raw []byte) (err error) {
			*at(r), err = strconv.ParseBool(string(raw))
			return err
		})
}

// list is whole numbers as JSON; none are NULL.
func list[R any](name string, at func(*R) *[]int) column {
	return columnOf(name,
		func(r *R) any {
			numbers := *at(r)
			if len(numbers) == 0 {
				return nil
			}
			b, err := json.Marshal(numbers)
			if err != nil {
				return err // The database package refuses a value of this type, with its text.
			}
			return b
		},
		func(r *R, raw []byte) error {
			if len(raw) == 0 {
				return nil
			}
			return json.Unmarshal(raw, at(r))
		})
}

// id is the text of a task's or transaction's ID; none is NULL.
func id[R any](name string, at func(*R) *task.ID) column {
	c := keyID(name, at)
	bind := c.bind
	c.bind = func(r store.Row) any {
		if at(any(r).(*R)).IsZero() {
			return nil
		}
		return bind(r)
	}
	return c
}

// keyID is an ID in a key, where every value is one.
func keyID[R any](name string, at func(*R) *task.ID) column {
	return columnOf(name,
		func(r *R) any { return at(r).String() },
		func(r *R, raw []byte) error {
			if raw == nil {
				return nil
			}
			return at(r).UnmarshalText(raw)
		})
}

// moment is a time in microseconds since 1970; none is NULL.
func moment[R any](name string, at func(*R) *time.Time) column {
	c := keyMoment(name, at)
	bind := c.bind
	c.bind = func(r store.Row) any {
		if at(any(r).(*R)).IsZero() {
			return nil
		}
		return bind(r)
	}
	return c
}

// keyMoment is a time in a key, where every value is one.
func keyMoment[R any](name string, at func(*R) *time.Time) column {
	return columnOf(name,
		func(r *R) any { return at(r).UnixMicro() },
		func(r *R, raw []byte) error {
			if raw == nil {
				return nil
			}
			us, err := strconv.ParseInt(string(raw), 10, 64)
			*at(r) = time.UnixMicro(us).UTC()
			return err
		})
}

// digest is a SHA-256.
func digest[R any](name string, at func(*R) *[32]byte) column {
	return columnOf(name,
		func(r *R) any { return at(r)[:] },
		func(r *R, raw []byte) error {
			if n := copy(at(r)[:], raw); n != len(at(r)) || n != len(raw) {
				return fmt.Errorf("%d bytes are no SHA-256", len(raw))
			}
			return nil
		})
}

// word is a number that stands for a word of a fixed list, and is stored as that
// word.
func word[R any, N ~uint8](name string, words []string, at func(*R) *N) column {
	numbers := make(map[string]N, len(words))
	for i, w := range words {
		numbers[w] = N(i)
	}
	return columnOf(name,
		func(r *R) any {
			if n := int(*at(r)); n < len(words) {
				return words[n]
			}
			// The database package refuses a value of this type, with its text.
			return fmt.Errorf("%d has no word in column %s", *at(r), name)
		},
		func(r *R, raw []byte) error {
			n, ok := numbers[string(raw)]
			if !ok {
				return fmt.Errorf("%q is none of its words", raw)
			}
			*at(r) = n
			return nil
		})
}

// tries is the history of a task as JSON; none is NULL.
func tries[R any](name string, at func(*R) *[]store.Try) column {
	return columnOf(name,
		func(r *R) any { return encodeTries(*at(r)) },
		func(r *R, raw []byte) (err error) {
			*at(r), err = decodeTries(raw)
			return err
		})
}
