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
		c.Writes = append(c.Writes, task.Write{
			Key: w.GetKey(), Name: w.GetName(), Expected: w.GetExpectedVersion(), Value: w.GetValue(), Delete: w.GetDelete(),
		})
	}
	return c, nil
}
