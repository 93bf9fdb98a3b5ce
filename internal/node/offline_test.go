package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/audit"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/store"
	storeembedded "github.com/fenfa/fenfa/internal/store/embedded"
	"github.com/fenfa/fenfa/internal/task"
)

// forge changes rows of one partition in the directory of a node that does not run.
func forge(t *testing.T, dir string, part int, change func(s store.Store) (puts, deletes []store.Row)) {
	t.Helper()
	db, err := kv.Open(kv.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s, err := storeembedded.New(storeembedded.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	fence, err := s.Claim(t.Context(), part, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := store.Batch{Part: part, Prev: fence, Next: fence}
	b.Next.HLC++
	b.Puts, b.Deletes = change(s)
	if err := errors.Join(s.Commit(t.Context(), []store.Batch{b}), s.Close(context.WithoutCancel(t.Context())), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// auditDir returns the differences of a directory.
func auditDir(t *testing.T, dir string, parts ...int) (found []string, sums []audit.Summary) {
	t.Helper()
	sums, err := AuditDir(t.Context(), dir, parts, func(d audit.Difference) error {
		found = append(found, d.String())
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return found, sums
}

// auditNode returns the differences that a running node finds.
func (r *running) auditNode() (found []*fenfav1.AuditDifference, finished int) {
	r.t.Helper()
	stream, err := fenfav1.NewAuditServiceClient(r.conn).Audit(r.t.Context(), &fenfav1.AuditRequest{Busy: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return found, finished
		case err != nil:
			r.t.Fatal(err)
		case m.GetDifference() != nil:
			found = append(found, m.GetDifference())
		case m.GetFinished() != nil:
			finished++
		}
	}
}

func TestDamageIsFoundInADirectoryAndBesideARunningNode(t *testing.T) {
	opts := options(t)
	dir := opts.Config.DataDir
	n := start(t, opts)
	part := task.PartitionOf("k7", opts.Config.Partitions)
	for i := range 40 {
		_, err := fenfav1.NewStateServiceClient(n.conn).Put(t.Context(), &fenfav1.PutRecordRequest{
			Key: fmt.Sprint("k", i%10), Name: "n", Value: []byte{byte(i)}, AnyVersion: true,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found, finished := n.auditNode(); len(found) > 0 || finished != opts.Config.Partitions {
		t.Fatalf("a whole node: found %v in %d partitions", found, finished)
	}
	if _, err := AuditDir(t.Context(), dir, nil, nil, nil); err == nil || !strings.Contains(err.Error(), "in use by a node") {
		t.Errorf("the directory of a running node: %v", err)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if found, sums := auditDir(t, dir); len(found) > 0 || len(sums) != opts.Config.Partitions {
		t.Fatalf("a whole directory: found %q in %d partitions", found, len(sums))
	}
	forge(t, dir, part, func(s store.Store) (puts, deletes []store.Row) {
		rows, err := s.Get(t.Context(), part, []store.Row{&store.Record{Key: "k7", Name: "n"}})
		if err != nil {
			t.Fatal(err)
		}
		rec := *rows[0].(*store.Record) //nolint:forcetypeassert // A panic fails the test.
		rec.Value = []byte("forged")
		return []store.Row{&rec}, nil
	})
	found, sums := auditDir(t, dir, part)
	if len(found) != 1 || len(sums) != 1 || !strings.Contains(found[0], `record "n" of key "k7": differs: expected value "%", found value "forged"`) {
		t.Errorf("offline: found %q", found)
	}
	n = start(t, opts)
	if found, _ := n.auditNode(); len(found) != 1 || found[0].GetKey() != "k7" || found[0].GetKind() != "differs" || int(found[0].GetPartition()) != part {
		t.Errorf("beside the node: found %v", found)
	}
	if _, body := n.web("GET", "/v1/audit?busy=1", ""); !strings.Contains(body, `"found":"value \"forged\""`) && !strings.Contains(body, "forged") {
		t.Errorf("over HTTP: %s", body)
	}
	if status, body := n.web("GET", "/v1/audit?busy=7", ""); status != 400 || !strings.Contains(body, "busy") {
		t.Errorf("over HTTP: %d %s", status, body)
	}
}

func TestADirectoryThatIsNoneIsNotMade(t *testing.T) {
	dir := t.TempDir()
	if _, err := AuditDir(t.Context(), dir, nil, nil, nil); err == nil || !strings.Contains(err.Error(), "is not a data directory") {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("it was filled with %v, %v", entries, err)
	}
	opts := options(t)
	n := start(t, opts)
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := AuditDir(t.Context(), opts.Config.DataDir, []int{4}, nil, nil); err == nil || !strings.Contains(err.Error(), "partitions 0 to 3") {
		t.Errorf("got %v", err)
	}
}
