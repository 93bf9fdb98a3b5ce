package server

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/dispatch"
)

func workerToWire(w *dispatch.Worker) *fenfav1.Worker {
	out := &fenfav1.Worker{
		Id: w.ID, State: string(w.State), Queues: w.Queues, Slots: uint32(w.Slots), InFlight: uint32(w.InFlight),
		Weight: w.Weight, Labels: w.Labels, Client: w.Client, Address: w.Address, ConnectedAt: timeToWire(w.ConnectedAt),
		HeartbeatAge: durationpb.New(w.HeartbeatAge.Round(time.Millisecond)), DoneTotal: w.Done, FailedTotal: w.Failed,
		EffectiveWeight: w.EffectiveWeight, Prefetch: uint32(w.Prefetch), WeightIsSet: w.WeightIsSet,
	}
	for i := range w.Serving {
		out.Serving = append(out.Serving, servingToWire(&w.Serving[i]))
	}
	return out
}

func servingToWire(s *dispatch.Serving) *fenfav1.WorkerQueue {
	w := &fenfav1.WorkerQueue{
		Queue: s.Queue, InFlight: uint32(s.InFlight), EjectedUntil: timeToWire(s.EjectedUntil), EjectedFor: s.EjectedFor,
	}
	if s.Latency > 0 {
		w.Latency = durationpb.New(s.Latency.Round(time.Microsecond))
	}
	return w
}
