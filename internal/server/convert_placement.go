package server

import (
	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/task"
)

// placementFromWire reads terms on worker labels; none at all ask for nothing.
func placementFromWire(w *fenfav1.Placement) (p task.Placement, err error) {
	if p.Require, err = task.NewSelector(w.GetRequire()...); err != nil {
		return task.Placement{}, errorOf(err).WithField("placement.require")
	}
	if p.Prefer, err = task.NewSelector(w.GetPrefer()...); err != nil {
		return task.Placement{}, errorOf(err).WithField("placement.prefer")
	}
	return p, nil
}

func placementToWire(p task.Placement) *fenfav1.Placement {
	if p == (task.Placement{}) {
		return nil
	}
	return &fenfav1.Placement{Require: p.Require.Terms(), Prefer: p.Prefer.Terms()}
}
