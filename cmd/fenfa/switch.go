package main

import (
	"errors"

	"github.com/fenfa/fenfa"
)

// switchFlag is a flag with a setting that is on or off.
type switchFlag fenfa.Switch

// String implements pflag.Value.
func (s *switchFlag) String() string { return string(*s) }

// Set implements pflag.Value.
func (s *switchFlag) Set(text string) error {
	switch to := fenfa.Switch(text); to {
	case fenfa.SwitchOn, fenfa.SwitchOff:
		*s = switchFlag(to)
		return nil
	}
	return errors.New("want on or off")
}

// Type implements pflag.Value.
func (s *switchFlag) Type() string { return "switch" }
