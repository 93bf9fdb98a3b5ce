package task_test

import (
	"testing"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

func TestTheContextOfATraceIsNoPartOfATask(t *testing.T) {
	hashOf := func(change func(*task.Task)) uint64 {
		t.Helper()
		in := task.Task{ID: task.DeriveID("t"), Queue: "orders", Key: "k", Type: "y", Payload: []byte("p"), Timeout: time.Minute}
		change(&in)
		return task.Fingerprint(in.Append(nil))
	}
	headers := func(pairs ...string) func(*task.Task) {
		return func(in *task.Task) {
			for i := 0; i < len(pairs); i += 2 {
				in.Headers = append(in.Headers, task.Header{Name: pairs[i], Value: pairs[i+1]})
			}
		}
	}
	plain, one := hashOf(headers()), hashOf(headers("a", "1"))
	for name, got := range map[string]uint64{
		"traceparent":     hashOf(headers("traceparent", "00-x")),
		"all of a trace":  hashOf(headers("baggage", "b", "traceparent", "00-y", "tracestate", "z")),
		"an empty one":    hashOf(headers("tracestate", "")),
		"none, once more": hashOf(headers()),
	} {
		if got != plain {
			t.Errorf("%s makes another task", name)
		}
	}
	for name, got := range map[string]uint64{
		"in front": hashOf(headers("traceparent", "00-x", "a", "1")),
		"behind":   hashOf(headers("a", "1", "tracestate", "00-x")),
		"around":   hashOf(headers("baggage", "x", "a", "1", "tracestate", "00-x")),
	} {
		if got != one {
			t.Errorf("a trace %s the header makes another task", name)
		}
	}
	for name, got := range map[string]uint64{
		"another header": hashOf(headers("a", "2")),
		"another name":   hashOf(headers("Traceparent", "1")),
		"two headers":    hashOf(headers("a", "1", "b", "2")),
		"another task":   hashOf(func(in *task.Task) { headers("traceparent", "x")(in); in.Payload = []byte("q") }),
		"another time":   hashOf(func(in *task.Task) { headers("traceparent", "x")(in); in.Timeout = time.Hour }),
	} {
		if got == plain || got == one {
			t.Errorf("%s makes the same task", name)
		}
	}
}
