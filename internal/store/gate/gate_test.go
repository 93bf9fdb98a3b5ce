package gate

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/fenfa/fenfa/internal/store"
)

func TestCloseWaitsForCallsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gate
		for range 2 {
			if err := g.Enter(); err != nil {
				t.Fatal(err)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.Close(ended); !errors.Is(err, context.Canceled) {
			t.Fatalf("close with calls under way and an ended context: %v", err)
		}
		if err := g.Enter(); !errors.Is(err, store.ErrClosed) {
			t.Fatalf("enter while closing: %v", err)
		}
		closed := make(chan error, 1)
		go func() { closed <- g.Close(t.Context()) }()
		g.Leave()
		synctest.Wait()
		select {
		case err := <-closed:
			t.Fatalf("closed with a call under way: %v", err)
		default:
		}
		g.Leave()
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
		if err := g.Close(ended); err != nil {
			t.Errorf("close when all is over: %v", err)
		}
	})
}
