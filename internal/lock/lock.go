package lock

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Bounds of what a caller may ask for, and of what a partition keeps.
const (
	MinTTL    = time.Second
	MaxTTL    = 24 * time.Hour
	MaxWait   = 24 * time.Hour
	MaxHolder = 256 // bytes of the text that says who holds a lock
	MaxClaim  = 64  // bytes of what tells one wish for a lock from others

	MaxWaiters = 1000    // in line for one lock
	MaxLine    = 1 << 14 // in line for all locks of a partition
	MaxHeld    = 1 << 16 // locks of a partition that are held
)

// ConfirmWithin bounds how long a grant counts that was not renewed yet.
const ConfirmWithin = 10 * time.Second

// Request is the wish of one caller for a lock.
type Request struct {
	Name   string
	Holder string        // for people: who asks
	Claim  string        // repeats of one wish have the same; empty: never repeated
	TTL    time.Duration // how long the lock is held without a renewal
	Wait   time.Duration // how long to stand in line; 0: not at all
}

// Validate reports whether the request is within the bounds.
func (r *Request) Validate() error {
	switch {
	case ValidateName(r.Name) != nil:
		return ValidateName(r.Name)
	case len(r.Holder) > MaxHolder:
		return task.Errorf(task.CodeInvalidArgument, "the holder has %d bytes; at most %d are allowed", len(r.Holder), MaxHolder).WithField("holder")
	case len(r.Claim) > MaxClaim:
		return task.Errorf(task.CodeInvalidArgument, "the claim has %d bytes; at most %d are allowed", len(r.Claim), MaxClaim).WithField("claim")
	case r.TTL < MinTTL || r.TTL > MaxTTL:
		return task.Errorf(task.CodeInvalidArgument, "the ttl is %v: want %v to %v", r.TTL, MinTTL, MaxTTL).WithField("ttl")
	case r.Wait < 0 || r.Wait > MaxWait:
		return task.Errorf(task.CodeInvalidArgument, "the wait is %v: want 0 to %v", r.Wait, MaxWait).WithField("wait")
	}
	return nil
}

// ValidateName reports whether a lock can have the name: it is a key.
func ValidateName(name string) error {
	if name == "" || len(name) > task.MaxKey {
		return task.Errorf(task.CodeInvalidArgument, "a lock's name has 1 to %d bytes, this one has %d", task.MaxKey, len(name)).WithField("name")
	}
	if task.Reserved(name) {
		return task.RefuseReserved("name", name)
	}
	return nil
}

// Held is what the holder of a lock gets to know.
type Held struct {
	Name  string
	Token uint64
	TTL   time.Duration
	// Confirm is within what time the holder must renew for the first time; 0: it
	// did already.
	Confirm time.Duration
}

// View is a held lock as others see it.
type View struct {
	Name    string
	Holder  string
	Token   uint64
	TTL     time.Duration
	Left    time.Duration // until it expires unless it is renewed
	Since   time.Time
	Waiters int
}

// holding is what the record of a held lock keeps.
type holding struct {
	Holder string `json:"holder"`
	Claim  string `json:"claim,omitempty"`
	TTLMS  int64  `json:"ttl_ms"`
}

func (h *holding) ttl() time.Duration { return time.Duration(h.TTLMS) * time.Millisecond }

// encode is the value of the record: JSON, so that people can read it.
func (h *holding) encode() []byte {
	b, err := json.Marshal(h)
	if err != nil {
		panic(fmt.Sprintf("encode a lock: %v", err)) // Strings and a number always have a form.
	}
	return b
}

// decode reads the value of a record. What cannot be read is a lock without TTL,
// which expires at once.
func decode(value []byte) holding {
	h := holding{Holder: "(not readable)"}
	// Its holder cannot be told apart, so nobody could renew it.
	_ = json.Unmarshal(value, &h)
	return h
}
