package saga

import (
	"fmt"
	"time"

	"github.com/fenfa/fenfa/internal/task"
)

// Validate reports the first thing that is wrong with the definition, as a
// task.Error that names the field.
func (d *Definition) Validate() error {
	if err := validateName(d.Name, "name"); err != nil {
		return err
	}
	if err := validateDuration(d.Deadline, "deadline"); err != nil {
		return err
	}
	if err := validateDuration(d.Retention, "retention"); err != nil {
		return err
	}
	if n := len(d.steps()); n == 0 || n > MaxSteps {
		return task.Errorf(task.CodeInvalidArgument, "saga %q has %d steps: want 1 to %d", d.Name, n, MaxSteps).WithField("steps")
	}
	seen := map[string]bool{}
	earlier := map[string]bool{}
	at := 0
	for _, stage := range d.Stages {
		if len(stage) == 0 {
			return task.Errorf(task.CodeInvalidArgument, "a parallel group of saga %q has no steps", d.Name).WithField("steps")
		}
		for i := range stage {
			if err := stage[i].validate(fmt.Sprintf("steps[%d]", at), seen, earlier); err != nil {
				return err
			}
			seen[stage[i].Name] = true
			at++
		}
		for i := range stage {
			earlier[stage[i].Name] = true
		}
	}
	if n := len(d.encode()); n > MaxDefinition {
		return task.Errorf(task.CodeTooLarge, "the definition of saga %q has %d bytes as JSON; at most %d are allowed", d.Name, n, MaxDefinition)
	}
	return nil
}

func (s *Step) validate(at string, seen, earlier map[string]bool) error {
	if err := validateName(s.Name, at+".name"); err != nil {
		return err
	}
	if seen[s.Name] {
		return task.Errorf(task.CodeInvalidArgument, "two steps have the name %q", s.Name).WithField(at + ".name")
	}
	if err := validateQueue(s.Queue, at+".queue"); err != nil {
		return err
	}
	switch s.OnDead {
	case "", OnDeadCompensate, OnDeadHalt, OnDeadSkip:
	default:
		return task.Errorf(task.CodeInvalidArgument, "on_dead %q is not known: want compensate, halt or skip", s.OnDead).WithField(at + ".on_dead")
	}
	if len(s.taskType()) > task.MaxType-len("undo-") {
		return task.Errorf(task.CodeTooLarge, "the type has %d bytes; at most %d are allowed", len(s.taskType()), task.MaxType-len("undo-")).WithField(at + ".type")
	}
	if len(s.Key) > task.MaxKey {
		return task.Errorf(task.CodeTooLarge, "the key has %d bytes; at most %d are allowed", len(s.Key), task.MaxKey).WithField(at + ".key")
	}
	if err := checkTemplate(s.Key, earlier); err != nil {
		return err.WithField(at + ".key")
	}
	if err := validateTask(at, s.Payload, s.Retry, s.Timeout, earlier); err != nil {
		return err
	}
	if c := s.Compensation; c != nil {
		return c.validate(at+".compensation", s.Name, earlier)
	}
	return nil
}

func (c *Compensation) validate(at, step string, earlier map[string]bool) error {
	if c.Queue != "" {
		if err := validateQueue(c.Queue, at+".queue"); err != nil {
			return err
		}
	}
	if len(c.Type) > task.MaxType {
		return task.Errorf(task.CodeTooLarge, "the type has %d bytes; at most %d are allowed", len(c.Type), task.MaxType).WithField(at + ".type")
	}
	switch c.When {
	case "", WhenDone, WhenTried:
	default:
		return task.Errorf(task.CodeInvalidArgument, "when %q is not known: want done or tried", c.When).WithField(at + ".when")
	}
	known := map[string]bool{step: true}
	for name := range earlier {
		known[name] = true
	}
	return validateTask(at, c.Payload, c.Retry, c.Timeout, known)
}

// validateTask checks what steps and compensations have in common.
func validateTask(at string, payload []byte, retry *Retry, timeout Duration, known map[string]bool) error {
	if err := checkPayload(payload, known); err != nil {
		return err.WithField(at + ".payload")
	}
	if timeout < 0 || time.Duration(timeout) > 24*time.Hour || timeout > 0 && time.Duration(timeout) < time.Millisecond {
		return task.Errorf(task.CodeInvalidArgument, "timeout %v is out of range: want 1ms to 24h", time.Duration(timeout)).WithField(at + ".timeout")
	}
	if retry == nil {
		return nil
	}
	if retry.Base < 0 || retry.Max < 0 || retry.Factor < 0 || retry.MaxAttempts < 0 {
		return task.Errorf(task.CodeInvalidArgument, "a retry policy has no negative numbers").WithField(at + ".retry")
	}
	if retry.Max > 0 && retry.Max < retry.Base {
		return task.Errorf(task.CodeInvalidArgument, "retry.max %v is less than retry.base %v", time.Duration(retry.Max), time.Duration(retry.Base)).WithField(at + ".retry.max")
	}
	if err := retry.policy(0).Validate(); err != nil {
		return task.Errorf(task.CodeOf(err), "%w", err).WithField(at + ".retry")
	}
	return nil
}

func validateName(name, field string) error {
	if err := task.ValidateQueueName(name); err != nil {
		return task.Errorf(task.CodeInvalidArgument, "%q is not a name: want 1 to %d letters, digits, '_', and '.' or '-' not in front", name, task.MaxQueueName).WithField(field)
	}
	return nil
}

func validateQueue(name, field string) error {
	if err := task.ValidateQueueName(name); err != nil {
		return task.Errorf(task.CodeOf(err), "%w", err).WithField(field)
	}
	if task.Reserved(name) {
		return task.Errorf(task.CodeInvalidArgument, "queue %q belongs to the node: use another", name).WithField(field)
	}
	return nil
}

func validateDuration(d Duration, field string) error {
	if d < 0 || time.Duration(d) > maxDuration {
		return task.Errorf(task.CodeInvalidArgument, "%s %v is out of range: want 0 to 8784h", field, time.Duration(d)).WithField(field)
	}
	return nil
}

// ValidateID reports whether id can name a saga.
func ValidateID(id string) error {
	if id == "" || len(id) > MaxID {
		return task.Errorf(task.CodeInvalidArgument, "the id of a saga has 1 to %d bytes, this one has %d", MaxID, len(id)).WithField("id")
	}
	return nil
}
