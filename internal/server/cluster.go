package server

import (
	"context"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
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

// Workers lists the connected workers.
func (s *clusterService) Workers(context.Context, *fenfav1.WorkersRequest) (*fenfav1.WorkersResponse, error) {
	workers := s.cfg.Workers.Workers()
	resp := &fenfav1.WorkersResponse{Workers: make([]*fenfav1.Worker, len(workers))}
	for i := range workers {
		resp.Workers[i] = workerToWire(&workers[i])
	}
	return resp, nil
}
