package history

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func encoded(tb testing.TB, h History) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := Encode(&b, h); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestHistoryComesBackEqual(t *testing.T) {
	h := runFake(1, healthy)
	h.Unordered = []string{"reports", ""}
	text := encoded(t, h)
	if n := bytes.Count(text, []byte("\n")); n != h.Len() {
		t.Errorf("%d lines for %d entries", n, h.Len())
	}
	got, err := Decode(iotest.OneByteReader(bytes.NewReader(text)))
	if err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("the history came back different: %v", err)
	}
	if got, err := Decode(strings.NewReader("")); err != nil || got.Len() != 0 {
		t.Errorf("an empty file is %+v, %v", got, err)
	}
}

func TestCutFileKeepsWhatIsWhole(t *testing.T) {
	h := History{Submits: []Submit{sub("a", 1, 2, OK), sub("b", 3, 4, OK)}}
	text := encoded(t, h)
	first := bytes.IndexByte(text, '\n') + 1
	for cut := first + 1; cut < len(text)-1; cut++ {
		got, err := Decode(bytes.NewReader(text[:cut]))
		if !errors.Is(err, ErrTruncated) || !reflect.DeepEqual(got.Submits, h.Submits[:1]) {
			t.Fatalf("cut at %d: %+v, %v", cut, got, err)
		}
	}
	if got, err := Decode(bytes.NewReader(text[:len(text)-1])); err != nil || got.Len() != 2 {
		t.Errorf("without the last line break: %+v, %v", got, err)
	}
}

func TestBadLinesAreNamed(t *testing.T) {
	good := `{"unordered":"q"}` + "\n"
	for name, bad := range map[string]string{
		"no json":       "hello",
		"unknown kind":  `{"sumbit":{}}`,
		"unknown field": `{"submit":{"colour":"red"}}`,
		"empty":         `{}`,
		"two entries":   `{"unordered":"a","final":{"task":"00000000-0000-0000-0000-000000000000","state":"done"}}`,
		"trailing":      `{"unordered":"a"} {}`,
		"bad state":     `{"final":{"task":"00000000-0000-0000-0000-000000000000","state":"sleeping"}}`,
		"bad id":        `{"final":{"task":"1","state":"done"}}`,
	} {
		_, err := Decode(strings.NewReader(good + bad + "\n" + good))
		if err == nil || !strings.Contains(err.Error(), "line 2") || errors.Is(err, ErrTruncated) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestFailuresOfTheFileAreReturned(t *testing.T) {
	if _, err := Decode(iotest.ErrReader(errors.ErrUnsupported)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("read: %v", err)
	}
	if err := Encode(brokenWriter{}, History{Unordered: []string{"q"}}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("write: %v", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

// FuzzDecode: any bytes give an error or a history that survives another round.
func FuzzDecode(f *testing.F) {
	f.Add(encoded(f, runFake(2, twoWorkers))[:4000])
	f.Add(encoded(f, History{Submits: []Submit{sub("a", 1, 2, OK)}, Unordered: []string{"q"}}))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		h, err := Decode(bytes.NewReader(text))
		if err != nil {
			return
		}
		again, err := Decode(bytes.NewReader(encoded(t, h)))
		if err != nil || again.Len() != h.Len() {
			t.Fatalf("%d entries came back as %d, %v", h.Len(), again.Len(), err)
		}
	})
}
