package rabbitmq

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/fenfa/fenfa/internal/task"
)

// packed returns a pack of bodies, whose IDs are derived from them.
func packed(bodies ...string) []byte {
	size := 0
	for _, body := range bodies {
		size += len(body)
	}
	w := newPackWriter(len(bodies), size)
	for _, body := range bodies {
		id := task.DeriveID(body)
		w.add(&id, []byte(body))
	}
	return w.bytes
}

func TestAPackGivesWhatWasPutIn(t *testing.T) {
	bodies := []string{"one", "", strings.Repeat("long ", 1000), "four"}
	b := packed(bodies...)
	r, sizes, err := readPack(b)
	if err != nil || len(sizes) != len(bodies) {
		t.Fatalf("read %d tasks, %v", len(sizes), err)
	}
	for i, want := range bodies {
		if int(sizes[i]) != len(want) {
			t.Errorf("task %d has %d bytes, want %d", i, sizes[i], len(want))
		}
		if i == 2 {
			r.skip()
			continue
		}
		id, body := r.take()
		if id != task.DeriveID(want) || string(body) != want {
			t.Errorf("task %d is %s %.20q", i, id, body)
		}
		if cap(body) != len(body) {
			t.Errorf("an append to task %d would write into the next one", i)
		}
	}
}

func TestTheBytesOfAPackStay(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "v1", "pack.hex"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	id, err := task.ParseID("0190a5f2-7b1c-7d3e-8f4a-5b6c7d8e9f01")
	if err != nil {
		t.Fatal(err)
	}
	other := id
	other[15]++
	w := newPackWriter(2, 13)
	w.add(&id, []byte("the body"))
	w.add(&other, []byte("other"))
	if !bytes.Equal(w.bytes, want) {
		t.Errorf("a pack is now\n%x, and was\n%x", w.bytes, want)
	}
	r, sizes, err := readPack(want)
	if err != nil || len(sizes) != 2 {
		t.Fatalf("read %d tasks, %v", len(sizes), err)
	}
	if gotID, body := r.take(); gotID != id || string(body) != "the body" {
		t.Errorf("the first task is %s %q", gotID, body)
	}
}

func TestWhatIsNoPackIsHandedOutAsItIs(t *testing.T) {
	good := packed("one", "two")
	other := bytes.Clone(good)
	other[0] = 9
	none := bytes.Clone(good)
	none[1], none[2] = 0, 0
	many := bytes.Clone(good)
	many[2] = 0xff
	long := bytes.Clone(good)
	long[packHeader+packLengthAt+3] = 0xff
	for name, b := range map[string][]byte{
		"nothing": nil, "a byte": {1}, "another version": other, "no tasks": none, "more tasks than bytes": many, "a length beyond the end": long,
		"cut short": good[:len(good)-1], "with a tail": append(bytes.Clone(good), 0),
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := readPack(b); !errors.Is(err, errNotAPack) {
				t.Fatalf("it was read: %v", err)
			}
			d := amqp.Delivery{Type: packType, MessageId: task.DeriveID("one").String(), CorrelationId: "7", Body: b}
			who, s, sizes := unpack(&d)
			s.parcel = newParcel(who, 5, sizes, nil)
			if got := s.take(); len(sizes) != 1 || !bytes.Equal(got.Body, b) || got.ID != task.DeriveID("one") || !s.over() {
				t.Errorf("handed out %d tasks, %q", len(sizes), got.Body)
			}
		})
	}
}

func FuzzReadPack(f *testing.F) {
	f.Add(packed("one", "", "three"))
	f.Add([]byte{1, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, sizes, err := readPack(b)
		if err != nil {
			return
		}
		size := 0
		for range sizes {
			_, body := r.take()
			size += len(body)
		}
		if packSize(len(sizes), size) != len(b) {
			t.Errorf("%d tasks of %d bytes in %d", len(sizes), size, len(b))
		}
	})
}
