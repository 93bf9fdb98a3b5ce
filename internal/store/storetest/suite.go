package storetest

import (
	"context"
	"testing"

	"github.com/fenfa/fenfa/internal/store"
)

// Harness is an empty store under test.
type Harness struct {
	// Store is closed by the suite.
	Store store.Store
	// Reopen closes the store and opens it again over the same data.
	Reopen func(t *testing.T) store.Store
}

// Run runs the whole suite; open returns a new, empty store for every test.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	t.Helper()
	opened := func(t *testing.T) *Harness {
		t.Helper()
		h := open(t)
		t.Cleanup(func() {
			// The test's own context has ended by now.
			if err := h.Store.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		return &h
	}
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"claim", claimTests},
		{"fence", fenceTests},
		{"commit", commitTests},
		{"scan", scanTests},
		{"get", getTests},
		{"meta", metaTests},
		{"durability", durabilityTests},
		{"concurrency", concurrencyTests},
		{"property", propertyTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) { test.run(t, opened(t)) })
			}
		})
	}
}

type test struct {
	name string
	run  func(t *testing.T, h *Harness)
}
