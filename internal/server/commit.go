package server

import (
	"context"
	"fmt"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// Commit writes and deletes records of any keys, wholly or not at all.
func (s *stateService) Commit(ctx context.Context, req *fenfav1.CommitRecordsRequest) (*fenfav1.CommitRecordsResponse, error) {
	commit, err := commitFromWire(req)
	if err != nil {
		return nil, err
	}
	commit.By = writerOf(ctx)
	r, err := s.cfg.Engine.Commit(ctx, commit)
	if err != nil {
		return nil, err
	}
	return &fenfav1.CommitRecordsResponse{TransactionId: idOrEmpty(r.Tx), Duplicate: r.Duplicate}, nil
}

func commitFromWire(req *fenfav1.CommitRecordsRequest) (partition.Commit, error) {
	var c partition.Commit
	if req.GetId() != "" {
		id, err := task.ParseID(req.GetId())
		if err != nil {
			return c, task.Errorf(task.CodeInvalidArgument, "the commit's id: %w", err).WithField("id")
		}
		c.ID = id
	}
	if n := len(req.GetReads()) + len(req.GetWrites()) + len(req.GetFences()); n > task.MaxTransaction {
		return c, task.Errorf(task.CodeTooLarge, "the commit uses %d records; at most %d are allowed", n, task.MaxTransaction).WithField("writes")
	}
	for _, f := range req.GetFences() {
		c.Fences = append(c.Fences, *fenceFromWire(f))
	}
	for _, r := range req.GetReads() {
		c.Reads = append(c.Reads, task.Read{Key: r.GetKey(), Name: r.GetName(), Version: r.GetVersion()})
	}
	for i, w := range req.GetWrites() {
		if w.GetDelete() && len(w.GetValue()) > 0 {
			return c, task.Errorf(task.CodeInvalidArgument, "write %d has a value and delete: give one of them", i).WithField(fmt.Sprintf("writes[%d].value", i))
		}
		write := task.Write{
			Key: w.GetKey(), Name: w.GetName(), Expected: w.GetExpectedVersion(), Value: w.GetValue(), Delete: w.GetDelete(),
		}
		if err := escrowFromWire(w, &write); err != nil {
			return c, task.Errorf(task.CodeOf(err), "write %d: %w", i, err).WithField(fmt.Sprintf("writes[%d]", i))
		}
		c.Writes = append(c.Writes, write)
	}
	return c, nil
}

// escrowFromWire takes what a write does to a record that is declared escrow.
func escrowFromWire(w *fenfav1.RecordWrite, to *task.Write) error {
	declares := w.GetEscrow() != nil
	switch {
	case w.Add == nil && !declares:
		return nil
	case len(w.GetValue()) > 0, w.Add != nil && (declares || w.GetDelete()):
		return task.Errorf(task.CodeInvalidArgument, "give one of value, delete, add and escrow; only delete goes with escrow")
	case w.Add != nil && w.GetExpectedVersion() != 0:
		return task.Errorf(task.CodeInvalidArgument, "add expects no version: name one in reads, where it matters")
	case w.Add != nil:
		to.Escrow, to.Delta = task.EscrowAdd, w.GetAdd()
		return task.CheckDelta(to.Delta)
	}
	to.Escrow = task.EscrowDeclare
	if to.Delete {
		return nil
	}
	c := task.Counter{Value: w.GetEscrow().GetValue(), Min: w.GetEscrow().GetMin(), Max: task.MaxCounter}
	if w.GetEscrow().Max != nil {
		c.Max = w.GetEscrow().GetMax()
	}
	to.Value = c.Append(nil)
	return c.Validate()
}
