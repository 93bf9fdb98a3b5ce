package saga_test

import (
	"bytes"
	"testing"

	"github.com/fenfa/fenfa/internal/saga"
	"github.com/fenfa/fenfa/internal/task"
)

// What stands in a header is read or refused, and what is read comes back.
func FuzzHeader(f *testing.F) {
	w := begin(f, order(nil), `{}`)
	w.done("a", `{"n":1}`)
	f.Add(w.tasks["b"].Headers[0].Value)
	f.Add("")
	f.Add("\x01")
	f.Fuzz(func(t *testing.T, header string) {
		ref, ok := saga.RefOf(&task.Task{Headers: []task.Header{{Name: saga.Header, Value: header}}})
		if !ok {
			return
		}
		message, ok := saga.MessageOf(&task.Task{Headers: []task.Header{{Name: saga.Header, Value: header}}}, &saga.Ending{State: task.StateDone})
		if !ok || message.Key != saga.KeyOf(ref.ID) {
			t.Errorf("a header that is read as %+v tells %+v", ref, message)
		}
	})
}

// A message is taken or refused; one that is not of this saga changes nothing.
func FuzzMessage(f *testing.F) {
	w := begin(f, order(nil), `{}`)
	m, _ := saga.MessageOf(w.tasks["a"], &saga.Ending{State: task.StateDead, Error: "no"})
	f.Add(m.Type, m.Payload)
	f.Add("deadline", []byte{77})
	f.Add("forget", []byte{77, 1})
	f.Add("other", []byte(nil))
	f.Fuzz(func(t *testing.T, kind string, payload []byte) {
		w := begin(t, order(nil), `{}`)
		before, err := w.in.State.Encode()
		if err != nil {
			t.Fatal(err)
		}
		_, changed, err := w.in.Receive(start, &task.Task{Type: kind, Payload: payload})
		after, encodeErr := w.in.State.Encode()
		if encodeErr != nil {
			t.Fatal(encodeErr)
		}
		if (err != nil || !changed) && !bytes.Equal(before, after) {
			t.Errorf("a message that changed nothing (%v) made\n%s of\n%s", err, after, before)
		}
	})
}
