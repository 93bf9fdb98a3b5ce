package task

import (
	"strings"
	"testing"
)

func TestNamesOfTheNodeAreRefused(t *testing.T) {
	for what, bad := range map[string]Task{
		"queue":  {Queue: ReservedPrefix + "sagas"},
		"key":    {Queue: "q", Key: ReservedPrefix + "saga/x"},
		"header": {Queue: "q", Headers: []Header{{Name: "a"}, {Name: ReservedPrefix + "saga", Value: "forged"}}},
	} {
		err := bad.Validate()
		if CodeOf(err) != CodeInvalidArgument || !strings.Contains(err.Error(), "belongs to the node") || !strings.Contains(err.Error(), what) {
			t.Errorf("a task with a %s of the node: %v", what, err)
		}
	}
	fine := Task{Queue: "fenfa", Key: "fenfa", Headers: []Header{{Name: "fenfa"}}}
	if err := fine.Validate(); err != nil {
		t.Errorf("names that only look alike: %v", err)
	}
}
