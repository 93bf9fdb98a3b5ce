package readable

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxDepth is how deep a document may be nested that is shown as it is: readers in
// other languages give up at some depth.
const maxDepth = 100

// Add puts the readable form beside each field of bytes in the JSON of a message,
// which protobuf wrote.
func Add(md protoreflect.MessageDescriptor, doc []byte) ([]byte, error) {
	if !In(md) {
		return doc, nil
	}
	return rewrite(md, doc, func(_ protoreflect.MessageDescriptor, fd protoreflect.FieldDescriptor, m member) ([]member, error) {
		if fd == nil || !Has(fd) {
			return []member{m}, nil
		}
		var text string
		if err := json.Unmarshal(m.value, &text); err != nil || text == "" {
			return []member{m}, nil //nolint:nilerr // It has no bytes to show.
		}
		value, err := base64.StdEncoding.DecodeString(text)
		if err != nil || !utf8.Valid(value) {
			return []member{m}, nil //nolint:nilerr // It has nothing that one could read.
		}
		shown, err := form(m.name, value)
		return []member{m, shown}, err
	})
}

// form is the readable form of bytes that are UTF-8.
func form(name string, value []byte) (member, error) {
	if json.Valid(value) && depth(value) <= maxDepth {
		var out bytes.Buffer
		err := json.Compact(&out, value)
		return member{name + JSON, out.Bytes()}, err
	}
	text, err := json.Marshal(string(value))
	return member{name + Text, text}, err
}

// depth is how deep a valid document is nested.
func depth(doc []byte) int {
	deepest, now := 0, 0
	inText, escaped := false, false
	for _, c := range doc {
		switch {
		case escaped:
			escaped = false
		case inText:
			escaped, inText = c == '\\', c != '"'
		case c == '"':
			inText = true
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}
