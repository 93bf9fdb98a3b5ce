package taskfile

import (
	"bytes"
	"encoding/json"
)

// ndjsonSource reads one JSON value a line; blank lines are skipped.
type ndjsonSource struct{ lines *lines }

func (n *ndjsonSource) row() (Row, error) {
	for {
		l, err := n.lines.next()
		if err != nil {
			return Row{}, err
		}
		if l.fault != "" {
			return Row{}, &RowError{Line: l.number, Reason: l.fault}
		}
		text := bytes.TrimSpace(l.text)
		if len(text) == 0 {
			continue
		}
		if !json.Valid(text) {
			return Row{}, rowErrorf(l.number, "the line is not JSON: %v", syntaxOf(text))
		}
		return Row{Line: l.number, Payload: text}, nil
	}
}

// syntaxOf says what is wrong with text that is not JSON.
func syntaxOf(text []byte) error {
	var value json.RawMessage
	return json.Unmarshal(text, &value)
}

// member returns a top-level member of a JSON object as text: a string without
// its quotes, a number as it is written.
func member(payload []byte, name string) (string, bool) {
	var object map[string]json.RawMessage
	if json.Unmarshal(payload, &object) != nil {
		return "", false
	}
	raw, ok := object[name]
	if !ok || len(raw) == 0 {
		return "", false
	}
	if raw[0] == '"' {
		var s string
		return s, json.Unmarshal(raw, &s) == nil
	}
	number := raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9'
	return string(raw), number
}

// members returns a top-level member of a JSON object that is a string or an array
// of strings; one that is not there, or null, is none. It reports false for any
// other.
func members(payload []byte, name string) ([]string, bool) {
	var object map[string]json.RawMessage
	if json.Unmarshal(payload, &object) != nil {
		return nil, false
	}
	raw := object[name]
	if len(raw) == 0 {
		return nil, true
	}
	if raw[0] == '"' {
		var one string
		err := json.Unmarshal(raw, &one)
		return []string{one}, err == nil
	}
	var several []string
	err := json.Unmarshal(raw, &several)
	return several, err == nil
}
