package readable

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Plain turns the readable forms in the JSON of a message into base64, so that
// protobuf's JSON can read it. What is not JSON is left to that. It fails where a
// field has two forms, or its readable form is none.
func Plain(md protoreflect.MessageDescriptor, doc []byte) ([]byte, error) {
	if !bytes.Contains(doc, []byte(JSON+`"`)) && !bytes.Contains(doc, []byte(Text+`"`)) || !In(md) {
		return doc, nil
	}
	return rewrite(md, doc, func(w *writer, md protoreflect.MessageDescriptor, fd protoreflect.FieldDescriptor, m member) error {
		name := m.text()
		field, form := base(md, name)
		if fd != nil || form == "" {
			w.keep(m)
			return nil
		}
		value, given, err := bytesOf(form, m.value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if given {
			w.keep(member{[]byte(`"` + field + `"`), []byte(`"` + base64.StdEncoding.EncodeToString(value) + `"`)})
		}
		return nil
	})
}

// base is the field whose readable form is called so, and which form that is;
// empty: it is none.
func base(md protoreflect.MessageDescriptor, name string) (field, form string) {
	for _, form := range []string{JSON, Text} {
		field, found := strings.CutSuffix(name, form)
		if !found {
			continue
		}
		if fd := md.Fields().ByTextName(field); fd != nil && Has(fd) {
			return field, form
		}
	}
	return "", ""
}

// bytesOf are the bytes that a readable form stands for. A text that is null is
// not given; a document that is null is one.
func bytesOf(form string, value json.RawMessage) (b []byte, given bool, err error) {
	if !utf8.Valid(value) {
		return nil, false, fmt.Errorf("it is not UTF-8")
	}
	if form == JSON {
		var out bytes.Buffer
		if err := json.Compact(&out, value); err != nil {
			return nil, false, err
		}
		return out.Bytes(), true, nil
	}
	if string(value) == "null" {
		return nil, false, nil
	}
	// Protobuf's own reader refuses halves of surrogates, which the standard library
	// would replace.
	var text wrapperspb.StringValue
	if err := protojson.Unmarshal(value, &text); err != nil {
		return nil, false, fmt.Errorf("want a string")
	}
	return []byte(text.GetValue()), true, nil
}
