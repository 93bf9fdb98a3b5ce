package harness

import (
	"testing"

	"github.com/fenfa/fenfa"
)

// Audit fails the test for every difference between the node's records and its op
// logs.
func Audit(t *testing.T, client *fenfa.Client) {
	t.Helper()
	_, err := client.Audit(t.Context(), fenfa.AuditOptions{Busy: 1, Found: func(d fenfa.AuditDifference) {
		t.Errorf("audit: partition %d, row %d, record %q of key %q: %s: expected %s, found %s", d.Partition, d.Seq, d.Name, d.Key, d.Kind, d.Expected, d.Found)
	}})
	if err != nil {
		t.Errorf("audit: %v", err)
	}
}
