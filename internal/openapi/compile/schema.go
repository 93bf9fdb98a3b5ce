package compile

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/fenfa/fenfa/internal/readable"
)

// Forms of text that protobuf's JSON writes.
const (
	durationPattern = `^[0-9]{1,12}(\.[0-9]{1,9})?s$`
	int64Pattern    = `^-?[0-9]{1,19}$`
	uint64Pattern   = `^[0-9]{1,20}$`
	outputOnly      = "Output only: "
)

// schemas gathers the schemas of messages and enums that something refers to.
type schemas struct {
	known map[string]*Schema
	names map[string]protoreflect.FullName // whose name it is
	asked map[protoreflect.FullName]bool   // a request may carry it, so unknown fields are refused
	err   error
}

func newSchemas() *schemas {
	return &schemas{known: map[string]*Schema{}, names: map[string]protoreflect.FullName{}, asked: map[protoreflect.FullName]bool{}}
}

// nameOf is what the document calls a message or an enum: its name, behind the
// names of those in which it is declared.
func (s *schemas) nameOf(d protoreflect.Descriptor) string {
	name := string(d.Name())
	for parent := d.Parent(); ; parent = parent.Parent() {
		message, nested := parent.(protoreflect.MessageDescriptor)
		if !nested {
			break
		}
		name = string(message.Name()) + name
	}
	if was, ok := s.names[name]; ok && was != d.FullName() {
		s.fail(fmt.Errorf("%s and %s have the same name in the document", was, d.FullName()))
	}
	s.names[name] = d.FullName()
	return name
}

func (s *schemas) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// message refers to a message, and describes it where that was not done yet.
func (s *schemas) message(md protoreflect.MessageDescriptor) *Schema {
	if known := wellKnown(md); known != nil {
		return known
	}
	name := s.nameOf(md)
	if s.known[name] == nil {
		schema := &Schema{}
		s.known[name] = schema // It may contain itself.
		*schema = *s.object(md, nil)
	}
	return refTo(name)
}

// without describes a message whose fields of these names stand elsewhere.
func (s *schemas) without(md protoreflect.MessageDescriptor, left []string) *Schema {
	if len(left) == 0 {
		return s.message(md)
	}
	name := s.nameOf(md) + "Body"
	s.known[name] = s.object(md, left)
	return refTo(name)
}

// object describes a message, without the fields that are left out.
func (s *schemas) object(md protoreflect.MessageDescriptor, left []string) *Schema {
	o := &Schema{Type: "object", Description: wordsOf(md), Properties: map[string]*Schema{}}
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		if slices.Contains(left, string(fd.Name())) {
			continue
		}
		words, readOnly := wordsOf(fd), false
		if only, ok := strings.CutPrefix(words, outputOnly); ok {
			words, readOnly = capital(only), true
		}
		name := fd.TextName()
		o.Properties[name] = described(s.field(fd), words, readOnly)
		if readable.Has(fd) {
			o.Properties[name+readable.JSON] = &Schema{ReadOnly: readOnly, Description: "Any JSON document, instead of " + name +
				": its bytes are the value. Answers have it beside " + name + " where that is JSON."}
			o.Properties[name+readable.Text] = &Schema{Type: "string", ReadOnly: readOnly, Description: "Text, instead of " + name +
				": its UTF-8 is the value. Answers have it beside " + name + " where that is text and not JSON."}
		}
	}
	return o
}

// closeAsked refuses unknown fields in all that requests carry, as the node does.
func (s *schemas) closeAsked(md protoreflect.MessageDescriptor) {
	if wellKnown(md) != nil || s.asked[md.FullName()] {
		return
	}
	s.asked[md.FullName()] = true
	for _, name := range []string{s.nameOf(md), s.nameOf(md) + "Body"} {
		if schema := s.known[name]; schema != nil {
			schema.AdditionalProperties = false
		}
	}
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		if fd.IsMap() {
			fd = fd.MapValue()
		}
		if fd.Message() != nil {
			s.closeAsked(fd.Message())
		}
	}
}

// field describes the value of a field.
func (s *schemas) field(fd protoreflect.FieldDescriptor) *Schema {
	switch {
	case fd.IsMap():
		return &Schema{Type: "object", AdditionalProperties: s.single(fd.MapValue())}
	case fd.IsList():
		return &Schema{Type: "array", Items: s.single(fd)}
	default:
		return s.single(fd)
	}
}

// single describes one value of a field that may have several.
func (s *schemas) single(fd protoreflect.FieldDescriptor) *Schema {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return &Schema{Type: "boolean"}
	case protoreflect.StringKind:
		return &Schema{Type: "string"}
	case protoreflect.BytesKind:
		return &Schema{Type: "string", Format: "byte"}
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return &Schema{Type: "integer", Format: "int32", Minimum: new(int64(math.MinInt32)), Maximum: new(int64(math.MaxInt32))}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return &Schema{Type: "integer", Format: "uint32", Minimum: new(int64(0)), Maximum: new(int64(math.MaxUint32))}
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return &Schema{Type: "string", Format: "int64", Pattern: int64Pattern}
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return &Schema{Type: "string", Format: "uint64", Pattern: uint64Pattern}
	case protoreflect.FloatKind:
		return &Schema{Type: "number", Format: "float"}
	case protoreflect.DoubleKind:
		return &Schema{Type: "number", Format: "double"}
	case protoreflect.EnumKind:
		return s.enum(fd.Enum())
	case protoreflect.MessageKind, protoreflect.GroupKind:
	}
	return s.message(fd.Message())
}

// enum refers to an enum, and describes it with the words of its values.
func (s *schemas) enum(ed protoreflect.EnumDescriptor) *Schema {
	name := s.nameOf(ed)
	if s.known[name] == nil {
		e := &Schema{Type: "string"}
		lines := []string{wordsOf(ed)}
		for i := range ed.Values().Len() {
			v := ed.Values().Get(i)
			e.Enum = append(e.Enum, string(v.Name()))
			if words := wordsOf(v); words != "" {
				lines = append(lines, fmt.Sprintf("- %s: %s", v.Name(), words))
			}
		}
		e.Description = strings.TrimSpace(strings.Join(lines, "\n"))
		s.known[name] = e
	}
	return refTo(name)
}

// wellKnown describes the messages that protobuf's JSON writes in a form of their
// own; nil: it is none of them.
func wellKnown(md protoreflect.MessageDescriptor) *Schema {
	switch md.FullName() {
	case "google.protobuf.Timestamp":
		return &Schema{Type: "string", Format: "date-time"}
	case "google.protobuf.Duration":
		return &Schema{Type: "string", Pattern: durationPattern, Example: "1.5s", Description: "In seconds, with an s behind."}
	case "google.protobuf.Value":
		return &Schema{Description: "Any JSON value."}
	case "google.protobuf.Struct":
		return &Schema{Type: "object"}
	case "google.protobuf.ListValue":
		return &Schema{Type: "array", Items: &Schema{}}
	case "google.protobuf.Empty":
		return &Schema{Type: "object"}
	}
	return nil
}

// inQuery describes a field as a parameter of the query; nil: it cannot be one.
func (s *schemas) inQuery(fd protoreflect.FieldDescriptor) *Schema {
	if fd.IsMap() || fd.Message() != nil && (wellKnown(fd.Message()) == nil || wellKnown(fd.Message()).Type != "string") {
		return nil
	}
	return s.field(fd)
}
