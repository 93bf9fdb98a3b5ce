package main

import (
	"errors"

	"github.com/fenfa/fenfa"
)

// The names of priorities.
const (
	priorityLow    = "low"
	priorityNormal = "normal"
	priorityHigh   = "high"
)

// priorityFlag is a flag with the priority of tasks.
type priorityFlag fenfa.Priority

// String implements pflag.Value.
func (p *priorityFlag) String() string {
	switch fenfa.Priority(*p) {
	case fenfa.PriorityLow:
		return priorityLow
	case fenfa.PriorityHigh:
		return priorityHigh
	default:
		return priorityNormal
	}
}

// Set implements pflag.Value.
func (p *priorityFlag) Set(text string) error {
	switch text {
	case priorityLow:
		*p = priorityFlag(fenfa.PriorityLow)
	case priorityNormal:
		*p = priorityFlag(fenfa.PriorityNormal)
	case priorityHigh:
		*p = priorityFlag(fenfa.PriorityHigh)
	default:
		return errors.New("want low, normal or high")
	}
	return nil
}

// Type implements pflag.Value.
func (p *priorityFlag) Type() string { return "priority" }
