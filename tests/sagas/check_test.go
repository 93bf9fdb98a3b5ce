package sagas

import (
	"fmt"
	"time"

	"github.com/fenfa/fenfa"
)

// effect is what a record says: how often something took effect, and when.
type effect struct {
	count int
	at    time.Time
}

// facts are what is known of one saga from outside.
type facts struct {
	id     string
	saga   fenfa.Saga
	did    map[string]effect // by step
	undid  map[string]effect // by step
	stages [][]string
}

// judge names everything that a saga may not be: open, half done, undone in the
// wrong order, or with an effect that is missing or came twice.
func (f *facts) judge() (wrong []string) {
	say := func(format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("saga %s, which is %s: ", f.id, f.saga.Status)+fmt.Sprintf(format, args...))
	}
	phases := map[string]fenfa.SagaStepState{}
	for _, s := range f.saga.Steps {
		phases[s.Name] = s
	}
	for _, stage := range f.stages {
		for _, step := range stage {
			did, undid, s := f.did[step], f.undid[step], phases[step]
			if did.count > 1 || undid.count > 1 {
				say("step %s took effect %d times and was undone %d times", step, did.count, undid.count)
			}
			if (did.count > 0) != (s.Run.Phase == "done") {
				say("step %s took effect %d times, and the saga says that it is %q", step, did.count, s.Run.Phase)
			}
			if (undid.count > 0) != (s.Compensation.Phase == "done") {
				say("step %s was undone %d times, and the saga says that its compensation is %q", step, undid.count, s.Compensation.Phase)
			}
			switch f.saga.Status {
			case fenfa.SagaDone:
				if did.count != 1 || undid.count != 0 {
					say("step %s took effect %d times and was undone %d times", step, did.count, undid.count)
				}
			case fenfa.SagaCompensated:
				if did.count != undid.count {
					say("step %s took effect %d times and was undone %d times", step, did.count, undid.count)
				}
				if undid.count > 0 && undid.at.Before(did.at) {
					say("step %s was undone before it was done", step)
				}
			default:
				say("it has not ended")
			}
		}
	}
	f.judgeOrder(say)
	return wrong
}

// judgeOrder looks at neighbours: a later stage takes effect after an earlier one, and is
// undone before it.
func (f *facts) judgeOrder(say func(string, ...any)) {
	for i := range f.stages {
		for j := i + 1; j < len(f.stages); j++ {
			for _, older := range f.stages[i] {
				for _, newer := range f.stages[j] {
					if a, b := f.did[older], f.did[newer]; b.count > 0 && (a.count == 0 || b.at.Before(a.at)) {
						say("step %s took effect before %s", newer, older)
					}
					if a, b := f.undid[older], f.undid[newer]; a.count > 0 && b.count > 0 && a.at.Before(b.at) {
						say("step %s was undone before %s, which is newer", older, newer)
					}
				}
			}
		}
	}
}
