package embedded

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/idspace"
	"github.com/fenfa/fenfa/internal/task"
)

var (
	sampleID  = task.ID{0x01, 0x90, 0xa5, 0xf2, 0x7b, 0x1c, 0x7d, 0x3e, 0x8f, 0x4a, 0x5b, 0x6c, 0x7d, 0x8e, 0x9f, 0x01}
	sampleLog = logRow{fingerprint: 0x0102030405060708, id: sampleID, publishedAt: 1_800_000_000_123_456, body: []byte("the body")}
	sampleRef = indexRow{queue: 3, part: 0x0102, pos: 0x0a0b, fingerprint: 0x0102030405060708, publishedAt: 1_800_000_000_123_456}
	sampleNum = counts{pos: 1000, tasks: 999, bytes: 123456}
	sampleDef = queueRow{number: 7, Declaration: broker.Declaration{
		Queue: "orders", Partitions: 16, MaxTasks: 100_000_000, MaxBytes: 64 << 30, DedupeWindow: 24 * time.Hour,
	}}
)

func encoded(size int, put func(b []byte)) []byte {
	b := make([]byte, size)
	put(b)
	return b
}

// samples are one row and key of each kind, by the name of its fixture.
func samples() map[string][]byte {
	return map[string][]byte{
		"message":      encoded(logHeaderSize+len(sampleLog.body), sampleLog.put),
		"message.key":  logKey(3, 0x0102, 0x0a0b),
		"index":        encoded(indexRowSize, sampleRef.put),
		"index.key":    index.Key(&sampleID),
		"other.key":    index.Key(&task.ID{0xff, 6: 0x80}),
		"counts":       encoded(countsRowSize, sampleNum.put),
		"counts.key":   stateKey(3, 0x0102, statePublished),
		"mark":         encodeMark(0x0a0b),
		"queue":        sampleDef.encode(),
		"queue.key":    queueKey("orders"),
		"number":       encodeNumber(7),
		"number.key":   lastNumberKey(),
		"settled.key":  stateKey(3, 0x0102, stateSettled),
		"reserved.key": stateKey(3, 0x0102, stateReserved),
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
	message, err := decodeLogRow(s["message"])
	if err != nil || fmt.Sprint(message) != fmt.Sprint(sampleLog) {
		t.Errorf("message: %v, %v", message, err)
	}
	if pos, ok := logPosition(s["message.key"]); !ok || pos != 0x0a0b {
		t.Errorf("position: %d, %v", pos, ok)
	}
	if row, err := decodeIndexRow(s["index"]); err != nil || row != sampleRef {
		t.Errorf("index: %v, %v", row, err)
	}
	if id, ok := index.ID(s["index.key"]); !ok || id != sampleID {
		t.Errorf("id: %s, %v", id, ok)
	}
	if row, err := decodeCounts(s["counts"]); err != nil || row != sampleNum {
		t.Errorf("counts: %v, %v", row, err)
	}
	if pos, err := decodeMark(s["mark"]); err != nil || pos != 0x0a0b {
		t.Errorf("mark: %v, %v", pos, err)
	}
	if row, err := decodeQueueRow("orders", s["queue"]); err != nil || row != sampleDef {
		t.Errorf("queue: %v, %v", row, err)
	}
	if n, err := decodeNumber(s["number"]); err != nil || n != 7 {
		t.Errorf("number: %v, %v", n, err)
	}
}

// decoders are all of them, as functions of the bytes.
func decoders() map[string]func(b []byte) error {
	return map[string]func(b []byte) error{
		"message": func(b []byte) error { _, err := decodeLogRow(b); return err },
		"index":   func(b []byte) error { _, err := decodeIndexRow(b); return err },
		"counts":  func(b []byte) error { _, err := decodeCounts(b); return err },
		"mark":    func(b []byte) error { _, err := decodeMark(b); return err },
		"queue":   func(b []byte) error { _, err := decodeQueueRow("q", b); return err },
		"number":  func(b []byte) error { _, err := decodeNumber(b); return err },
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
		bad := [][]byte{nil, good[:1], good[:len(good)-1], append(bytes.Clone(good), 0)}
		if name == "message" {
			bad = [][]byte{nil, good[:1], good[:logHeaderSize-1]}
		}
		for _, b := range bad {
			if err := decode(b); !errors.Is(err, task.ErrCorrupt) {
				t.Errorf("%s with %d bytes: %v", name, len(b), err)
			}
		}
	}
	for name, b := range map[string][]byte{
		"negative counts": encoded(countsRowSize, (&counts{tasks: -1}).put),
		"no partitions":   (&queueRow{number: 1}).encode(),
		"too many":        (&queueRow{number: 1, Declaration: broker.Declaration{Partitions: 1 << 17}}).encode(),
	} {
		_, countsErr := decodeCounts(b)
		_, queueErr := decodeQueueRow("q", b)
		if countsErr == nil || queueErr == nil {
			t.Errorf("%s: %v, %v", name, countsErr, queueErr)
		}
	}
}

func TestDamagedKeysAreRefused(t *testing.T) {
	key := index.Key(&sampleID)
	key[1] = idspace.Other
	for name, b := range map[string][]byte{"wrong kind": key, "short": key[:5], "none": nil, "of the log": logKey(1, 1, 1)} {
		if id, ok := index.ID(b); ok {
			t.Errorf("%s: gave id %s", name, id)
		}
	}
	if _, ok := logPosition(index.Key(&sampleID)); ok {
		t.Error("an index key gave a position")
	}
}

func TestKeysSortAsTheyShould(t *testing.T) {
	early, late := task.NewID(time.UnixMilli(1000)), task.NewID(time.UnixMilli(1001))
	for name, pair := range map[string][2][]byte{
		"positions":  {logKey(1, 1, 0xff), logKey(1, 1, 0x100)},
		"partitions": {logKey(1, 0xff, 9), logKey(1, 0x100, 1)},
		"queues":     {logKey(0xff, 9, 9), logKey(0x100, 1, 1)},
		"ids":        {index.Key(&early), index.Key(&late)},
		"times":      {index.Key(&early), index.MillisKey(1001)},
		"and ids":    {index.MillisKey(1001), index.Key(&late)},
		"kinds":      {index.Key(&task.ID{0xff, 6: 0x80}), index.Key(&early)},
	} {
		if bytes.Compare(pair[0], pair[1]) >= 0 {
			t.Errorf("%s: %x is not before %x", name, pair[0], pair[1])
		}
	}
}

func FuzzDecoders(f *testing.F) {
	for name := range decoders() {
		f.Add(samples()[name])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// A row that is accepted is written again as it was.
		if row, err := decodeLogRow(b); err == nil && !bytes.Equal(encoded(logHeaderSize+len(row.body), row.put), b) {
			t.Errorf("message: %x", b)
		}
		if row, err := decodeIndexRow(b); err == nil && !bytes.Equal(encoded(indexRowSize, row.put), b) {
			t.Errorf("index: %x", b)
		}
		if row, err := decodeCounts(b); err == nil && !bytes.Equal(encoded(countsRowSize, row.put), b) {
			t.Errorf("counts: %x", b)
		}
		if pos, err := decodeMark(b); err == nil && !bytes.Equal(encodeMark(pos), b) {
			t.Errorf("mark: %x", b)
		}
		if n, err := decodeNumber(b); err == nil && !bytes.Equal(encodeNumber(n), b) {
			t.Errorf("number: %x", b)
		}
		if row, err := decodeQueueRow("q", b); err == nil {
			if again, err := decodeQueueRow("q", row.encode()); err != nil || again != row {
				t.Errorf("queue: %x gave %+v and then %+v, %v", b, row, again, err)
			}
		}
		if id, ok := index.ID(b); ok && !bytes.Equal(index.Key(&id), b) {
			t.Errorf("index key: %x", b)
		}
	})
}
