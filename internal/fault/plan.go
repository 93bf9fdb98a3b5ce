package fault

import (
	"math/rand/v2"
	"time"
)

// Op names a call of a port that can go wrong.
type Op string

// Kind says how a call goes wrong.
type Kind uint8

// The kinds.
const (
	None    Kind = iota
	Fail         // fails with ErrInjected before anything happens
	Unknown      // is carried out and fails with ErrUnknown
	Repeat       // is carried out twice, where the port allows that
)

// Fault is what happens to one call: it waits, then goes wrong or not.
type Fault struct {
	Kind  Kind
	Delay time.Duration // before the call is carried out
}

// Plan decides about each call, in the order in which they begin. It is asked
// by one call at a time.
type Plan func(op Op) Fault

// Rates are the shares of calls that go wrong, each from 0 to 1; those of the
// kinds add up to at most 1.
type Rates struct {
	Fail     float64
	Unknown  float64
	Repeat   float64
	Delay    float64
	MaxDelay time.Duration // delays are uniform up to it; default 10 ms
}

const defaultMaxDelay = 10 * time.Millisecond

// Seeded returns a plan that draws faults of any call from the seed.
func Seeded(seed uint64, rates Rates) Plan {
	rng := rand.New(rand.NewPCG(seed, 0x6661756c74))
	most := rates.MaxDelay
	if most <= 0 {
		most = defaultMaxDelay
	}
	return func(Op) Fault {
		var f Fault
		// Three numbers a call, whatever they say, keep later calls independent of
		// the rates.
		kind, delayed, delay := rng.Float64(), rng.Float64(), rng.Float64()
		switch {
		case kind < rates.Fail:
			f.Kind = Fail
		case kind < rates.Fail+rates.Unknown:
			f.Kind = Unknown
		case kind < rates.Fail+rates.Unknown+rates.Repeat:
			f.Kind = Repeat
		}
		if delayed < rates.Delay {
			f.Delay = time.Duration(delay * float64(most))
		}
		return f
	}
}

// Script returns a plan with these faults for calls of the one kind, in order,
// and none afterwards or for other calls.
func Script(op Op, faults ...Fault) Plan {
	return func(called Op) Fault {
		if called != op || len(faults) == 0 {
			return Fault{}
		}
		f := faults[0]
		faults = faults[1:]
		return f
	}
}
