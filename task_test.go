package fenfa

import (
	"encoding/json"
	"testing"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

func TestPayloadsTravelAsTheyAreOrAsJSON(t *testing.T) {
	for _, test := range []struct {
		payload any
		want    string
	}{
		{nil, ""},
		{[]byte("bytes"), "bytes"},
		{json.RawMessage(`{"raw":1}`), `{"raw":1}`},
		{"text", "text"},
		{42, "42"},
		{struct{ A int }{1}, `{"A":1}`},
	} {
		if got := string(NewTask("q", test.payload).Payload()); got != test.want {
			t.Errorf("payload of %T is %q, want %q", test.payload, got, test.want)
		}
	}
}

func TestPayloadsAreDecodedAsTheyAreOrFromJSON(t *testing.T) {
	task := NewTask("q", json.RawMessage(`{"A":1}`))
	var b []byte
	var raw json.RawMessage
	var s string
	var v struct{ A int }
	for _, into := range []any{&b, &raw, &s, &v} {
		if err := task.Decode(into); err != nil {
			t.Error(err)
		}
	}
	if string(b) != `{"A":1}` || string(raw) != `{"A":1}` || s != `{"A":1}` || v.A != 1 {
		t.Errorf("decoded %s %s %s %v", b, raw, s, v)
	}
	var n int
	if err := task.Decode(&n); err == nil {
		t.Error("an object was decoded into a number")
	}
}

func TestOptionsAreOnTheWire(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC)
	id := NewID()
	w := NewTask("q", nil, Key("k"), WithID(id), Type("t"), Header("a", "b"), Header("c", "d"), RunAt(at), ExpiresAt(at.Add(time.Hour)),
		Timeout(time.Minute), Retry(RetryPolicy{MaxAttempts: 3}), WithPriority(PriorityHigh)).wire
	if w.GetQueue() != "q" || w.GetKey() != "k" || w.GetId() != id.String() || w.GetType() != "t" || w.GetHeaders()["a"] != "b" || w.GetHeaders()["c"] != "d" ||
		!w.GetRunAt().AsTime().Equal(at) || !w.GetExpiresAt().AsTime().Equal(at.Add(time.Hour)) || w.GetTimeout().AsDuration() != time.Minute ||
		w.GetRetry().GetMaxAttempts() != 3 || w.GetRetry().GetBase() != nil || w.GetPriority() != fenfav1.Priority_PRIORITY_HIGH {
		t.Errorf("task %v", w)
	}
	if p := NewTask("q", nil, WithPriority(PriorityLow)).wire.GetPriority(); p != fenfav1.Priority_PRIORITY_LOW {
		t.Errorf("low priority is %v", p)
	}
	before := time.Now()
	run := NewTask("q", nil, Delay(time.Hour)).wire.GetRunAt().AsTime()
	if run.Before(before.Add(time.Hour)) || run.After(time.Now().Add(time.Hour)) {
		t.Errorf("a delay of an hour from %v is %v", before, run)
	}
}

func TestTasksHaveAnIDOfTheirOwn(t *testing.T) {
	a, b := NewTask("q", nil), NewTask("q", nil)
	if a.ID().IsZero() || a.ID() == b.ID() {
		t.Errorf("IDs %s and %s", a.ID(), b.ID())
	}
	if a.Attempt() != 0 || a.Delivery() != 0 || !a.CreatedAt().IsZero() {
		t.Error("a task that nobody runs has an attempt")
	}
}
