package task

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// HeadUnique is the header that says what a stored task is the only one of.
const HeadUnique = ReservedPrefix + "unique"

// MaxUniqueArgs bounds the fields of a payload that make a task unique.
const MaxUniqueArgs = 32

// Unique says that a task is to be the only one of its content: a submit is answered
// with the one that is there already, as long as that has not ended, and at least for
// Period since it was accepted. The same are tasks of one queue, key and type with
// the same By if it is set, else the same Args if there are any, else the same payload.
type Unique struct {
	Args   []string // names of top-level fields of the payload, which is a JSON object
	By     string
	Period time.Duration
}

// UniqueRef names what a task is the only one of.
type UniqueRef struct {
	ID     ID // the same for tasks that are the same
	Period time.Duration
}

// Seal makes the task tell what it is the only one of, which UniqueOf reads.
func (t *Task) Seal() (UniqueRef, error) {
	u := t.Unique
	content, err := u.content(t.Payload)
	if err != nil {
		return UniqueRef{}, err
	}
	// DeriveID keeps its arguments apart.
	ref := UniqueRef{ID: DeriveID(HeadUnique, t.Queue, t.Key, t.Type, content), Period: u.Period}
	value := hex.EncodeToString(ref.ID[:]) + " " + strconv.FormatInt(int64(u.Period), 10)
	t.Headers = append(slices.Clip(t.Headers), Header{Name: HeadUnique, Value: value})
	slices.SortFunc(t.Headers, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	return ref, nil
}

// UniqueOf returns what a sealed task is the only one of.
func UniqueOf(t *Task) (ref UniqueRef, ok bool) {
	for i := range t.Headers {
		if t.Headers[i].Name != HeadUnique {
			continue
		}
		id, period, _ := strings.Cut(t.Headers[i].Value, " ")
		n, err := strconv.ParseInt(period, 10, 64)
		if raw, hexErr := hex.DecodeString(id); err == nil && hexErr == nil && len(raw) == len(ref.ID) {
			copy(ref.ID[:], raw)
			ref.Period = time.Duration(n)
			return ref, true
		}
	}
	return ref, false
}

// Partition is where tasks without a key are that are the only ones of this.
func (r UniqueRef) Partition(partitions int) int {
	return int(binary.BigEndian.Uint64(r.ID[:8]) % uint64(partitions))
}

// Validate reports the first thing that cannot be.
func (u *Unique) Validate() error {
	switch {
	case u.Period < 0 || u.Period > MaxDelay:
		return Errorf(CodeInvalidArgument, "unique.period %v is out of range: want 0 to %v", u.Period, MaxDelay).WithField("unique.period")
	case len(u.By) > MaxKey:
		return Errorf(CodeTooLarge, "unique.by has %d bytes; at most %d are allowed", len(u.By), MaxKey).WithField("unique.by")
	case len(u.Args) > MaxUniqueArgs:
		return Errorf(CodeTooLarge, "unique.args has %d names; at most %d are allowed", len(u.Args), MaxUniqueArgs).WithField("unique.args")
	case u.By != "" && len(u.Args) > 0:
		return Errorf(CodeInvalidArgument, "unique.by and unique.args exclude each other").WithField("unique.by")
	}
	return nil
}

// content is what makes a task the same as another one, beside queue, key and type.
func (u *Unique) content(payload []byte) (string, error) {
	if err := u.Validate(); err != nil {
		return "", err
	}
	if u.By != "" {
		return "b" + u.By, nil
	}
	if len(u.Args) == 0 {
		return "p" + string(payload), nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(payload, &fields); err != nil {
		return "", Errorf(CodeInvalidArgument, "unique.args names fields of the payload, which is no JSON object: %w", err).WithField("unique.args")
	}
	names := slices.Compact(slices.Sorted(slices.Values(u.Args)))
	b := []byte("a")
	for _, name := range names {
		var compact bytes.Buffer
		if raw, is := fields[name]; !is {
			compact.WriteString("null")
		} else if err := json.Compact(&compact, raw); err != nil {
			return "", Errorf(CodeInvalidArgument, "field %q of the payload is no JSON: %w", name, err).WithField("unique.args")
		}
		b = AppendBytes(AppendBytes(b, name), compact.String())
	}
	return string(b), nil
}
