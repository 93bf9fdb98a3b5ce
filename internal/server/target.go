package server

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/fenfa/fenfa/internal/access"
	"github.com/fenfa/fenfa/internal/task"
)

// whole is for what has no name: the action must be allowed on everything.
func whole() target {
	return target{text: "`*`", check: func(_ context.Context, _ *Server, c *access.Caller, a access.Action, _ proto.Message) error {
		return c.CheckCovers(a, "")
	}}
}

// named is for the names at a path of the request: the action must be allowed on all
// of them.
func named(path string) target {
	return target{text: "`" + path + "`", path: path, check: func(_ context.Context, _ *Server, c *access.Caller, a access.Action, req proto.Message) error {
		if c.Covers(a, "") {
			return nil
		}
		names := textsAt(req, path)
		if len(names) == 0 {
			return c.CheckSome(a)
		}
		for _, name := range names {
			if name == "" { // Nothing is named: all are meant.
				return c.CheckCovers(a, "")
			}
			if err := c.Check(a, name); err != nil {
				return err
			}
		}
		return nil
	}}
}

// keyed is named for keys of records. Who has changed what is for admins only.
func keyed(path string) target {
	t := named(path)
	check := t.check
	t.check = func(ctx context.Context, s *Server, c *access.Caller, a access.Action, req proto.Message) error {
		if !c.Covers(access.Admin, "") && slices.ContainsFunc(textsAt(req, path), isActivity) {
			return c.CheckCovers(access.Admin, "")
		}
		return check(ctx, s, c, a, req)
	}
	return t
}

func isActivity(key string) bool { return strings.HasPrefix(key, task.ActivityPrefix) }

// beginning is for a prefix of names: the action must be allowed on all that begin so.
func beginning(path string) target {
	return target{text: "all that begin with `" + path + "`", path: path, check: func(_ context.Context, _ *Server, c *access.Caller, a access.Action, req proto.Message) error {
		for _, prefix := range textsAt(req, path) {
			if err := c.CheckCovers(a, prefix); err != nil {
				return err
			}
		}
		return nil
	}}
}

// keysOrBeginning is for names, or where there are none, a prefix.
func keysOrBeginning(keys, prefix string) target {
	return target{text: "`" + keys + "`, or all that begin with `" + prefix + "`", path: prefix, check: func(ctx context.Context, s *Server, c *access.Caller, a access.Action, req proto.Message) error {
		on := beginning(prefix)
		if len(textsAt(req, keys)) > 0 {
			on = keyed(keys)
		}
		return on.check(ctx, s, c, a, req)
	}}
}

// eachOf is for requests whose parts stand for themselves: the service refuses those
// on which the action is not allowed, and takes the others.
func eachOf(path string) target {
	t := some()
	t.text = "each `" + path + "` by itself"
	return t
}

// filtered is for lists: the service leaves out what the caller may not see.
func filtered(what string) target {
	t := some()
	t.text = "each " + what + " of the answer; others are left out"
	return t
}

// some refuses those who may not do this to anything; the service does the rest.
func some() target {
	return target{check: func(_ context.Context, _ *Server, c *access.Caller, a access.Action, _ proto.Message) error {
		return c.CheckSome(a)
	}}
}

// queueOfTask is for the id of a task: the action must be allowed on its queue.
func queueOfTask(path string) target {
	return target{text: "queue of the task `" + path + "`", check: func(ctx context.Context, s *Server, c *access.Caller, a access.Action, req proto.Message) error {
		return lookedUp(c, a, req, path, func(text string) (string, error) {
			id, err := idFromWire(text)
			if err != nil {
				return "", err
			}
			st, err := s.cfg.Engine.TaskStatus(ctx, id)
			return st.Queue, err
		})
	}}
}

// queueOfDead is for the id of a dead letter: the engine passes over one on whose
// queue the action is not allowed. A task that is not dead may have the same ID.
func queueOfDead(path string) target {
	t := some()
	t.text = "queue of the dead letter `" + path + "`"
	return t
}

// queueOfEach is for requests of several tasks: the service refuses those on whose
// queues the action is not allowed, by refusedTasks.
func queueOfEach(path string) target {
	t := some()
	t.text = "queue of each task of `" + path + "` by itself"
	return t
}

// queueOfLeases is for requests that name leases: the service refuses those on whose
// queues the action is not allowed.
func queueOfLeases(path string) target {
	t := some()
	t.text = "queue of each lease of `" + path + "` by itself"
	return t
}

