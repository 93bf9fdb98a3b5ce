package taskfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds one line of a file, in bytes; a payload has at most 1 MiB, and
// JSON may spell a byte with six.
const maxLine = 8 << 20

// line is one physical line, decoded, without its end.
type line struct {
	number int
	text   []byte
	fault  string // why the line cannot be used, or empty
}

// lines cuts a stream into lines and lets its reader put lines back.
type lines struct {
	in       *bufio.Reader
	encoding Encoding
	number   int
	back     []line // put back, to be read next, first one first
}

func newLines(in io.Reader, encoding Encoding) *lines {
	return &lines{in: bufio.NewReaderSize(in, 64<<10), encoding: encoding}
}

// next returns the next line, or io.EOF after the last one.
func (l *lines) next() (line, error) {
	if len(l.back) > 0 {
		first := l.back[0]
		l.back = l.back[1:]
		return first, nil
	}
	raw, tooLong, err := l.raw()
	if err != nil {
		return line{}, err
	}
	l.number++
	if l.number == 1 {
		raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	}
	text, ok := l.encoding.decode(raw)
	switch {
	case tooLong:
		return line{number: l.number, fault: fmt.Sprintf("the line is longer than %d bytes", maxLine)}, nil
	case !ok:
		return line{number: l.number, fault: "the line is not valid UTF-8; is the file in another encoding, such as latin-1?"}, nil
	}
	return line{number: l.number, text: text}, nil
}

// unread puts lines back in front of what is left.
func (l *lines) unread(again []line) {
	l.back = append(append([]line(nil), again...), l.back...)
}

// raw reads up to the next line feed. Of a line that is too long it reads all
// and keeps nothing.
func (l *lines) raw() (text []byte, tooLong bool, err error) {
	for {
		part, err := l.in.ReadSlice('\n')
		if !tooLong {
			text = append(text, part...)
		}
		if len(text) > maxLine {
			text, tooLong = nil, true
		}
		switch {
		case err == nil:
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && (len(text) > 0 || tooLong):
		case errors.Is(err, io.EOF):
			return nil, false, io.EOF
		default:
			return nil, false, fmt.Errorf("read line %d: %w", l.number+1, err)
		}
		text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
		return text, tooLong, nil
	}
}
