package fenfa

import (
	"context"
	"errors"
	"fmt"
	"io"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// AuditOptions says what an Audit looks at, and who is told meanwhile. The functions
// are called one after another and must not be slow.
type AuditOptions struct {
	Partitions []int   // none: all
	Busy       float64 // share of the time that the node may work at it, above 0 and at most 1; 0: a quarter

	Found    func(AuditDifference) // each difference as it is found
	Progress func(AuditSummary)    // a few times a second, of the partition that is looked at
}

// AuditDifference is one thing of a partition that is not as it must be.
type AuditDifference struct {
	Partition int
	Kind      string // like "gap", "chain" or "missing": docs/audit.md lists them
	Seq       uint64 // number of the op log that it is about; 0: none
	Key, Name string // of the record that it is about; empty: none
	Expected  string
	Found     string
}

// AuditSummary counts what an audit of one partition has looked at.
type AuditSummary struct {
	Partition   int
	Head        uint64 // number of the last row of the op log that is judged
	Rows        uint64 // of the op log
	Records     uint64
	Marks       uint64 // of tasks that wrote records
	Passes      int    // along the op log
	Differences uint64
	Work, Done  uint64 // roughly, in rows and records
}

// Audit compares the records of the node's partitions with what the op log says of
// them, while the node goes on. It returns what was looked at, one summary for each
// partition; that there are differences is no error.
func (c *Client) Audit(ctx context.Context, opts AuditOptions) ([]AuditSummary, error) {
	req := &fenfav1.AuditRequest{Busy: opts.Busy}
	for _, part := range opts.Partitions {
		req.Partitions = append(req.Partitions, clampUint32(part))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.await(ctx, c.conn)
	stream, err := c.auditor.Audit(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", c.errorOf(ctx, err))
	}
	var sums []AuditSummary
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return sums, nil
		}
		if err != nil {
			return sums, fmt.Errorf("audit: %w", c.errorOf(ctx, err))
		}
		switch m := m.GetKind().(type) {
		case *fenfav1.AuditResponse_Difference:
			if opts.Found != nil {
				opts.Found(differenceOf(m.Difference))
			}
		case *fenfav1.AuditResponse_Progress:
			if opts.Progress != nil {
				opts.Progress(summaryOf(m.Progress))
			}
		case *fenfav1.AuditResponse_Finished:
			sums = append(sums, summaryOf(m.Finished))
		}
	}
}

func differenceOf(w *fenfav1.AuditDifference) AuditDifference {
	return AuditDifference{
		Partition: int(w.GetPartition()), Kind: w.GetKind(), Seq: w.GetSeq(), Key: w.GetKey(), Name: w.GetName(),
		Expected: w.GetExpected(), Found: w.GetFound(),
	}
}

func summaryOf(w *fenfav1.AuditSummary) AuditSummary {
	return AuditSummary{
		Partition: int(w.GetPartition()), Head: w.GetHead(), Rows: w.GetRows(), Records: w.GetRecords(), Marks: w.GetMarks(),
		Passes: int(w.GetPasses()), Differences: w.GetDifferences(), Work: w.GetWork(), Done: w.GetDone(),
	}
}
