package node

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/fenfa/fenfa/internal/config"
)

// Defaults of memory settings.
const (
	defaultGCPercent = 200
	// shareOfMemory is the part of what there is that the process may use; the rest is
	// for what the Go runtime does not count, like the system's page cache.
	shareOfMemory = 0.9
)

// memoryPlan is what is asked of the Go runtime; zero means: nothing.
type memoryPlan struct {
	limit     int64
	gcPercent int
}

// tune sets the limits of the process.
func (n *Node) tune() {
	plan := planMemory(n.opts.Config.Memory, os.Getenv, os.ReadFile)
	if plan.limit > 0 {
		debug.SetMemoryLimit(plan.limit)
	}
	if plan.gcPercent > 0 {
		debug.SetGCPercent(plan.gcPercent)
	}
	n.log.Debug("memory planned", "limit", config.Size(plan.limit).String(), "gc_percent", plan.gcPercent)
}

// planMemory follows the settings, then the variables of the Go runtime, then
// what the machine has. Without a limit the heap must not grow fast.
func planMemory(m config.Memory, getenv func(string) string, read func(string) ([]byte, error)) memoryPlan {
	plan := memoryPlan{limit: int64(m.Limit), gcPercent: m.GCPercent}
	limited := plan.limit > 0 || getenv("GOMEMLIMIT") != ""
	if !limited {
		plan.limit = int64(float64(availableMemory(read)) * shareOfMemory)
		limited = plan.limit > 0
	}
	if plan.gcPercent == 0 && getenv("GOGC") == "" && limited {
		plan.gcPercent = defaultGCPercent
	}
	return plan
}

// availableMemory is the least of what the machine has and what the control
// groups around the process allow, in bytes; 0 when nothing is known.
func availableMemory(read func(string) ([]byte, error)) int64 {
	least := int64(math.MaxInt64)
	consider := func(n int64, ok bool) {
		if ok && n > 0 {
			least = min(least, n)
		}
	}
	consider(machineMemory(read))
	for _, file := range groupFiles(read) {
		consider(number(read, file))
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}

// machineMemory reads MemTotal, which is in KiB.
func machineMemory(read func(string) ([]byte, error)) (int64, bool) {
	b, err := read("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			return n << 10, err == nil
		}
	}
	return 0, false
}

// groupFiles lists the limits of the process's control group and of all groups
// around it: memory.max in version 2, memory.limit_in_bytes in version 1.
func groupFiles(read func(string) ([]byte, error)) []string {
	b, err := read("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	var files []string
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		root, file := "/sys/fs/cgroup", "memory.max"
		switch {
		case parts[0] == "0" && parts[1] == "":
		case strings.Contains(","+parts[1]+",", ",memory,"):
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			files = append(files, path.Join(root, dir, file))
			if dir == "/" {
				break
			}
		}
	}
	return files
}

// number reads a file with one number; "max" is none.
func number(read func(string) ([]byte, error), file string) (int64, bool) {
	b, err := read(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil
}
