package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/store"
)

//nolint:gochecknoglobals // A list of tests.
var metaTests = []test{
	{"a value is made, changed and deleted under its version", metaLife},
	{"an unexpected version changes nothing", metaConflict},
	{"a version is never used again", metaVersions},
	{"a list has the names with the prefix, sorted", metaList},
	{"large and strange values and names are kept", metaNasty},
	{"of racing writers one wins each version", metaRace},
}

func wantMeta(t *testing.T, m store.Meta, name, value string, version uint64) {
	t.Helper()
	got, gotVersion, err := m.Get(t.Context(), name)
	if err != nil || string(got) != value || gotVersion != version {
		t.Fatalf("%q is %q version %d, %v; want %q version %d", name, got, gotVersion, err, value, version)
	}
}

func putMeta(t *testing.T, m store.Meta, name string, value []byte, expected uint64) uint64 {
	t.Helper()
	version, err := m.Put(t.Context(), name, value, expected)
	if err != nil {
		t.Fatalf("put %q at version %d: %v", name, expected, err)
	}
	return version
}

func metaLife(t *testing.T, h *Harness) {
	m := h.Store.Meta()
	wantMeta(t, m, "a", "", 0)
	v1 := putMeta(t, m, "a", []byte("one"), 0)
	wantMeta(t, m, "a", "one", v1)
	v2 := putMeta(t, m, "a", []byte("two"), v1)
	if v1 == 0 || v2 <= v1 {
		t.Errorf("versions %d and %d do not grow from 1", v1, v2)
	}
	wantMeta(t, m, "a", "two", v2)
	v3 := putMeta(t, m, "a", []byte{}, v2)
	wantMeta(t, m, "a", "", v3)
	if v := putMeta(t, m, "a", nil, v3); v != 0 {
		t.Errorf("a deleted value has version %d", v)
	}
	wantMeta(t, m, "a", "", 0)
	if v := putMeta(t, m, "a", nil, 0); v != 0 {
		t.Errorf("deleting what is not there gave version %d", v)
	}
}

func metaConflict(t *testing.T, h *Harness) {
	m := h.Store.Meta()
	refused := func(value []byte, expected uint64) {
		t.Helper()
		if v, err := m.Put(t.Context(), "a", value, expected); !errors.Is(err, store.ErrVersion) {
			t.Errorf("put at version %d: got %d, %v; want ErrVersion", expected, v, err)
		}
	}
	refused([]byte("x"), 1)
	refused(nil, 1)
	v := putMeta(t, m, "a", []byte("one"), 0)
	refused([]byte("x"), 0)
	refused([]byte("x"), v+1)
	refused(nil, 0)
	refused(nil, v+1)
	wantMeta(t, m, "a", "one", v)
}

func metaVersions(t *testing.T, h *Harness) {
	m := h.Store.Meta()
	seen := map[uint64]bool{}
	for i := range 5 {
		v := putMeta(t, m, "a", []byte{byte(i)}, 0)
		if seen[v] {
			t.Fatalf("version %d was used before", v)
		}
		seen[v] = true
		putMeta(t, m, "a", nil, v)
		if i == 2 {
			h.Store = h.Reopen(t)
			m = h.Store.Meta()
		}
	}
}

func metaList(t *testing.T, h *Harness) {
	m := h.Store.Meta()
	names := []string{"b", "a/2", "a/10", "a", "a/", "a0", "a/\xff", "a/\xff\xff", "A/1", "a/\x00", "\xff\xff", "\xff\xffz"}
	versions := map[string]uint64{}
	for _, name := range names {
		versions[name] = putMeta(t, m, name, []byte("value of "+name), 0)
	}
	slices.Sort(names)
	for _, prefix := range []string{"", "a", "a/", "a/\xff", "a/1", "\xff", "\xff\xff", "c"} {
		var want []store.Entry
		for _, name := range names {
			if strings.HasPrefix(name, prefix) {
				want = append(want, store.Entry{Name: name, Value: []byte("value of " + name), Version: versions[name]})
			}
		}
		got, err := m.List(t.Context(), prefix)
		if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("list of %q: %v\ngot  %v\nwant %v", prefix, err, got, want)
		}
	}
}

func metaNasty(t *testing.T, h *Harness) {
	m := h.Store.Meta()
	versions := map[string]uint64{}
	for _, name := range nastyStrings()[1:] {
		versions[name] = putMeta(t, m, name, []byte(name), 0)
	}
	big := bytes.Repeat([]byte{0, 0xff}, 64<<10)
	v := putMeta(t, m, "big", big, 0)
	wantMeta(t, m, "big", string(big), v)
	h.Store = h.Reopen(t)
	m = h.Store.Meta()
	for name, v := range versions {
		wantMeta(t, m, name, name, v)
	}
	wantMeta(t, m, "big", string(big), v)
}

// metaRace lets goroutines count in one value; every count must be in it.
func metaRace(t *testing.T, h *Harness) {
	const writers, counts = 4, 15
	m := h.Store.Meta()
	done := make(chan error, writers)
	for range writers {
		go func() { done <- countInMeta(t, m, counts) }()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	value, _, err := m.Get(t.Context(), "count")
	if err != nil || string(value) != strconv.Itoa(writers*counts) {
		t.Errorf("the count is %q, %v; want %d", value, err, writers*counts)
	}
}

func countInMeta(t *testing.T, m store.Meta, counts int) error {
	for done, tries := 0, 0; done < counts; tries++ {
		if tries > 10_000 {
			return errors.New("no writer gets through")
		}
		value, version, err := m.Get(t.Context(), "count")
		if err != nil {
			return err
		}
		n := 0
		if version > 0 {
			if n, err = strconv.Atoi(string(value)); err != nil {
				return fmt.Errorf("read count: %w", err)
			}
		}
		switch _, err := m.Put(t.Context(), "count", []byte(strconv.Itoa(n+1)), version); {
		case err == nil:
			done++
		case !errors.Is(err, store.ErrVersion):
			return err
		}
	}
	return nil
}
