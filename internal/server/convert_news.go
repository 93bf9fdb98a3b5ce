package server

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
	"github.com/fenfa/fenfa/internal/task"
)

// newsFromWire reads what a handler says. An extension that is out of range is none.
func newsFromWire(w *fenfav1.TaskNews) task.News {
	var n task.News
	if d, err := durationFromWire(orZero(w.GetExtend()), "extend"); err == nil && d <= partition.MaxExtension {
		n.Extend = d
	}
	if p := w.GetProgress(); p != nil {
		n.Progress = &task.Progress{Ratio: p.GetRatio(), Text: p.GetText()}
	}
	return n
}

// runningToWire shows the attempt that is under way, and when its worker was heard.
func (s *Server) runningToWire(st *partition.TaskStatus) *fenfav1.RunningAttempt {
	if st.Running == nil {
		return nil
	}
	w := &fenfav1.RunningAttempt{StartedAt: timeToWire(st.Running.StartedAt), Deadline: timeToWire(st.Running.Deadline)}
	if p := st.Running.Progress; p != nil {
		w.Progress = &fenfav1.Progress{Ratio: p.Ratio, Text: p.Text, At: timeToWire(p.At)}
	}
	if age, ok := s.cfg.Workers.HeartbeatAge(st.Worker); ok {
		w.HeardAt = timestamppb.New(s.cfg.Clock.Now().Add(-age))
	}
	return w
}
