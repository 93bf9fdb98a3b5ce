package main

import (
	"bytes"
	"errors"
	"testing"

	"github.com/fenfa/fenfa"
)

func TestAWorkerTriesAgainOnlyWhereItSaysSo(t *testing.T) {
	lost := errors.New("connection lost")
	for name, c := range map[string]struct {
		event fenfa.Event
		want  string
	}{
		"lost":      {fenfa.Event{Kind: fenfa.EventDisconnected, Err: lost}, "disconnected, trying again: connection lost\n"},
		"refused":   {fenfa.Event{Kind: fenfa.EventDisconnected, Err: lost, Final: true}, ""},
		"dismissed": {fenfa.Event{Kind: fenfa.EventDisconnected}, "dismissed by the node, connecting again\n"},
	} {
		var out bytes.Buffer
		cmd := newWorker()
		cmd.SetErr(&out)
		tell(cmd)(c.event)
		if out.String() != c.want {
			t.Errorf("%s: got %q, want %q", name, out.String(), c.want)
		}
	}
}
