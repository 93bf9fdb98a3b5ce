package taskfile

import (
	"fmt"
	"unicode/utf8"
)

// Encoding is how a file's bytes become characters.
type Encoding string

// The encodings that a file may have.
const (
	UTF8   Encoding = "utf-8"
	Latin1 Encoding = "latin-1" // ISO 8859-1: every byte is the character of its number
)

// ParseEncoding accepts the usual spellings of the two encodings.
func ParseEncoding(s string) (Encoding, error) {
	switch s {
	case "utf-8", "utf8", "UTF-8", "UTF8":
		return UTF8, nil
	case "latin-1", "latin1", "Latin-1", "iso-8859-1", "ISO-8859-1":
		return Latin1, nil
	}
	return "", fmt.Errorf("encoding %q is not known: want utf-8 or latin-1", s)
}

// DetectEncoding returns UTF8 for text that is valid UTF-8, and Latin1 for any
// other: no byte is wrong in Latin-1.
func DetectEncoding(text []byte) Encoding {
	if utf8.Valid(text) {
		return UTF8
	}
	return Latin1
}

// decode returns the text in UTF-8, and false where it is not in the encoding.
func (e Encoding) decode(text []byte) ([]byte, bool) {
	if e != Latin1 {
		return text, utf8.Valid(text)
	}
	extra := 0
	for _, c := range text {
		if c >= utf8.RuneSelf {
			extra++
		}
	}
	if extra == 0 {
		return text, true
	}
	out := make([]byte, 0, len(text)+extra)
	for _, c := range text {
		out = utf8.AppendRune(out, rune(c))
	}
	return out, true
}
