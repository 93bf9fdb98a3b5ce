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
	return rewrite(md, doc, func(w *writer, _ protoreflect.MessageDescriptor, fd protoreflect.FieldDescriptor, m member) error {
		w.keep(m)
		// Base64 has no escapes; an empty string has nothing to show.
		if fd == nil || !Has(fd) || len(m.value) <= len(`""`) || m.value[0] != '"' {
			return nil
		}
		value := make([]byte, base64.StdEncoding.DecodedLen(len(m.value)))
		n, err := base64.StdEncoding.Decode(value, m.value[1:len(m.value)-1])
		if err != nil || !utf8.Valid(value[:n]) {
			return nil //nolint:nilerr // It has nothing that one could read.
		}
		return w.show(m, value[:n])
	})
}

// show writes the readable form of a member whose bytes are UTF-8.
func (w *writer) show(m member, value []byte) error {
	named := func(form string) member {
		return member{name: append(append(bytes.Clone(m.name[:len(m.name)-1]), form...), '"')}
	}
	if depth(value) <= maxDepth {
		out := bytes.NewBuffer(make([]byte, 0, len(value)))
		if json.Compact(out, value) == nil {
			shown := named(JSON)
			shown.value = out.Bytes()
			w.keep(shown)
			return nil
		}
	}
	text, err := json.Marshal(string(value))
	if err != nil {
		return err
	}
	shown := named(Text)
	shown.value = text
	w.keep(shown)
	return nil
}

// depth is how deep a document is nested, if it is one.
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
