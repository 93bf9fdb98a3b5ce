package server

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/audit"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// auditPath is where an audit is asked for over HTTP.
const auditPath = "/v1/audit"

// auditProgress is the time between two messages of progress.
const auditProgress = 200 * time.Millisecond

// auditService implements fenfa.v1.AuditService.
type auditService struct {
	fenfav1.UnimplementedAuditServiceServer
	*Server
}

// Audit audits partitions.
func (s *auditService) Audit(req *fenfav1.AuditRequest, stream grpc.ServerStreamingServer[fenfav1.AuditResponse]) error {
	ctx, cancel := s.streamContext(stream.Context())
	defer cancel()
	return s.audit(ctx, req, stream.Send)
}

// audit sends what an audit finds.
func (s *Server) audit(ctx context.Context, req *fenfav1.AuditRequest, send func(*fenfav1.AuditResponse) error) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	parts := make([]int, len(req.GetPartitions()))
	for i, part := range req.GetPartitions() {
		parts[i] = int(min(part, math.MaxInt32))
	}
	var told time.Time
	err := s.cfg.Engine.Audit(ctx, partition.AuditRequest{
		Parts: parts, Busy: req.GetBusy(),
		Found: func(d audit.Difference) error {
			return send(&fenfav1.AuditResponse{Kind: &fenfav1.AuditResponse_Difference{Difference: differenceToWire(&d)}})
		},
		Progress: func(sum audit.Summary) {
			now := s.cfg.Clock.Now()
			if now.Sub(told) < auditProgress {
				return
			}
			told = now
			if err := send(&fenfav1.AuditResponse{Kind: &fenfav1.AuditResponse_Progress{Progress: summaryToWire(&sum)}}); err != nil {
				end(err)
			}
		},
		Finished: func(sum audit.Summary) error {
			return send(&fenfav1.AuditResponse{Kind: &fenfav1.AuditResponse_Finished{Finished: summaryToWire(&sum)}})
		},
	})
	if err != nil {
		return cause(ctx, err)
	}
	return nil
}

// auditHTTP streams what an audit finds as lines of JSON.
func (s *Server) auditHTTP(w http.ResponseWriter, r *http.Request) {
	req := &fenfav1.AuditRequest{}
	err := error(notAllowed(r))
	if r.Method == http.MethodGet {
		err = checkQuery(r, req.ProtoReflect().Descriptor().Fields(), nil, "partitions")
	}
	if err == nil {
		err = runtime.PopulateQueryParameters(req, r.URL.Query(), utilities.NewDoubleArray(nil))
		if err != nil {
			err = task.Errorf(task.CodeInvalidArgument, "the query of the URL: %w", err)
		}
	}
	if err == nil {
		err = s.permit(r.Context(), callerOf(r.Context()), fenfav1.AuditService_Audit_FullMethodName, req)
	}
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	ctx, cancel := s.streamContext(r.Context())
	defer cancel()
	out := newLines(w)
	begun := false
	err = s.audit(ctx, req, func(m *fenfav1.AuditResponse) error {
		if !begun {
			begun = true
			if err := out.begin(); err != nil {
				return err
			}
		}
		return out.send(m)
	})
	s.endLines(w, r, out, begun, err)
}

// endLines answers for the end of a stream of lines.
func (s *Server) endLines(w http.ResponseWriter, r *http.Request, out *lines, begun bool, err error) {
	switch {
	case err == nil || r.Context().Err() != nil: // Or the caller has seen enough.
		s.count("http", nil)
	case !begun:
		s.writeError(w, r, err)
	default:
		e := errorOf(err)
		s.count("http", e)
		out.fail(e)
	}
}

func differenceToWire(d *audit.Difference) *fenfav1.AuditDifference {
	return &fenfav1.AuditDifference{
		Partition: uint32(d.Partition), Kind: string(d.Kind), Seq: d.Seq, Key: text(d.Key), Name: text(d.Name),
		Expected: text(d.Expected), Found: text(d.Found),
	}
}

func summaryToWire(s *audit.Summary) *fenfav1.AuditSummary {
	return &fenfav1.AuditSummary{
		Partition: uint32(s.Partition), Head: s.Head, Rows: s.Rows, Records: s.Records, Marks: s.Marks, Passes: uint32(s.Passes),
		Differences: s.Differences, Work: s.Work, Done: s.Done,
	}
}
