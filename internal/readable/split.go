package readable

import (
	"bytes"
	"encoding/json"
)

// member is one member of a JSON object, or an element of an array, as it stands in the
// document.
type member struct {
	name  []byte // with its quotes; nil: of an element
	value []byte
}

// text is the name without quotes and escapes.
func (m *member) text() string {
	if bytes.IndexByte(m.name, '\\') < 0 {
		return string(m.name[1 : len(m.name)-1])
	}
	var text string
	if err := json.Unmarshal(m.name, &text); err != nil {
		return "" // The document is valid, so its names are strings.
	}
	return text
}

// each calls f for the members of an object, or the elements of an array. The document
// is valid, and has no white space around it.
func each(doc []byte, f func(m member) error) error {
	for i := behindSpace(doc, 1); doc[i] != '}' && doc[i] != ']'; {
		var m member
		if doc[0] == '{' {
			end := behindValue(doc, i)
			m.name = doc[i:end]
			i = behindSpace(doc, behindSpace(doc, end)+1) // and the colon
		}
		end := behindValue(doc, i)
		m.value = doc[i:end]
		if err := f(m); err != nil {
			return err
		}
		if i = behindSpace(doc, end); doc[i] == ',' {
			i = behindSpace(doc, i+1)
		}
	}
	return nil
}

// behindSpace is the place of the next byte from i on that is no white space.
func behindSpace(doc []byte, i int) int {
	for i < len(doc) && (doc[i] == ' ' || doc[i] == '\n' || doc[i] == '\t' || doc[i] == '\r') {
		i++
	}
	return i
}

// behindValue is the place behind the value that begins at i.
func behindValue(doc []byte, i int) int {
	for depth := 0; i < len(doc); {
		switch doc[i] {
		case '"':
			i = behindString(doc, i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\n', '\t', '\r':
			i++
			continue
		default:
			i = behindWord(doc, i)
		}
		if depth == 0 {
			return i
		}
	}
	return i
}

// behindString is the place behind the string whose quote is at i.
func behindString(doc []byte, i int) int {
	for i++; i < len(doc); i++ {
		switch doc[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return i
}

// behindWord is the place behind a number, true, false or null.
func behindWord(doc []byte, i int) int {
	for ; i < len(doc); i++ {
		switch doc[i] {
		case ',', ':', ']', '}', ' ', '\n', '\t', '\r':
			return i
		}
	}
	return i
}
