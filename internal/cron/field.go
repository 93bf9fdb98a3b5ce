package cron

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// field is one field of a spec: what it is called, its range, and names for values.
type field struct {
	name        string
	least, most int
	names       string // in order from the least, three letters each
}

// The fields, in their order. Sunday is 0, and also 7.
func fields() [6]field {
	return [6]field{
		{"second", 0, 59, ""},
		{"minute", 0, 59, ""},
		{"hour", 0, 23, ""},
		{"day of month", 1, 31, ""},
		{"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
		{"day of week", 0, 7, "sunmontuewedthufrisat"},
	}
}

// set is the values that a field allows.
type set struct {
	values uint64
	star   bool // begins with *
}

func (s set) has(v int) bool { return s.values&(1<<v) != 0 }

// next returns the least value that is allowed and not below v.
func (s set) next(v int) (int, bool) {
	rest := s.values >> v
	if rest == 0 {
		return 0, false
	}
	return v + bits.TrailingZeros64(rest), true
}

func (s set) first() int { return bits.TrailingZeros64(s.values) }

// parse reads a list of values, ranges and steps.
func (f *field) parse(text string) (set, error) {
	s := set{star: strings.HasPrefix(text, "*") || text == "?"}
	for part := range strings.SplitSeq(text, ",") {
		values, err := f.part(part)
		if err != nil {
			return set{}, err
		}
		s.values |= values
	}
	if f.most == 7 && s.has(7) {
		s.values = s.values&^(1<<7) | 1
	}
	return s, nil
}

func (f *field) part(text string) (values uint64, err error) {
	span, stepText, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		if step, err = strconv.Atoi(stepText); err != nil || step < 1 || step > f.most {
			return 0, fmt.Errorf("%s %q: a step is a number from 1 to %d", f.name, text, f.most)
		}
	}
	from, to := f.least, f.most
	if f.most == 7 {
		to = 6
	}
	if span != "*" && span != "?" {
		first, last, ranged := strings.Cut(span, "-")
		if from, err = f.value(first); err != nil {
			return 0, err
		}
		switch {
		case ranged:
			if to, err = f.value(last); err != nil {
				return 0, err
			}
		case !stepped:
			to = from
		}
		if to < from {
			return 0, fmt.Errorf("%s %q: a range goes from the lower to the higher value", f.name, text)
		}
	}
	for v := from; v <= to; v += step {
		values |= 1 << v
	}
	return values, nil
}

// value reads a number or a name.
func (f *field) value(text string) (int, error) {
	if len(text) == 3 && f.names != "" {
		if i := strings.Index(f.names, strings.ToLower(text)); i >= 0 && i%3 == 0 {
			return f.least + i/3, nil
		}
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < f.least || v > f.most {
		return 0, fmt.Errorf("%s %q is not known: want %d to %d", f.name, text, f.least, f.most)
	}
	return v, nil
}
