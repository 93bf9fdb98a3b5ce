package server

import (
	"context"
	"maps"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/task"
)

// rule is what a method asks of its caller: all of its needs.
type rule []need

// need is an action, and on what.
type need struct {
	action access.Action
	on     target
}

// target finds in a request what an action is on, and says whether the caller may.
type target struct {
	text  string // for docs/security.md
	path  string // of names in the request; empty: they are found in another way
	check func(ctx context.Context, s *Server, c *access.Caller, a access.Action, req proto.Message) error
}

// Rules of who needs nothing but a token that counts, and of who may do everything.
func anyToken() rule  { return rule{} }
func adminOnly() rule { return rule{{access.Admin, whole()}} }

// rules is the one table of who may call what, for gRPC and HTTP alike. A method that
// is not in it is refused to everybody, and fails a test.
func rules() map[string]rule {
	all := workRules()
	maps.Copy(all, stateRules())
	maps.Copy(all, nodeRules())
	return all
}

// workRules are those of tasks, and of what makes and keeps them.
func workRules() map[string]rule {
	return map[string]rule{
		fenfav1.TaskService_Submit_FullMethodName:       {{access.Submit, eachOf("tasks.queue")}},
		fenfav1.TaskService_SubmitStream_FullMethodName: {{access.Submit, eachOf("tasks.queue")}},
		fenfav1.TaskService_Get_FullMethodName:          {{access.Read, queueOfTask("id")}},
		fenfav1.TaskService_List_FullMethodName:         {{access.Read, named("queue")}},
		fenfav1.TaskService_Explain_FullMethodName:      {{access.Read, queueOfTask("id")}},
		fenfav1.TaskService_Wait_FullMethodName:         {{access.Read, queueOfTask("id")}},
		fenfav1.TaskService_WaitMany_FullMethodName:     {{access.Read, queueOfEach("ids")}},
		fenfav1.TaskService_Cancel_FullMethodName:       {{access.Manage, queueOfEach("ids")}},

		fenfav1.WorkerService_Work_FullMethodName:    {{access.Work, named("hello.queues")}},
		fenfav1.LeaseService_Lease_FullMethodName:    {{access.Work, named("queues")}},
		fenfav1.LeaseService_Extend_FullMethodName:   {{access.Work, queueOfLeases("leases")}},
		fenfav1.LeaseService_Complete_FullMethodName: {{access.Work, queueOfLeases("tasks.lease")}},
		fenfav1.LeaseService_Fail_FullMethodName:     {{access.Work, queueOfLeases("tasks.lease")}},

		fenfav1.QueueService_Configure_FullMethodName: {{access.Manage, named("queue.name")}},
		fenfav1.QueueService_Describe_FullMethodName:  {{access.Read, named("name")}},
		fenfav1.QueueService_List_FullMethodName:      {{access.Read, filtered("queue")}},
		fenfav1.QueueService_Pause_FullMethodName:     {{access.Manage, named("name")}},
		fenfav1.QueueService_Purge_FullMethodName:     {{access.Manage, named("name")}},
		fenfav1.QueueService_Resume_FullMethodName:    {{access.Manage, named("name")}},

		fenfav1.DeadService_List_FullMethodName:       {{access.Read, named("queue")}},
		fenfav1.DeadService_Get_FullMethodName:        {{access.Read, queueOfDead("id")}},
		fenfav1.DeadService_Requeue_FullMethodName:    {{access.Manage, queueOfDead("id")}},
		fenfav1.DeadService_RequeueAll_FullMethodName: {{access.Manage, named("filter.queue")}},
		fenfav1.DeadService_Delete_FullMethodName:     {{access.Manage, queueOfDead("id")}},
		fenfav1.DeadService_DeleteAll_FullMethodName:  {{access.Manage, named("filter.queue")}},
		fenfav1.DeadService_ListHalted_FullMethodName: {{access.Read, named("queue")}},
		fenfav1.DeadService_Resume_FullMethodName:     {{access.Manage, named("queue")}},

		// A schedule submits for whoever manages it.
		fenfav1.CronService_Create_FullMethodName: {{access.Manage, named("definition.queue")}},
		fenfav1.CronService_Update_FullMethodName: {{access.Manage, queueOfCron("name", "definition.queue")}},
		fenfav1.CronService_Get_FullMethodName:    {{access.Read, queueOfCron("name")}},
		fenfav1.CronService_List_FullMethodName:   {{access.Read, filtered("schedule")}},
		fenfav1.CronService_Next_FullMethodName:   {{access.Read, queueOfCron("name")}},
		fenfav1.CronService_Pause_FullMethodName:  {{access.Manage, queueOfCron("name")}},
		fenfav1.CronService_Resume_FullMethodName: {{access.Manage, queueOfCron("name")}},
		fenfav1.CronService_Delete_FullMethodName: {{access.Manage, queueOfCron("name")}},
		fenfav1.CronService_Run_FullMethodName:    {{access.Submit, queueOfCron("name")}},

		fenfav1.SagaService_Define_FullMethodName:          adminOnly(),
		fenfav1.SagaService_GetDefinition_FullMethodName:   {{access.Saga, named("name")}},
		fenfav1.SagaService_ListDefinitions_FullMethodName: {{access.Saga, filtered("definition")}},
		fenfav1.SagaService_Start_FullMethodName:           {{access.Saga, named("name")}},
		fenfav1.SagaService_Get_FullMethodName:             {{access.Saga, definitionOfSaga("id")}},
		fenfav1.SagaService_List_FullMethodName:            {{access.Saga, filtered("saga")}},
		fenfav1.SagaService_Retry_FullMethodName:           {{access.Operate, definitionOfSaga("id")}},
		fenfav1.SagaService_Skip_FullMethodName:            {{access.Operate, definitionOfSaga("id")}},
		fenfav1.SagaService_Compensate_FullMethodName:      {{access.Operate, definitionOfSaga("id")}},
	}
}

