package server

import (
	"math"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/task"
	"github.com/fenfa/fenfa/internal/watch"
)

func watchRequestOf(w *fenfav1.WatchRequest) (*watch.Request, error) {
	req := &watch.Request{
		Prefix: w.GetKeyPrefix(), Keys: w.GetKeys(), Name: w.GetName(), Initial: w.GetInitial(), Oldest: w.GetOldest(),
	}
	if w.GetProgress() != nil {
		if err := w.GetProgress().CheckValid(); err != nil {
			return nil, task.Errorf(task.CodeInvalidArgument, "progress: %w", err).WithField("progress")
		}
		req.Progress = max(1, w.GetProgress().AsDuration()) // 0 is not the default here
	}
	for _, part := range w.GetPartitions() {
		req.Parts = append(req.Parts, int(min(part, math.MaxInt32)))
	}
	for _, p := range w.GetFrom() {
		req.From = append(req.From, watch.Position{
			Part: int(min(p.GetPartition(), math.MaxInt32)), Seq: p.GetSeq(), Reading: p.GetReading(), Key: p.GetAfterKey(), Name: p.GetAfterName(),
		})
	}
	return req, nil
}

func watchToWire(m *watch.Message) *fenfav1.WatchResponse {
	switch m.Kind {
	case watch.KindChanges:
		w := &fenfav1.WatchChanges{Changes: make([]*fenfav1.Change, len(m.Changes)), Position: positionToWire(&m.Position)}
		for i, row := range m.Changes {
			w.Changes[i] = opLogToWire(row)
		}
		return &fenfav1.WatchResponse{Kind: &fenfav1.WatchResponse_Changes{Changes: w}}
	case watch.KindRecords:
		w := &fenfav1.WatchRecords{Records: make([]*fenfav1.Record, len(m.Records)), Position: positionToWire(&m.Position)}
		for i, r := range m.Records {
			w.Records[i] = recordToWire(&task.Record{
				Key: r.Key, Name: r.Name, Version: r.Version, Value: r.Value, UpdatedAt: r.UpdatedAt, TaskID: r.TaskID, Escrow: r.Escrow,
			})
		}
		return &fenfav1.WatchResponse{Kind: &fenfav1.WatchResponse_Records{Records: w}}
	case watch.KindLag:
		return &fenfav1.WatchResponse{Kind: &fenfav1.WatchResponse_Lag{
			Lag: &fenfav1.WatchLag{Entries: m.Lag.Entries, Lag: durationpb.New(m.Lag.Age)},
		}}
	case watch.KindProgress:
	}
	w := &fenfav1.WatchProgress{
		Positions: make([]*fenfav1.WatchPosition, len(m.Positions)), Live: m.Live, Pings: m.Pings,
		LagEntries: m.Lag.Entries, Lag: durationpb.New(m.Lag.Age),
	}
	for i := range m.Positions {
		w.Positions[i] = positionToWire(&m.Positions[i])
	}
	return &fenfav1.WatchResponse{Kind: &fenfav1.WatchResponse_Progress{Progress: w}}
}

func positionToWire(p *watch.Position) *fenfav1.WatchPosition {
	return &fenfav1.WatchPosition{Partition: uint32(p.Part), Seq: p.Seq, Reading: p.Reading, AfterKey: p.Key, AfterName: p.Name}
}

func opLogToWire(r *store.OpLog) *fenfav1.Change {
	return &fenfav1.Change{
		Seq: r.Seq, At: timeToWire(r.HLC.Time()), Op: r.Op.String(), Key: r.Key, Name: r.Name, VersionBefore: r.Before, VersionAfter: r.After,
		Value: r.Value, TaskId: idOrEmpty(r.TaskID), Attempt: uint32(r.Attempt), Node: r.Node, Worker: text(r.Worker), Hash: r.Hash[:],
	}
}

func trimmedToWire(e *watch.TrimmedError) *fenfav1.WatchResponse {
	return &fenfav1.WatchResponse{Kind: &fenfav1.WatchResponse_Trimmed{
		Trimmed: &fenfav1.WatchTrimmed{Partition: uint32(e.Part), Oldest: e.Oldest - 1},
	}}
}
