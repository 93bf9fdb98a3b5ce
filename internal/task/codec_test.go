package task_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// update rewrites the fixtures. Data directories are full of these bytes: a
// changed fixture means a new format version.
var update = flag.Bool("update", false, "rewrite the golden files")

// samples are tasks that between them have every optional part, and none.
func samples() map[string]task.Task {
	id, at := task.DeriveID("sample"), task.TimestampAt(time.UnixMicro(1_700_000_000_123_456))+9
	return map[string]task.Task{
		"empty": {},
		"plain": {ID: id, Queue: "orders", Key: "sku-1", Type: "order", Payload: []byte(`{"qty":2}`), CreatedAt: at},
		"full": {
			ID: id, Queue: "orders", Key: "sku\x00-ü", Type: "order", Payload: []byte{0, 1, 2, 255}, CreatedAt: at,
			Headers:  []task.Header{{Name: "a", Value: "1"}, {Name: "trace", Value: ""}},
			Priority: task.PriorityLow, RunAt: time.UnixMicro(1_800_000_000_000_001).UTC(), ExpiresAt: time.UnixMicro(1_800_000_000_000_002).UTC(),
			Timeout: 90 * time.Second, Retry: &task.RetryPolicy{Base: time.Second, Factor: 1.5, Max: time.Hour, MaxAttempts: 3},
		},
		"placed": {
			ID: id, Queue: "orders", CreatedAt: at, Placement: task.Placement{Require: "gpu,zone=eu", Prefer: "version!=1"},
		},
		"before-1970": {ID: id, Queue: "q", RunAt: time.UnixMicro(-1).UTC()},
	}
}