// stateRules are those of records and locks.
func stateRules() map[string]rule {
	return map[string]rule{
		fenfav1.StateService_Get_FullMethodName:     {{access.StateRead, keyed("key")}},
		fenfav1.StateService_Scan_FullMethodName:    {{access.StateRead, beginning("key_prefix")}},
		fenfav1.StateService_Put_FullMethodName:     {{access.State, named("key")}},
		fenfav1.StateService_Commit_FullMethodName:  {{access.State, named("writes.key")}, {access.StateRead, keyed("reads.key")}},
		fenfav1.StateService_History_FullMethodName: {{access.StateRead, keyed("key")}},
		fenfav1.WatchService_Watch_FullMethodName:   {{access.StateRead, keysOrBeginning("keys", "key_prefix")}},
		fenfav1.AuditService_Audit_FullMethodName:   {{access.StateRead, whole()}},

		fenfav1.LockService_Acquire_FullMethodName: {{access.Lock, named("name")}},
		fenfav1.LockService_Renew_FullMethodName:   {{access.Lock, named("locks.name")}},
		fenfav1.LockService_Release_FullMethodName: {{access.Lock, named("name")}},
		fenfav1.LockService_Steal_FullMethodName:   adminOnly(),
		fenfav1.LockService_Get_FullMethodName:     {{access.Lock, named("name")}},
		fenfav1.LockService_List_FullMethodName:    {{access.Lock, beginning("prefix")}},
	}
}

// nodeRules are those of what a node consists of, and of who may use it.
func nodeRules() map[string]rule {
	return map[string]rule{
		fenfav1.ShardService_List_FullMethodName: {{access.Read, whole()}},
		fenfav1.ShardService_Move_FullMethodName: adminOnly(),

		fenfav1.ClusterService_Health_FullMethodName:       anyToken(),
		fenfav1.ClusterService_Workers_FullMethodName:      {{access.Read, filtered("worker")}},
		fenfav1.ClusterService_UpdateWorker_FullMethodName: adminOnly(),
		fenfav1.ClusterService_DrainWorker_FullMethodName:  adminOnly(),

		fenfav1.TokenService_Create_FullMethodName: adminOnly(),
		fenfav1.TokenService_List_FullMethodName:   adminOnly(),
		fenfav1.TokenService_Get_FullMethodName:    adminOnly(),
		fenfav1.TokenService_Rotate_FullMethodName: adminOnly(),
		fenfav1.TokenService_Revoke_FullMethodName: adminOnly(),

		fenfav1.ActivityService_List_FullMethodName: adminOnly(),
	}
}

// services registers every service, with gRPC and with what serves HTTP.
func (s *Server) services(r grpc.ServiceRegistrar) {
	fenfav1.RegisterTaskServiceServer(r, &taskService{Server: s})
	fenfav1.RegisterWorkerServiceServer(r, &workerService{Server: s})
	fenfav1.RegisterLeaseServiceServer(r, &leaseService{Server: s})
	fenfav1.RegisterStateServiceServer(r, &stateService{Server: s})
	fenfav1.RegisterLockServiceServer(r, &lockService{Server: s})
	fenfav1.RegisterWatchServiceServer(r, &watchService{Server: s})
	fenfav1.RegisterAuditServiceServer(r, &auditService{Server: s})
	fenfav1.RegisterQueueServiceServer(r, &queueService{Server: s})
	fenfav1.RegisterDeadServiceServer(r, &deadService{Server: s})
	fenfav1.RegisterCronServiceServer(r, &cronService{Server: s})
	fenfav1.RegisterSagaServiceServer(r, &sagaService{Server: s})
	fenfav1.RegisterShardServiceServer(r, &shardService{Server: s})
	fenfav1.RegisterClusterServiceServer(r, &clusterService{Server: s})
	fenfav1.RegisterTokenServiceServer(r, &tokenService{Server: s})
	fenfav1.RegisterActivityServiceServer(r, &activityService{Server: s})
}

// permit holds the rule of a method against a request.
func (s *Server) permit(ctx context.Context, c *access.Caller, method string, req any) error {
	r, ok := s.rules[method]
	if !ok {
		return task.Errorf(task.CodePermissionDenied, "nobody may call %s: it has no rule", strings.TrimPrefix(method, "/"))
	}
	m, ok := req.(proto.Message)
	if !ok {
		return task.Errorf(task.CodeInternal, "a request of %s is no message", method)
	}
	for _, n := range r {
		if err := n.on.check(ctx, s, c, n.action, m); err != nil {
			return err
		}
	}
	return nil
}
