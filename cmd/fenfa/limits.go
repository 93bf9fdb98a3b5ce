package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fenfa/fenfa"
)

// noLimit is how flags take a limit away.
const noLimit = "none"

// limitFlag is a flag with a limit of a queue: a number above 0, or none.
type limitFlag int

// String implements pflag.Value.
func (l *limitFlag) String() string {
	switch *l {
	case 0:
		return ""
	case fenfa.NoLimit:
		return noLimit
	}
	return strconv.Itoa(int(*l))
}

// Set implements pflag.Value.
func (l *limitFlag) Set(text string) error {
	if text == noLimit {
		*l = fenfa.NoLimit
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return errors.New("want a whole number above 0, or none")
	}
	*l = limitFlag(n)
	return nil
}

// Type implements pflag.Value.
func (l *limitFlag) Type() string { return "limit" }

// rateFlag is a flag with tasks a second: a number, alone or by second, minute or
// hour, or none.
type rateFlag float64

// String implements pflag.Value.
func (r *rateFlag) String() string {
	switch *r {
	case 0:
		return ""
	case fenfa.NoLimit:
		return noLimit
	}
	return strconv.FormatFloat(float64(*r), 'g', -1, 64)
}

// Set implements pflag.Value.
func (r *rateFlag) Set(text string) error {
	if text == noLimit {
		*r = fenfa.NoLimit
		return nil
	}
	number, unit, _ := strings.Cut(text, "/")
	seconds, known := map[string]float64{"": 1, "s": 1, "m": 60, "h": 3600}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !known || !(n > 0) {
		return errors.New("want tasks a second as 50 or 50/s, tasks a minute as 300/m, tasks an hour as 1000/h, or none")
	}
	*r = rateFlag(n / seconds)
	return nil
}

// Type implements pflag.Value.
func (r *rateFlag) Type() string { return "rate" }

// ttlFlag is a flag with how long something is kept: a duration, or none for no end.
type ttlFlag time.Duration

// String implements pflag.Value.
func (d *ttlFlag) String() string {
	switch *d {
	case 0:
		return ""
	case fenfa.NoLimit:
		return noLimit
	}
	return time.Duration(*d).String()
}

// Set implements pflag.Value.
func (d *ttlFlag) Set(text string) error {
	if text == noLimit {
		*d = fenfa.NoLimit
		return nil
	}
	ttl, err := time.ParseDuration(text)
	if err != nil || ttl <= 0 {
		return errors.New("want a duration like 720h, or none")
	}
	*d = ttlFlag(ttl)
	return nil
}

// Type implements pflag.Value.
func (d *ttlFlag) Type() string { return "duration" }

// ttlText says how long something is kept.
func ttlText(d time.Duration) string {
	if d == 0 {
		return noLimit + ": until somebody deletes them"
	}
	return span(d)
}

func limitText(n int) string {
	if n == 0 {
		return noLimit
	}
	return strconv.Itoa(n)
}

func rateText(r fenfa.Rate) string {
	if r.PerSecond == 0 {
		return noLimit
	}
	text := fmt.Sprintf("%.4g a second", r.PerSecond)
	if r.Burst > 0 {
		text += fmt.Sprintf(", burst %d", r.Burst)
	}
	return text
}
