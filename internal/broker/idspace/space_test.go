package idspace_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/broker/idspace"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/task"
)

const space = idspace.Space(kv.SpaceIndexID)

// at returns a version 7 id of a millisecond.
func at(ms int64) task.ID { return task.NewID(time.UnixMilli(ms)) }

func TestAKeyHasItsID(t *testing.T) {
	for name, id := range map[string]task.ID{"timed": at(1000), "other": task.DeriveID("a"), "zero": {}} {
		t.Run(name, func(t *testing.T) {
			key := space.Key(&id)
			if got, ok := space.ID(key); !ok || got != id || len(key) != idspace.KeySize {
				t.Errorf("key %x has id %s, %v", key, got, ok)
			}
			wrong := slices.Clone(key)
			wrong[1] ^= idspace.Timed
			elsewhere := slices.Clone(key)
			elsewhere[0]++
			for what, b := range map[string][]byte{"another kind": wrong, "another space": elsewhere, "short": key[:17], "long": append(key, 0), "empty": nil} {
				if got, ok := space.ID(b); ok {
					t.Errorf("%s: %x has id %s", what, b, got)
				}
			}
		})
	}
}

func TestKeysSortByTime(t *testing.T) {
	early, late := at(1000), at(1001)
	other := task.DeriveID("a")
	otherLo, otherHi := space.Bounds(idspace.Other)
	lo, hi := space.Bounds(idspace.Timed)
	order := [][]byte{
		otherLo, space.Key(&other), otherHi, lo, space.MillisKey(1000), space.Key(&early), space.MillisKey(1001), space.Key(&late), space.MillisKey(1002), hi,
	}
	if !slices.IsSortedFunc(order, bytes.Compare) {
		t.Errorf("the order is %x", order)
	}
}

func FuzzID(f *testing.F) {
	id := at(1000)
	f.Add(space.Key(&id))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, ok := space.ID(b); ok && !bytes.Equal(space.Key(&id), b) {
			t.Errorf("%x is the key of %s, whose key is another", b, id)
		}
	})
}
