package rabbitmq

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// IDRule says what the ID of a message's task is made of.
type IDRule string

// The rules for IDs.
const (
	// IDAuto takes the message-id property, and the content of a message without one.
	IDAuto IDRule = "auto"
	// IDMessage takes the message-id property; a message without one is refused.
	IDMessage IDRule = "message-id"
	// IDContent takes body, headers and properties: messages that are equal in all of
	// them are one task.
	IDContent IDRule = "content"
	// IDRandom makes a new ID for each delivery: equal messages are tasks of their own,
	// and a message that is delivered again is a second task.
	IDRandom IDRule = "random"
)

// KeyRule says what the key of a message's task is; the zero rule means none. At
// most one field may be set.
type KeyRule struct {
	Header  string // name of a header
	Routing bool   // the routing key
	JSON    string // members of the JSON body on the way to the value, joined by dots
}

func (r *KeyRule) validate() error {
	n := 0
	for _, set := range []bool{r.Header != "", r.Routing, r.JSON != ""} {
		if set {
			n++
		}
	}
	if n > 1 {
		return errors.New("a key comes from a header, the routing key or the JSON body: choose one")
	}
	return nil
}

// Refused says what is done with a message that fenfa refuses for good, or of
// which no task can be made.
type Refused string

// The policies for refused messages.
const (
	// RefusedStop ends the bridge; the message stays in its queue.
	RefusedStop Refused = "stop"
	// RefusedReject gives the message to the dead-letter exchange of its queue. A queue
	// without one drops it.
	RefusedReject Refused = "reject"
	// RefusedFile appends the message to a file, as one line of JSON that is on disk
	// before the message is acked.
	RefusedFile Refused = "file"
)

// oneOf says whether a value is among those known; empty is not.
func oneOf[T ~string](what string, value T, known ...T) error {
	var names []string
	for _, k := range known {
		if value == k {
			return nil
		}
		names = append(names, string(k))
	}
	return fmt.Errorf("%s is %q: want %s", what, value, strings.Join(names, ", "))
}

// member returns the text of the string, number or boolean that the path leads to
// in a JSON document, and "" where there is none.
func member(document []byte, path string) string {
	for name := range strings.SplitSeq(path, ".") {
		var members map[string]json.RawMessage
		if json.Unmarshal(document, &members) != nil {
			return ""
		}
		document = members[name]
	}
	var value any
	decoder := json.NewDecoder(strings.NewReader(string(document)))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return ""
	}
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	default:
		return ""
	}
}
