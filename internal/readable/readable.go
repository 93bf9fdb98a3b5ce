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

// change writes what stands in place of a member of a message's object whose value is
// no message; fd is nil where no field is called so.
type change func(w *writer, md protoreflect.MessageDescriptor, fd protoreflect.FieldDescriptor, m member) error

// rewrite applies f to the members of every message in a document. What is no object
// where a message should be is left as it is: whoever reads it next knows better what
// is wrong with it.
func rewrite(md protoreflect.MessageDescriptor, doc []byte, f change) ([]byte, error) {
	if !json.Valid(doc) {
		return doc, nil
	}
	w := &writer{out: make([]byte, 0, len(doc)+len(doc)/2), f: f}
	if err := w.message(md, bytes.TrimSpace(doc)); err != nil {
		return doc, err
	}
	return w.out, nil
}

// writer writes a document anew.
type writer struct {
	out []byte
	f   change
}

// message writes the object of a message.
func (w *writer) message(md protoreflect.MessageDescriptor, doc []byte) error {
	if foreign(md) || doc[0] != '{' {
		w.out = append(w.out, doc...)
		return nil
	}
	return w.parts(doc, func(m member) error {
		fd := fieldOf(md, m.text())
		if fd == nil || valueOf(fd).Message() == nil {
			return w.f(w, md, fd, m)
		}
		w.begin(m)
		return w.inner(fd, m.value)
	})
}

// inner writes the value of a field of messages: one, a list, or a map of them.
func (w *writer) inner(fd protoreflect.FieldDescriptor, doc []byte) error {
	message := valueOf(fd).Message()
	if !fd.IsMap() && !fd.IsList() {
		return w.message(message, doc)
	}
	if fd.IsMap() && doc[0] != '{' || fd.IsList() && doc[0] != '[' {
		w.out = append(w.out, doc...)
		return nil
	}
	return w.parts(doc, func(m member) error {
		w.begin(m)
		return w.message(message, m.value)
	})
}

// parts writes an object or an array, whose members or elements are written by f.
func (w *writer) parts(doc []byte, f func(m member) error) error {
	w.out = append(w.out, doc[0])
	if err := each(doc, f); err != nil {
		return err
	}
	w.out = append(w.out, doc[len(doc)-1])
	return nil
}

// begin writes the name of a member, or nothing for an element, behind what comes
// before it.
func (w *writer) begin(m member) {
	if last := w.out[len(w.out)-1]; last != '{' && last != '[' {
		w.out = append(w.out, ',')
	}
	if m.name != nil {
		w.out = append(append(w.out, m.name...), ':')
	}
}

// keep writes a member.
func (w *writer) keep(m member) {
	w.begin(m)
	w.out = append(w.out, m.value...)
}

// fieldOf finds a field by either of its names; nil: there is none.
func fieldOf(md protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if fd := md.Fields().ByTextName(name); fd != nil {
		return fd
	}
	return md.Fields().ByJSONName(name)
}