// refusedTasks says why the caller may not do this to tasks, one error or nil for
// each; nil where everything is allowed.
func (s *Server) refusedTasks(ctx context.Context, a access.Action, ids []task.ID) []error {
	c := callerOf(ctx)
	if c.Covers(a, "") {
		return nil
	}
	refused := make([]error, len(ids))
	for i, id := range ids {
		st, err := s.cfg.Engine.TaskStatus(ctx, id)
		if err == nil {
			err = c.Check(a, st.Queue)
		}
		refused[i] = err
	}
	return refused
}

// definitionOfSaga is for the id of a saga: the action must be allowed on the name of
// its definition.
func definitionOfSaga(path string) target { //nolint:unparam // Like its siblings, it says in the table where the name is.
	return target{text: "definition of the saga `" + path + "`", check: func(ctx context.Context, s *Server, c *access.Caller, a access.Action, req proto.Message) error {
		return lookedUp(c, a, req, path, func(id string) (string, error) {
			in, err := s.cfg.Engine.Saga(ctx, id)
			if err != nil {
				return "", err
			}
			return in.Begun.Definition.Name, nil
		})
	}}
}

// queueOfCron is for the name of a schedule: the action must be allowed on the queue
// that it submits to, and on those that are named at further paths.
func queueOfCron(path string, further ...string) target { //nolint:unparam // Like its siblings, it says in the table where the name is.
	paths := append([]string{"queue of the schedule `" + path + "`"}, further...)
	return target{text: strings.Join(paths, ", and "), check: func(ctx context.Context, s *Server, c *access.Caller, a access.Action, req proto.Message) error {
		for _, p := range further {
			if err := named(p).check(ctx, s, c, a, req); err != nil {
				return err
			}
		}
		return lookedUp(c, a, req, path, func(name string) (string, error) {
			found, err := s.cfg.Engine.Cron(ctx, name)
			if err != nil {
				return "", err
			}
			return found.Definition.Queue, nil
		})
	}}
}

// lookedUp asks what the names at a path belong to, where that makes a difference.
// One that is not found is the answer: nothing is done to what appears meanwhile.
func lookedUp(c *access.Caller, a access.Action, req proto.Message, path string, find func(string) (string, error)) error {
	if c.Covers(a, "") {
		return nil
	}
	if err := c.CheckSome(a); err != nil {
		return err
	}
	for _, text := range textsAt(req, path) {
		name, err := find(text)
		if err != nil {
			return err
		}
		if err := c.Check(a, name); err != nil {
			return err
		}
	}
	return nil
}

// textsAt returns the strings at a path like "hello.queues": one for a plain path,
// any number where there are lists on it. It panics where there is no such path,
// which a test walks.
func textsAt(m proto.Message, path string) []string {
	return appendTexts(nil, m.ProtoReflect(), strings.Split(path, "."))
}

func appendTexts(texts []string, m protoreflect.Message, path []string) []string {
	field := m.Descriptor().Fields().ByName(protoreflect.Name(path[0]))
	value := m.Get(field)
	switch {
	case field.IsList():
		list := value.List()
		for i := range list.Len() {
			if len(path) == 1 {
				texts = append(texts, list.Get(i).String())
			} else {
				texts = appendTexts(texts, list.Get(i).Message(), path[1:])
			}
		}
		return texts
	case len(path) == 1:
		return append(texts, value.String())
	default:
		return appendTexts(texts, value.Message(), path[1:])
	}
}

// refuseForeign says whether an outcome may carry what it carries: follow-up tasks
// ask for submit on their queues, and records of keys that are named for state. The
// task's own key, which is not named, needs nothing more.
func refuseForeign(c *access.Caller, o *task.Outcome) error {
	if c.Covers(access.Admin, "") {
		return nil
	}
	for i := range o.Emits {
		if err := c.Check(access.Submit, o.Emits[i].Queue); err != nil {
			return err
		}
	}
	for i := range o.Writes {
		if key := o.Writes[i].Key; key != "" {
			if err := c.Check(access.State, key); err != nil {
				return err
			}
		}
	}
	for i := range o.Reads {
		if key := o.Reads[i].Key; key != "" {
			if isActivity(key) {
				return c.CheckCovers(access.Admin, "")
			}
			if err := c.Check(access.StateRead, key); err != nil {
				return err
			}
		}
	}
	return nil
}
