package server

import (
	"context"
	"slices"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/dispatch"
	"github.com/fenfa/fenfa/internal/task"
)

// clusterService implements fenfa.v1.ClusterService.
type clusterService struct {
	fenfav1.UnimplementedClusterServiceServer
	*Server
}

// Health says whether the node is ready, and why not.
func (s *clusterService) Health(context.Context, *fenfav1.HealthRequest) (*fenfav1.HealthResponse, error) {
	problems := s.cfg.Engine.Problems()
	return &fenfav1.HealthResponse{
		Node: s.cfg.Node, Version: s.cfg.Version, Ready: len(problems) == 0, Problems: problems,
		StartedAt: timeToWire(s.started), Partitions: uint32(s.cfg.Partitions), Durability: s.cfg.Durability,
	}, nil
}

// Workers lists the connected workers of queues that the caller may see.
func (s *clusterService) Workers(ctx context.Context, _ *fenfav1.WorkersRequest) (*fenfav1.WorkersResponse, error) {
	workers, c := s.cfg.Workers.Workers(), callerOf(ctx)
	resp := &fenfav1.WorkersResponse{Workers: make([]*fenfav1.Worker, 0, len(workers))}
	for i := range workers {
		if w := workerFor(c, &workers[i]); w != nil {
			resp.Workers = append(resp.Workers, w)
		}
	}
	return resp, nil
}

// workerFor shows of a worker what the caller may see; nil: nothing.
func workerFor(c *access.Caller, worker *dispatch.Worker) *fenfav1.Worker {
	w := workerToWire(worker)
	if c.Covers(access.Read, "") {
		return w
	}
	w.Queues = slices.DeleteFunc(slices.Clone(w.GetQueues()), func(queue string) bool { return !c.May(access.Read, queue) })
	if len(w.GetQueues()) == 0 {
		return nil
	}
	w.Serving = slices.DeleteFunc(w.GetServing(), func(q *fenfav1.WorkerQueue) bool { return !c.May(access.Read, q.GetQueue()) })
	return w
}

// UpdateWorker changes what is set of a connected worker, all of it or nothing.
func (s *clusterService) UpdateWorker(_ context.Context, req *fenfav1.UpdateWorkerRequest) (*fenfav1.UpdateWorkerResponse, error) {
	if err := checkWorkerID(req.GetId()); err != nil {
		return nil, err
	}
	if req.Weight == nil && req.Quiet == nil {
		return nil, task.Errorf(task.CodeInvalidArgument, "there is nothing to change: set weight or quiet").WithField("weight")
	}
	var now dispatch.Worker
	var err error
	if req.Weight != nil { // The one that may be refused comes first.
		if now, err = s.cfg.Workers.SetWeight(req.GetId(), req.GetWeight()); err != nil {
			return nil, err
		}
	}
	if req.Quiet != nil {
		if now, err = s.cfg.Workers.SetQuiet(req.GetId(), req.GetQuiet()); err != nil {
			return nil, err
		}
	}
	return &fenfav1.UpdateWorkerResponse{Worker: workerToWire(&now)}, nil
}

// DrainWorker sends a worker away.
func (s *clusterService) DrainWorker(_ context.Context, req *fenfav1.DrainWorkerRequest) (*fenfav1.DrainWorkerResponse, error) {
	if err := checkWorkerID(req.GetId()); err != nil {
		return nil, err
	}
	now, err := s.cfg.Workers.DrainWorker(req.GetId())
	if err != nil {
		return nil, err
	}
	return &fenfav1.DrainWorkerResponse{Worker: workerToWire(&now)}, nil
}

func checkWorkerID(id string) error {
	switch {
	case id == "":
		return task.Errorf(task.CodeInvalidArgument, "the worker is not named: set id").WithField("id")
	case len(id) > dispatch.MaxWorkerID:
		return task.Errorf(task.CodeInvalidArgument, "id has %d bytes; a worker's has at most %d", len(id), dispatch.MaxWorkerID).WithField("id")
	}
	return nil
}