func TestADecodedTaskIsTheOneThatWasStored(t *testing.T) {
	for name, want := range samples() {
		t.Run(name, func(t *testing.T) {
			got, err := task.Decode(want.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	plain := samples()["plain"]
	if got := plain.Append([]byte("before")); !bytes.Equal(got, append([]byte("before"), plain.Append(nil)...)) {
		t.Errorf("Append gave %x", got)
	}
}

func TestTheStoredFormIsThatOfVersion1(t *testing.T) {
	for name, sample := range samples() {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", "v1", name+".hex")
			if *update {
				if err := os.WriteFile(file, []byte(hex.EncodeToString(sample.Append(nil))+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			golden, err := hex.DecodeString(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			if got := sample.Append(nil); !bytes.Equal(got, golden) {
				t.Errorf("writes %x, the fixture is %x", got, golden)
			}
			if got, err := task.Decode(golden); err != nil || !reflect.DeepEqual(got, sample) {
				t.Errorf("reads %+v (%v), want %+v", got, err, sample)
			}
		})
	}
}

func TestDecodeRefusesWhatAppendDoesNotWrite(t *testing.T) {
	full := samples()["full"]
	stored := full.Append(nil)
	for n := range stored {
		if got, err := task.Decode(stored[:n]); !errors.Is(err, task.ErrCorrupt) {
			t.Fatalf("the first %d of %d bytes decode to %+v (%v), want ErrCorrupt", n, len(stored), got, err)
		}
	}
	if _, err := task.Decode(append(slices.Clip(stored), 0)); !errors.Is(err, task.ErrCorrupt) {
		t.Errorf("a byte too many gives %v, want ErrCorrupt", err)
	}
	unknownFlag := bytes.Clone(stored)
	unknownFlag[25] |= 0x80
	if _, err := task.Decode(unknownFlag); !errors.Is(err, task.ErrCorrupt) {
		t.Errorf("an unknown flag gives %v, want ErrCorrupt", err)
	}
	newer := bytes.Clone(stored)
	newer[0] = 2
	if _, err := task.Decode(newer); err == nil || errors.Is(err, task.ErrCorrupt) || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("a newer version gives %v, want an error that names it", err)
	}
}

func TestAHugeNumberOfHeadersCostsNothing(t *testing.T) {
	stored := (&task.Task{}).Append(nil)
	stored[25] |= 1 // headers
	stored = append(stored, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)
	if _, err := task.Decode(stored); !errors.Is(err, task.ErrCorrupt) {
		t.Errorf("Decode gives %v, want ErrCorrupt", err)
	}
}

func TestTheFingerprintIsOfWhatTheSubmitterSaid(t *testing.T) {
	base := samples()["full"]
	want := task.Fingerprint(base.Append(nil))

	same := base
	same.ID, same.CreatedAt = task.DeriveID("another"), base.CreatedAt+1
	if got := task.Fingerprint(same.Append(nil)); got != want {
		t.Errorf("another ID and time change the fingerprint from %x to %x", want, got)
	}
	for name, change := range map[string]func(*task.Task){
		"queue":      func(t *task.Task) { t.Queue = "others" },
		"key":        func(t *task.Task) { t.Key = "sku-2" },
		"type":       func(t *task.Task) { t.Type = "refund" },
		"payload":    func(t *task.Task) { t.Payload = []byte{0, 1, 2, 254} },
		"headers":    func(t *task.Task) { t.Headers = t.Headers[:1] },
		"priority":   func(t *task.Task) { t.Priority = task.PriorityHigh },
		"run at":     func(t *task.Task) { t.RunAt = t.RunAt.Add(time.Microsecond) },
		"expires at": func(t *task.Task) { t.ExpiresAt = time.Time{} },
		"timeout":    func(t *task.Task) { t.Timeout++ },
		"retry":      func(t *task.Task) { t.Retry = nil },
		"a move from key to type": func(t *task.Task) {
			t.Key, t.Type = t.Key+t.Type[:1], t.Type[1:]
		},
	} {
		changed := base
		change(&changed)
		if got := task.Fingerprint(changed.Append(nil)); got == want {
			t.Errorf("a change of %s leaves the fingerprint as it is", name)
		}
	}
}

func TestAParserReadsWhatWasAppended(t *testing.T) {
	id := task.DeriveID("parser")
	b := task.AppendBytes(nil, "text")
	b = task.AppendBytes(b, []byte(nil))
	b = append(b, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0x96, 0x01, 0x03)
	b = append(b, id[:]...)
	p := task.NewParser(b)
	if s, e := p.String(), p.Bytes(); s != "text" || e != nil {
		t.Errorf("got %q and %v, want text and nil", s, e)
	}
	if c, u, v, z := p.Byte(), p.Uint64(), p.Uvarint(), p.Varint(); c != 7 || u != 8 || v != 150 || z != -2 {
		t.Errorf("got %d, %d, %d, %d, want 7, 8, 150, -2", c, u, v, z)
	}
	if got := p.ID(); got != id {
		t.Errorf("got %s, want %s", got, id)
	}
	if err := p.End(); err != nil || p.Failed() || len(p.Rest()) != 0 {
		t.Errorf("End says %v, failed is %t", err, p.Failed())
	}
}

func TestAParserThatFailedReadsZeros(t *testing.T) {
	for name, read := range map[string]func(*task.Parser){
		"byte":    func(p *task.Parser) { p.Byte() },
		"uint64":  func(p *task.Parser) { p.Uint64() },
		"uvarint": func(p *task.Parser) { p.Uvarint() },
		"varint":  func(p *task.Parser) { p.Varint() },
		"id":      func(p *task.Parser) { p.ID() },
		"bytes":   func(p *task.Parser) { p.Bytes() },
	} {
		p := task.NewParser(nil)
		read(&p)
		if b, u, s := p.Byte(), p.Uvarint(), p.String(); b != 0 || u != 0 || s != "" {
			t.Errorf("after %s failed: %d, %d, %q, want zeros", name, b, u, s)
		}
		if err := p.End(); !errors.Is(err, task.ErrCorrupt) || !p.Failed() {
			t.Errorf("after %s failed End says %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, sample := range samples() {
		f.Add(sample.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := task.Decode(bytes.Clone(b))
		if err != nil {
			return
		}
		again, err := task.Decode(first.Append(nil))
		if err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
		if first.Retry != nil && math.IsNaN(first.Retry.Factor) {
			first.Retry.Factor, again.Retry.Factor = 0, 0 // Not equal to itself.
		}
		if !reflect.DeepEqual(first, again) {
			t.Errorf("decoded %+v, stored and decoded again %+v", first, again)
		}
	})
}
