package indexed

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker/idspace"
	"github.com/fenfa/fenfa/internal/task"
)

var (
	sampleID    = task.ID{0x01, 0x90, 0xa5, 0xf2, 0x7b, 0x1c, 0x7d, 0x3e, 0x8f, 0x4a, 0x5b, 0x6c, 0x7d, 0x8e, 0x9f, 0x01}
	sampleRow   = idRow{queue: 3, part: 0x0102, fingerprint: 0x0102030405060708, publishedAt: 1_800_000_000_123_456}
	sampleQueue = queueRow{number: 7, window: 24 * time.Hour}
)

func encoded(r *idRow) []byte {
	b := make([]byte, idRowSize)
	r.put(b)
	return b
}

// samples are one row and key of each kind, by the name of its fixture.
func samples() map[string][]byte {
	return map[string][]byte{
		"id":         encoded(&sampleRow),
		"id.key":     idRows.Key(&sampleID),
		"other.key":  idRows.Key(&task.ID{0xff, 6: 0x80}),
		"queue":      sampleQueue.encode(),
		"queue.key":  queueKey("orders"),
		"number":     encodeNumber(7),
		"number.key": lastNumberKey(),
	}
}

func TestRowsAreWrittenAsTheFixturesSay(t *testing.T) {
	for name, got := range samples() {
		path := filepath.Join("testdata", "v1", name+".hex")
		if os.Getenv("UPDATE_FIXTURES") != "" {
			if err := os.WriteFile(path, []byte(hex.EncodeToString(got)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSpace(string(text)); hex.EncodeToString(got) != want {
			t.Errorf("%s: got %x, want %s", name, got, want)
		}
	}
}

func TestRowsComeBackAsTheyWere(t *testing.T) {
	s := samples()
	if row, err := decodeIDRow(s["id"]); err != nil || row != sampleRow {
		t.Errorf("id: %v, %v", row, err)
	}
	if id, ok := idRows.ID(s["id.key"]); !ok || id != sampleID {
		t.Errorf("key of an id: %s, %v", id, ok)
	}
	if row, err := decodeQueueRow(s["queue"]); err != nil || row != sampleQueue {
		t.Errorf("queue: %v, %v", row, err)
	}
	if n, err := decodeNumber(s["number"]); err != nil || n != 7 {
		t.Errorf("number: %v, %v", n, err)
	}
}

// decoders are all of them, as functions of the bytes.
func decoders() map[string]func(b []byte) error {
	return map[string]func(b []byte) error{
		"id":     func(b []byte) error { _, err := decodeIDRow(b); return err },
		"queue":  func(b []byte) error { _, err := decodeQueueRow(b); return err },
		"number": func(b []byte) error { _, err := decodeNumber(b); return err },
	}
}

func TestDamagedRowsAreRefused(t *testing.T) {
	for name, decode := range decoders() {
		good := samples()[name]
		newer := bytes.Clone(good)
		newer[0]++
		if err := decode(newer); err == nil || !strings.Contains(err.Error(), "format version 2") {
			t.Errorf("%s of a newer version: %v", name, err)
		}
		for _, b := range [][]byte{nil, good[:1], good[:len(good)-1], append(bytes.Clone(good), 0)} {
			if err := decode(b); !errors.Is(err, task.ErrCorrupt) {
				t.Errorf("%s with %d bytes: %v", name, len(b), err)
			}
		}
	}
	if _, err := decodeQueueRow((&queueRow{number: 1, window: -1}).encode()); !errors.Is(err, task.ErrCorrupt) {
		t.Errorf("a negative window: %v", err)
	}
}

func TestDamagedKeysAreRefused(t *testing.T) {
	key := idRows.Key(&sampleID)
	key[1] = idspace.Other
	for name, b := range map[string][]byte{"wrong kind": key, "short": key[:5], "none": nil, "of a queue": queueKey("a queue of 16 by")} {
		if id, ok := idRows.ID(b); ok {
			t.Errorf("%s: gave id %s", name, id)
		}
	}
}

func TestKeysSortByTime(t *testing.T) {
	early, late := task.NewID(time.UnixMilli(1000)), task.NewID(time.UnixMilli(1001))
	order := [][]byte{idRows.Key(&task.ID{0xff, 6: 0x80}), idRows.Key(&early), idRows.MillisKey(1001), idRows.Key(&late)}
	for i := range order[1:] {
		if bytes.Compare(order[i], order[i+1]) >= 0 {
			t.Errorf("%x is not before %x", order[i], order[i+1])
		}
	}
}

func FuzzDecoders(f *testing.F) {
	for name := range decoders() {
		f.Add(samples()[name])
	}
	f.Add(samples()["id.key"])
	f.Fuzz(func(t *testing.T, b []byte) {
		// A row that is accepted is written again as it was.
		if row, err := decodeIDRow(b); err == nil && !bytes.Equal(encoded(&row), b) {
			t.Errorf("id: %x", b)
		}
		if n, err := decodeNumber(b); err == nil && !bytes.Equal(encodeNumber(n), b) {
			t.Errorf("number: %x", b)
		}
		if row, err := decodeQueueRow(b); err == nil {
			if again, err := decodeQueueRow(row.encode()); err != nil || again != row {
				t.Errorf("queue: %x gave %+v and then %+v, %v", b, row, again, err)
			}
		}
		if id, ok := idRows.ID(b); ok && !bytes.Equal(idRows.Key(&id), b) {
			t.Errorf("key: %x", b)
		}
	})
}
