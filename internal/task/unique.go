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
// with the one that is there already, as long as that is in one of its States. The same
// are tasks of one queue, key and type with the same By if it is set, else the same
// Args if there are any, else the same payload.
type Unique struct {
	Args   []string // names of top-level fields of the payload, which is a JSON object
	By     string
	Period time.Duration // since it was accepted, how long a task holds that has ended
	// States are those in which the task holds its content; a ready one counts as
	// queued. Empty: until it has ended, and with a Period in any other state too.
	States StateSet
}

// UniqueRef names what a task is the only one of.
type UniqueRef struct {
	ID     ID // the same for tasks that are the same
	Period time.Duration
	States StateSet // never empty
}

// HoldsUntilEnd reports whether nobody else can have the content before the task has
// ended.
func (r *UniqueRef) HoldsUntilEnd() bool { return r.States&openStates == openStates }

// What a task holds its content in unless its submitter chose.
const (
	openStates  = 1<<StateQueued | 1<<StateScheduled | 1<<StateRunning
	endedStates = 1<<StateDone | 1<<StateDead | 1<<StateCancelled | 1<<StateExpired
)

// OpenStates are those of a task that has not ended.
func OpenStates() StateSet { return openStates }

// Seal makes the task tell what it is the only one of, which UniqueOf reads.
func (t *Task) Seal() (UniqueRef, error) {
	u := t.Unique
	content, err := u.content(t.Payload)
	if err != nil {
		return UniqueRef{}, err
	}
	// DeriveID keeps its arguments apart.
	ref := UniqueRef{ID: DeriveID(HeadUnique, t.Queue, t.Key, t.Type, content), Period: u.Period, States: statesOr(u.States, u.Period)}
	value := hex.EncodeToString(ref.ID[:]) + " " + strconv.FormatInt(int64(u.Period), 10)
	if ref.States != statesOr(0, u.Period) {
		value += " " + strconv.FormatUint(uint64(ref.States), 10)
	}
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
		id, rest, _ := strings.Cut(t.Headers[i].Value, " ")
		period, states, chosen := strings.Cut(rest, " ")
		n, err := strconv.ParseInt(period, 10, 64)
		raw, hexErr := hex.DecodeString(id)
		if err != nil || hexErr != nil || len(raw) != len(ref.ID) {
			continue
		}
		set := uint64(0)
		if chosen {
			if set, err = strconv.ParseUint(states, 10, 16); err != nil {
				continue
			}
		}
		copy(ref.ID[:], raw)
		ref.Period = time.Duration(n)
		ref.States = statesOr(StateSet(set), ref.Period)
		return ref, true
	}
	return ref, false
}

// statesOr returns the states that a submitter chose, or those that count without a
// choice.
func statesOr(chosen StateSet, period time.Duration) StateSet {
	switch {
	case chosen != 0:
		return chosen
	case period > 0:
		return openStates | endedStates
	default:
		return openStates
	}
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
	case u.States&^(openStates|endedStates) != 0:
		return Errorf(CodeInvalidArgument, "unique.states has a state in which no task can hold its content: want queued, scheduled, running, done, dead, cancelled or expired").WithField("unique.states")
	case u.States&endedStates != 0 && u.Period == 0:
		return Errorf(CodeInvalidArgument, "unique.states has states of tasks that have ended: say with unique.period for how long they count").WithField("unique.period")
	case u.States != 0 && u.States&endedStates == 0 && u.Period != 0:
		return Errorf(CodeInvalidArgument, "unique.period is for tasks that have ended, and unique.states has no such state: add done, dead, cancelled or expired, or leave the period out").WithField("unique.states")
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
