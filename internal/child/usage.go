package child

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of CPU times in /proc: USER_HZ, which is 100 on every
// Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// Usage is what a process has used since it began.
type Usage struct {
	CPU     time.Duration // user and system
	RSS     int64         // bytes in memory now
	PeakRSS int64         // the most that RSS ever was
}

// UsageOf reads the usage of a live process from /proc (proc_pid_stat(5),
// proc_pid_status(5)). It needs Linux.
func UsageOf(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("read usage of process %d: %w", pid, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("read usage of process %d: %w", pid, err)
	}
	ticks, err := ticksOf(stat)
	if err != nil {
		return Usage{}, fmt.Errorf("read usage of process %d: %w", pid, err)
	}
	return Usage{
		CPU:     time.Duration(ticks) * clockTick,
		RSS:     kibOf(status, "VmRSS:") << 10,
		PeakRSS: kibOf(status, "VmHWM:") << 10,
	}, nil
}

// ticksOf returns user and system time, fields 14 and 15 of a stat line. The
// second field is a name in parentheses that may hold anything.
func ticksOf(stat []byte) (int64, error) {
	const afterName = 11 // fields from the one behind the name to utime
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < afterName+2 {
		return 0, fmt.Errorf("stat has %d fields behind the name", len(fields))
	}
	var sum int64
	for _, field := range fields[afterName : afterName+2] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("parse stat: %w", err)
		}
		sum += n
	}
	return sum, nil
}

// kibOf returns a field of a status file in KiB, and 0 if it is not there.
func kibOf(status []byte, name string) int64 {
	for line := range bytes.Lines(status) {
		fields := bytes.Fields(line)
		if len(fields) >= 2 && string(fields[0]) == name {
			n, err := strconv.ParseInt(string(fields[1]), 10, 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}

// States of a process in a stat line that are those of one that goes on.
const (
	stateRunning  = 'R'
	stateSleeping = 'S'
)

// stateOf returns the state of a process's first thread, and false where it is
// not known. The kernel shows a process as stopped when its last thread is.
func stateOf(pid int) (state byte, known bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) == 0 || len(fields[0]) != 1 {
		return 0, false
	}
	return fields[0][0], true
}
