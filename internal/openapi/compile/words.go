package compile

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// wordsOf is the comment of a declaration, before it and behind it, without the
// line breaks of the source.
func wordsOf(d protoreflect.Descriptor) string {
	loc := d.ParentFile().SourceLocations().ByDescriptor(d)
	return flow(loc.LeadingComments + "\n" + loc.TrailingComments)
}

// flow joins the lines of each paragraph.
func flow(comment string) string {
	var paragraphs []string
	for p := range strings.SplitSeq(comment, "\n\n") {
		if p = strings.Join(strings.Fields(p), " "); p != "" {
			paragraphs = append(paragraphs, p)
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// sentence divides words into the first sentence, without its full stop, and the
// others.
func sentence(words string) (first, others string) {
	first, others, found := strings.Cut(words, ". ")
	if !found {
		return strings.TrimSuffix(words, "."), ""
	}
	return first, others
}

func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

func lower(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToLower(r)) + s[n:]
}
