package readable

import (
	"bytes"
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// What stands behind the name of a field of bytes in its readable forms.
const (
	JSON = "_json"
	Text = "_text"
)

// Has reports whether a field of bytes has readable forms. A hash has none.
func Has(fd protoreflect.FieldDescriptor) bool {
	if fd.Kind() != protoreflect.BytesKind || fd.IsList() || fd.IsMap() || fd.Name() == "hash" {
		return false
	}
	siblings := fd.ContainingMessage().Fields()
	return siblings.ByName(fd.Name()+JSON) == nil && siblings.ByName(fd.Name()+Text) == nil
}

// In reports whether a field with readable forms may be anywhere in the message.
func In(md protoreflect.MessageDescriptor) bool {
	return in(md, map[protoreflect.FullName]bool{})
}

func in(md protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if seen[md.FullName()] || foreign(md) {
		return false
	}
	seen[md.FullName()] = true
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		if Has(fd) || valueOf(fd).Message() != nil && in(valueOf(fd).Message(), seen) {
			return true
		}
	}
	return false
}

// foreign reports whether the JSON of a message is not that of its fields.
func foreign(md protoreflect.MessageDescriptor) bool {
	return strings.HasPrefix(string(md.FullName()), "google.protobuf.")
}

// valueOf is the field whose kind the values have.
func valueOf(fd protoreflect.FieldDescriptor) protoreflect.FieldDescriptor {
	if fd.IsMap() {
		return fd.MapValue()
	}
	return fd
}

// member is one member of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// change returns what stands in place of a member of a message's object; fd is nil
// where no field is called so.
type change func(md protoreflect.MessageDescriptor, fd protoreflect.FieldDescriptor, m member) ([]member, error)

// rewrite applies f to every member of every message in a document, the inner ones
// first. What is no object where a message should be is left as it is: whoever
// reads it next knows better what is wrong with it.
func rewrite(md protoreflect.MessageDescriptor, doc []byte, f change) ([]byte, error) {
	if foreign(md) {
		return doc, nil
	}
	var out bytes.Buffer
	ok, err := each(doc, '{', func(m member) error {
		fd := fieldOf(md, m.name)
		if fd != nil && valueOf(fd).Message() != nil {
			var err error
			if m.value, err = inner(fd, m.value, f); err != nil {
				return err
			}
		}
		stands, err := f(md, fd, m)
		if err != nil {
			return err
		}
		for _, m := range stands {
			name, err := json.Marshal(m.name)
			if err != nil {
				return err
			}
			separate(&out, '{')
			out.Write(name)
			out.WriteByte(':')
			out.Write(m.value)
		}
		return nil
	})
	if !ok || err != nil {
		return doc, err
	}
	return closed(&out, '{'), nil
}

// inner rewrites the value of a field of messages: one, a list, or a map of them.
func inner(fd protoreflect.FieldDescriptor, doc []byte, f change) ([]byte, error) {
	var opening byte
	switch {
	case fd.IsMap():
		opening = '{'
	case fd.IsList():
		opening = '['
	default:
		return rewrite(fd.Message(), doc, f)
	}
	var out bytes.Buffer
	ok, err := each(doc, opening, func(m member) error {
		value, err := rewrite(valueOf(fd).Message(), m.value, f)
		if err != nil {
			return err
		}
		separate(&out, opening)
		if opening == '{' {
			name, err := json.Marshal(m.name)
			if err != nil {
				return err
			}
			out.Write(name)
			out.WriteByte(':')
		}
		out.Write(value)
		return nil
	})
	if !ok || err != nil {
		return doc, err
	}
	return closed(&out, opening), nil
}

// each calls f for the members of an object, or the elements of an array, which
// have no name. It reports whether the document is one that opens so, and whole.
func each(doc []byte, opening byte, f func(m member) error) (ok bool, err error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	if t, err := d.Token(); err != nil || t != json.Delim(opening) {
		return false, nil //nolint:nilerr // It is not of that form, as is said.
	}
	for d.More() {
		var m member
		if opening == '{' {
			t, err := d.Token()
			if err != nil {
				return false, nil //nolint:nilerr // As above.
			}
			m.name, _ = t.(string)
		}
		if err := d.Decode(&m.value); err != nil {
			return false, nil //nolint:nilerr // As above.
		}
		if err := f(m); err != nil {
			return true, err
		}
	}
	_, err = d.Token()
	return err == nil && len(bytes.TrimSpace(doc[d.InputOffset():])) == 0, nil
}

// separate opens the value, or divides its parts.
func separate(out *bytes.Buffer, opening byte) {
	if out.Len() == 0 {
		out.WriteByte(opening)
		return
	}
	out.WriteByte(',')
}

// closed ends the value. The closing of a bracket is two behind its opening.
func closed(out *bytes.Buffer, opening byte) []byte {
	if out.Len() == 0 {
		out.WriteByte(opening)
	}
	out.WriteByte(opening + 2)
	return out.Bytes()
}

// fieldOf finds a field by either of its names; nil: there is none.
func fieldOf(md protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if fd := md.Fields().ByTextName(name); fd != nil {
		return fd
	}
	return md.Fields().ByJSONName(name)
}
