package activity

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Begun is the outcome of what has not ended.
const Begun = "begun"

// Entry is one change.
type Entry struct {
	At      time.Time     `json:"at"`
	Actor   string        `json:"actor,omitempty"` // name of the token
	TokenID string        `json:"token_id,omitempty"`
	Address string        `json:"address,omitempty"`
	Node    string        `json:"node,omitempty"`
	Method  string        `json:"method"`
	On      []string      `json:"on,omitempty"`
	Request string        `json:"request,omitempty"`
	Outcome string        `json:"outcome"`
	Message string        `json:"message,omitempty"`
	Took    time.Duration `json:"took,omitzero"`
}

const dayForm = "2006-01-02"

// dayOf is the name of the day of an entry, by UTC.
func dayOf(at time.Time) string { return at.UTC().Format(dayForm) }

// nameOf makes the name of an entry: newer ones sort before older ones.
func nameOf(at time.Time) string {
	return placeOf(at) + fmt.Sprintf("-%08x", rand.Uint32())
}

// placeOf sorts behind the names of all entries after a moment.
func placeOf(at time.Time) string { return fmt.Sprintf("%016x", math.MaxInt64-at.UnixMicro()) }

func (e *Entry) encode() ([]byte, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode activity: %w", err)
	}
	return b, nil
}
