package harness

import (
	"context"
	"testing"

	fenfa "github.com/fenfa/fenfa"
)

// Configure makes a queue or changes its settings. Where the node answers that it
// needs more time, as with a broker on a busy machine, it asks again.
func Configure(t *testing.T, client *fenfa.Client, q fenfa.Queue) {
	t.Helper()
	var last error
	err := Eventually(t.Context(), "queue "+q.Name+" is configured", func(ctx context.Context) bool {
		_, _, last = client.ConfigureQueue(ctx, q)
		return last == nil || fenfa.CodeOf(last) != fenfa.CodeUnavailable
	})
	if err != nil || last != nil {
		t.Fatalf("configure %s: %v %v", q.Name, err, last)
	}
}
