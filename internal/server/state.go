package server

import (
	"context"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// Sizes of pages, in rows.
const (
	defaultPage = 100
	maxPage     = 1000
)

// pageSize applies the default and the bound.
func pageSize(n uint32) (int, error) {
	switch {
	case n == 0:
		return defaultPage, nil
	case n > maxPage:
		return 0, task.Errorf(task.CodeInvalidArgument, "page_size is %d: want 1 to %d, or 0 for %d", n, maxPage, defaultPage).WithField("page_size")
	default:
		return int(n), nil
	}
}

// stateService implements fenfa.v1.StateService.
type stateService struct {
	fenfav1.UnimplementedStateServiceServer
	*Server
}

// Get reads one record.
func (s *stateService) Get(ctx context.Context, req *fenfav1.GetRecordRequest) (*fenfav1.GetRecordResponse, error) {
	r, err := s.cfg.Engine.GetRecord(ctx, req.GetKey(), req.GetName())
	if err != nil {
		return nil, err
	}
	return &fenfav1.GetRecordResponse{Record: recordToWire(&r)}, nil
}

// Scan lists records by key prefix.
func (s *stateService) Scan(ctx context.Context, req *fenfav1.ScanRecordsRequest) (*fenfav1.ScanRecordsResponse, error) {
	limit, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	records, next, err := s.cfg.Engine.ScanRecords(ctx, req.GetKeyPrefix(), req.GetName(), limit, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	return &fenfav1.ScanRecordsResponse{Records: recordsToWire(records), NextPageToken: next}, nil
}

// Put writes or deletes a record at its expected version.
func (s *stateService) Put(ctx context.Context, req *fenfav1.PutRecordRequest) (*fenfav1.PutRecordResponse, error) {
	switch {
	case req.GetAnyVersion() && req.GetExpectedVersion() != 0:
		return nil, task.Errorf(task.CodeInvalidArgument, "the request has expected_version and any_version: give one of them").WithField("any_version")
	case req.GetDelete() && len(req.GetValue()) > 0:
		return nil, task.Errorf(task.CodeInvalidArgument, "the request has a value and delete: give one of them").WithField("value")
	}
	version, err := s.cfg.Engine.PutRecord(ctx, task.Write{
		Key: req.GetKey(), Name: req.GetName(), Expected: req.GetExpectedVersion(), Value: req.GetValue(), Delete: req.GetDelete(),
		Fence: fenceFromWire(req.GetFence()), By: writerOf(ctx),
	}, req.GetAnyVersion())
	if err != nil {
		return nil, err
	}
	return &fenfav1.PutRecordResponse{Version: version}, nil
}

// History lists the changes of a record.
func (s *stateService) History(ctx context.Context, req *fenfav1.RecordHistoryRequest) (*fenfav1.RecordHistoryResponse, error) {
	limit, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	q := partition.HistoryQuery{
		Key: req.GetKey(), Name: req.GetName(), Limit: limit, Newest: req.GetNewestFirst(), After: req.GetAfterSeq(), Page: req.GetPageToken(),
	}
	if req.GetSince() != nil {
		if q.Since, err = timeFromWire(req.GetSince(), "since"); err != nil {
			return nil, err
		}
	}
	if req.GetUntil() != nil {
		if q.Until, err = timeFromWire(req.GetUntil(), "until"); err != nil {
			return nil, err
		}
	}
	page, err := s.cfg.Engine.History(ctx, q)
	if err != nil {
		return nil, err
	}
	resp := &fenfav1.RecordHistoryResponse{Changes: make([]*fenfav1.Change, len(page.Changes)), NextAfterSeq: page.After, NextPageToken: page.Page}
	for i := range page.Changes {
		resp.Changes[i] = changeToWire(&page.Changes[i])
	}
	return resp, nil
}
